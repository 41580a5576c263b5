"""A fix for bqemulator, which loses columns of records from some answers.

bqemulator 1.4.0 tells its translator the columns of a query's tables, but leaves out those of type RECORD.
If the translator replaces any function in the query (SAFE_CONVERT_BYTES_TO_STRING is one), it also expands
each `*`, including the one in a view, to the columns that it was told. `kafka_headers` is then silently
missing from the answer, or the query fails with "does not have a column named". The fix gives such a column
the type UNKNOWN, which the translator accepts.
"""

from bqemulator.sql import catalog_schema


def know_record_columns() -> None:
    """Tell the translator all columns of a table, including those of types that it cannot map."""
    to_duckdb = catalog_schema._safe_bq_to_duckdb  # noqa: SLF001

    def known(bq_type: str) -> str | None:
        return to_duckdb(bq_type) or "UNKNOWN"

    catalog_schema._safe_bq_to_duckdb = known  # noqa: SLF001
