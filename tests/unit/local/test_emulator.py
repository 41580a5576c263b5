"""What replaces functions of bqemulator: what it leaves out, what it keeps, and a version that moved."""

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from bqemulator.api.routes import tabledata
from bqemulator.catalog.memory_repository import MemoryCatalogRepository
from bqemulator.catalog.models import DatasetMeta, JobMeta, TableMeta
from bqemulator.config import Settings
from bqemulator.domain.clock import SystemClock
from bqemulator.domain.events import DomainEvent, EventBus, TableDataChanged
from bqemulator.jobs.executor import JOB_RESULTS, JOB_SCHEMAS
from bqemulator.storage.engine import DuckDBEngine
from bqemulator.versioning.snapshots import SnapshotManager

from local import emulator

REPLACED = (
    (SnapshotManager, "record_change"),
    (MemoryCatalogRepository, "upsert_job"),
    (tabledata, "_partition_rows_for_insert"),
    (DuckDBEngine, "_apply_session_pragmas"),
)
NOW = datetime.now(UTC)


@pytest.fixture
def spill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace the functions for one test; return the folder for what exceeds the memory limit."""
    for owner, name in REPLACED:
        monkeypatch.setattr(owner, name, getattr(owner, name))  # restored at the end
    folder = tmp_path / "it's"
    emulator.patch(str(folder))
    return folder


def _engine() -> DuckDBEngine:
    """Return an engine that has its connection, without the extension that `start` loads."""
    engine = DuckDBEngine(Settings())
    engine._connection = duckdb.connect()  # noqa: SLF001 - what start() does
    engine._apply_session_pragmas()  # noqa: SLF001
    return engine


@pytest.mark.usefixtures("spill")
def test_a_change_is_published_and_copies_no_table() -> None:
    """An insert leaves no copy of its table behind, and materialized views still hear of it."""
    engine, events = _engine(), EventBus()
    engine.execute('CREATE SCHEMA "_bqemulator_snapshots"')
    engine.execute('CREATE SCHEMA "p__d"')
    engine.execute('CREATE TABLE "p__d"."t" AS SELECT 1 AS n')
    catalog = MemoryCatalogRepository(engine)
    times = {"creation_time": NOW, "last_modified_time": NOW, "etag": "e"}
    catalog.create_dataset(DatasetMeta.model_validate({"project_id": "p", "dataset_id": "d", **times}))
    catalog.create_table(
        TableMeta.model_validate({"project_id": "p", "dataset_id": "d", "table_id": "t", **times})
    )
    published: list[DomainEvent] = []
    events.subscribe(TableDataChanged, published.append)
    manager = SnapshotManager(engine, catalog, SystemClock(), events, retention_days=7)

    manager.record_change("p", "d", "t")

    assert published == [TableDataChanged("p", "d", "t")]
    assert catalog.list_all_snapshots() == ()
    tables = engine.execute("SELECT table_name FROM information_schema.tables").fetchall()
    assert tables == [("t",)]


@pytest.mark.usefixtures("spill")
def test_only_the_last_jobs_keep_their_results() -> None:
    """A display that asks every two seconds for hours leaves the answers of its last questions."""
    catalog = MemoryCatalogRepository()
    for n in range(emulator.KEPT_JOBS + 3):
        JOB_RESULTS[f"j{n}"], JOB_SCHEMAS[f"j{n}"] = pa.table({"n": [n]}), []
        job = {"project_id": "p", "job_id": f"j{n}", "job_type": "QUERY", "state": "DONE"}
        catalog.upsert_job(
            JobMeta.model_validate({**job, "configuration": {}, "creation_time": NOW, "etag": "e"})
        )
    kept = {f"j{n}" for n in range(3, emulator.KEPT_JOBS + 3)}
    assert {job.job_id for job in catalog.list_jobs("p", max_results=1_000)} == kept
    assert kept == {name for name in JOB_RESULTS if name.startswith("j")} == set(JOB_SCHEMAS)
    JOB_RESULTS.clear()
    JOB_SCHEMAS.clear()


@pytest.mark.usefixtures("spill")
def test_an_invalid_row_is_still_found_among_valid_ones() -> None:
    """Rows are converted together, and the one at fault is named with its index as before."""
    schema = pa.schema([pa.field("n", pa.int64(), metadata={b"bq_type": b"INT64"})])
    valid: list[dict[str, object]] = [{"json": {"n": 1}}, {"json": {"n": 2}}]
    assert tabledata._partition_rows_for_insert(valid, schema) == (valid, [])  # noqa: SLF001
    good, errors = tabledata._partition_rows_for_insert([valid[0], {"json": {"n": "x"}}], schema)  # noqa: SLF001
    assert good == [valid[0]]
    assert [error["index"] for error in errors] == [1]


def test_duckdb_has_bounds(spill: Path) -> None:
    """DuckDB has a memory limit, one thread, and a folder for what exceeds the limit; times stay UTC."""
    settings = ("memory_limit", "threads", "temp_directory", "TimeZone")
    query = "SELECT " + ", ".join(f"current_setting('{name}')" for name in settings)
    assert _engine().execute(query).fetchall() == [("122.0 MiB", 1, str(spill), "UTC")]


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("record_changes", ("self",), "SnapshotManager.record_changes is missing"),
        ("record_change", ("self", "table"), "SnapshotManager.record_change takes self, project_id"),
    ],
)
def test_a_function_that_has_moved_is_named(name: str, parameters: tuple[str, ...], said: str) -> None:
    """Another version of bqemulator ends at the start with what moved, not with the old cost."""
    with pytest.raises(emulator.MovedError, match=said):
        emulator.check(SnapshotManager, name, parameters)
