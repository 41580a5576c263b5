"""`python -m local.emulator FOLDER start …`: bqemulator without its growth, slow paths and wrong answers.

It has no settings for these, so five of its functions are replaced before its own command line runs:

* `SnapshotManager.record_change` copies the whole table at each insert and keeps the copy for seven days, for
  `FOR SYSTEM_TIME AS OF`: gigabytes after minutes, and the time of an insert grows with its table. The
  replacement only publishes the change, which is what materialized views wait for.
* `MemoryCatalogRepository.upsert_job` keeps the result of every query forever. The replacement keeps those of
  the last jobs.
* `_partition_rows_for_insert` converts each row on its own to find the invalid ones, half of an insert.
  The replacement converts all at once, and one by one only if that fails.
* `DuckDBEngine._apply_session_pragmas` leaves DuckDB 80 % of the machine's memory and all cores. The
  replacement sets bounds; DuckDB writes what exceeds them to files in FOLDER.
* `_safe_bq_to_duckdb` gives the translator of queries no type for a column of records, which leaves that
  column out. Where the translator then replaces any function of the query (SAFE_CONVERT_BYTES_TO_STRING is
  one), it writes each `*` as the columns that it knows, also that of a view, so that `kafka_headers` is
  missing from the answer, or not found. The replacement gives such a column the type UNKNOWN, which the
  translator passes over.

If another version of bqemulator has moved one of them, it does not start.
"""

import inspect
import sys
from collections import deque
from collections.abc import Callable

from bqemulator import __version__
from bqemulator.api.routes import tabledata
from bqemulator.catalog.memory_repository import MemoryCatalogRepository
from bqemulator.catalog.models import JobMeta
from bqemulator.cli import main
from bqemulator.domain.events import TableDataChanged
from bqemulator.jobs.executor import JOB_RESULTS, JOB_SCHEMAS
from bqemulator.sql import catalog_schema
from bqemulator.storage.arrow_bridge import bq_rows_to_arrow
from bqemulator.storage.engine import DuckDBEngine
from bqemulator.versioning.snapshots import SnapshotManager

MEMORY_LIMIT = "128MB"  # some 80,000 rows; what is older goes to files
THREADS = 1  # its inserts and queries run in the server's only thread, one after the other
KEPT_JOBS = 50

_Json = dict[str, object]
_Partition = Callable[[list[_Json], object], tuple[list[_Json], list[_Json]]]


class MovedError(RuntimeError):
    """bqemulator is not what the replacements were written for: the text names what has moved."""


def patch(spill_folder: str) -> None:
    """Replace the five functions in this process.

    Raises:
        MovedError: one of them is missing or takes other arguments.
    """
    check(SnapshotManager, "record_change", ("self", "project_id", "dataset_id", "table_id"))
    check(MemoryCatalogRepository, "upsert_job", ("self", "job"))
    check(tabledata, "_partition_rows_for_insert", ("rows", "arrow_schema"))
    check(DuckDBEngine, "_apply_session_pragmas", ("self",))
    check(catalog_schema, "_safe_bq_to_duckdb", ("bq_type",))
    # setattr, as these are functions of classes that mypy knows to be constant.
    for owner, name, function in (
        (SnapshotManager, "record_change", _publish_change),
        (MemoryCatalogRepository, "upsert_job", _keep_last_jobs()),
        (tabledata, "_partition_rows_for_insert", _convert_together(tabledata._partition_rows_for_insert)),  # noqa: SLF001 - see above
        (DuckDBEngine, "_apply_session_pragmas", _with_bounds(spill_folder)),
        (catalog_schema, "_safe_bq_to_duckdb", _know_every_type(catalog_schema._safe_bq_to_duckdb)),  # noqa: SLF001 - see above
    ):
        setattr(owner, name, function)


def check(owner: object, name: str, parameters: tuple[str, ...]) -> None:
    """Raise MovedError unless `owner` has a function of that name with these parameters."""
    function = getattr(owner, name, None)
    found = tuple(inspect.signature(function).parameters) if callable(function) else None
    if found != parameters:
        seen = "is missing" if found is None else f"takes {', '.join(found)}"
        raise MovedError(
            f"bqemulator {__version__}: {getattr(owner, '__name__', owner)}.{name} {seen}; "
            f"local/emulator.py replaces one that takes {', '.join(parameters)}: "
            "install the version in local/requirements.txt, or adapt the replacement"
        )


def _publish_change(self: SnapshotManager, project_id: str, dataset_id: str, table_id: str) -> None:
    self._events.publish(TableDataChanged(project_id, dataset_id, table_id))


def _keep_last_jobs() -> Callable[[MemoryCatalogRepository, JobMeta], JobMeta]:
    stored = MemoryCatalogRepository.upsert_job
    kept: deque[tuple[str, str]] = deque()

    def upsert_job(self: MemoryCatalogRepository, job: JobMeta) -> JobMeta:
        kept.append((job.project_id, job.job_id))
        if len(kept) > KEPT_JOBS:
            project_id, job_id = kept.popleft()
            self.delete_job(project_id, job_id, not_found_ok=True)
            JOB_RESULTS.pop(job_id, None)
            JOB_SCHEMAS.pop(job_id, None)
        return stored(self, job)

    return upsert_job


def _convert_together(one_by_one: _Partition) -> _Partition:
    def partition(rows: list[_Json], arrow_schema: object) -> tuple[list[_Json], list[_Json]]:
        try:
            bq_rows_to_arrow(rows, arrow_schema)
        except (ValueError, TypeError):
            return one_by_one(rows, arrow_schema)
        return rows, []

    return partition


def _with_bounds(spill_folder: str) -> Callable[[DuckDBEngine], None]:
    apply = DuckDBEngine._apply_session_pragmas  # noqa: SLF001 - see above

    def apply_session_pragmas(self: DuckDBEngine) -> None:
        apply(self)
        self.connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        self.connection.execute(f"SET threads = {THREADS}")
        quoted = spill_folder.replace("'", "''")
        self.connection.execute(f"SET temp_directory = '{quoted}'")

    return apply_session_pragmas


def _know_every_type(to_duckdb: Callable[[str], str | None]) -> Callable[[str], str]:
    def known(bq_type: str) -> str:
        return to_duckdb(bq_type) or "UNKNOWN"

    return known


if __name__ == "__main__":
    try:
        patch(sys.argv.pop(1))
    except MovedError as error:
        sys.exit(f"local.emulator: {error}")
    main()
