"""`python -m local.emulator`: bqemulator's own command, without what makes it answer wrongly.

bqemulator 1.4.0 gives its translator the types of a query's columns, and leaves out those that it has no
type for: records. Where the translator then replaces any function of the query (SAFE_CONVERT_BYTES_TO_STRING
is one), it also writes each `*` as the columns that it was told, also that of a view, so that
`kafka_headers` is lost from the answer without a word, or not found ("does not have a column named"). Here
such a column has the type UNKNOWN, which the translator passes over.
"""

import sys

from bqemulator import cli
from bqemulator.sql import catalog_schema


def know_every_column() -> None:
    """Let the translator know each column of a table, also one of a type that it has none for."""
    to_duckdb = catalog_schema._safe_bq_to_duckdb  # noqa: SLF001

    def known(bq_type: str) -> str | None:
        return to_duckdb(bq_type) or "UNKNOWN"

    catalog_schema._safe_bq_to_duckdb = known  # noqa: SLF001


if __name__ == "__main__":
    know_every_column()
    sys.exit(cli.main())
