"""bqemulator as the local stack starts it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.cloud import bigquery as bq

from local import bigquery
from local.processes import accepts, free_port


@pytest.fixture
def client(tmp_path: Path) -> Iterator[bq.Client]:
    """A client of an emulator of the test's own."""
    port = free_port()
    process = bigquery.start(port, free_port(), tmp_path / "home", tmp_path / "bigquery.log")
    try:
        process.await_ready(lambda: accepts(port))
        yield bigquery.connect(port, "p")
    finally:
        process.stop()


def test_an_insert_leaves_no_copy_of_its_table(client: bq.Client) -> None:
    """There is no earlier state to travel to: the emulator answers with the table as it is now."""
    client.create_dataset("d")
    table = client.create_table(bq.Table("p.d.t", schema=[bq.SchemaField("n", "INT64")]))
    assert client.insert_rows_json(table, [{"n": 1}]) == []
    between = datetime.now(UTC).isoformat(sep=" ")
    assert client.insert_rows_json(table, [{"n": 2}]) == []
    sql = f"SELECT COUNT(*) AS n FROM d.t FOR SYSTEM_TIME AS OF TIMESTAMP '{between}'"
    (row,) = client.query_and_wait(sql)
    assert row.n == 2
