"""What `python -m local query` prints, asked of a real emulator with the pipeline's tables."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from google.cloud import bigquery as bq
from rich.console import Console

from decoder.streams import ROOT, load_streams
from local import bigquery
from local.processes import accepts, free_port
from local.query import Form, query
from local.stack import DATASET, PROJECT

ROW = {
    "timestamp": "2026-11-24T12:00:00Z",
    "event_id": "a,b",
    "event_type": "T",
    "event_json": '{"a":"\x1b[31mred\x9b\u202e"}',
    "topic_version": 1,
    "is_current_version": True,
    "stream_timestamp": 1,
    "stream_timestamp_date": "2026-11-24",
    "stream_timestamp_hour": "2026-11-24 12:00:00",
    "kafka_topic": "t",
    "kafka_partition": 0,
    "kafka_offset": 0,
    "kafka_timestamp": "2026-11-24T12:00:00.5Z",
    "kafka_date": "2026-11-24",
    "kafka_key": "AP/+",
    "kafka_headers": [{"name": "source", "value": "c2hvcA=="}],
    "env": "local",
}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Give the port of an emulator that has the tables, and a row in one."""
    folder = tmp_path_factory.mktemp("bigquery")
    port = free_port()
    process = bigquery.start(port, free_port(), folder, folder / "bigquery.log")
    try:
        process.await_ready(lambda: accepts(port))
        client = bigquery.connect(port, PROJECT)
        bigquery.create_tables(client, DATASET, load_streams())
        assert client.insert_rows_json(f"{DATASET}.delivery_changed", [ROW]) == []
        yield port
    finally:
        process.stop()


@pytest.fixture
def client(port: int) -> bq.Client:
    """Give a client."""
    return bigquery.connect(port, PROJECT)


def ask(client: bq.Client, sql: str, form: Form = "table", limit: int | None = None) -> str:
    """Return what an answered question prints."""
    output = io.StringIO()
    assert query(Console(file=output, width=140), client, sql, form, limit) == 0
    return output.getvalue()


def test_a_header_is_read_through_the_view(client: bq.Client) -> None:
    """A function in a query does not cost the view its column of records, also where the query has a `*`."""
    source = "(SELECT SAFE_CONVERT_BYTES_TO_STRING(h.value) FROM UNNEST(v.kafka_headers) AS h) AS source"
    for table in ("delivery_changed", "delivery_changed_unique"):
        (line,) = ask(client, f"SELECT *, {source} FROM {table} AS v", "json").splitlines()
        row = json.loads(line)
        assert row["source"] == "shop"
        assert row["kafka_headers"] == ROW["kafka_headers"]


def test_names_need_no_dataset(client: bq.Client) -> None:
    """A view, and INFORMATION_SCHEMA, is found without the dataset, and a WITH clause's name as it is."""
    for tables, n in (("INFORMATION_SCHEMA.TABLES", 12), ("delivery_changed_unique", 1)):
        sql = f"WITH some AS (SELECT * FROM {tables}) SELECT COUNT(*) AS n FROM some"
        assert json.loads(ask(client, sql, "json")) == {"n": n}


def test_all_rows_are_shown_or_the_limit_is_told(client: bq.Client) -> None:
    """A table stops at 100 rows and says how many there are; a limit of 0, JSON and CSV have all."""
    sql = "SELECT n FROM UNNEST(GENERATE_ARRAY(1, 2431)) AS n ORDER BY n"
    last = "100 of 2,431 rows; --limit 0, --json or --csv shows all"
    assert ask(client, sql).splitlines()[-1] == last
    assert ask(client, sql, limit=0).splitlines()[-2:] == ["2431", "2,431 rows"]
    assert len(ask(client, sql, "json").splitlines()) == 2431
    assert ask(client, sql, "csv", limit=2) == "n\n1\n2\n"
    assert ask(client, "SELECT 1 AS n").splitlines()[-1] == "1 row"


def test_csv_is_quoted_and_typed(client: bq.Client) -> None:
    """Bytes are base64, NULL is empty, a timestamp is RFC 3339, a nested value is JSON."""
    columns = "event_id, timestamp, kafka_date, kafka_key, replayed_at, kafka_headers, is_current_version"
    assert ask(client, f"SELECT {columns} FROM delivery_changed_unique", "csv") == (
        "event_id,timestamp,kafka_date,kafka_key,replayed_at,kafka_headers,is_current_version\n"
        '"a,b",2026-11-24T12:00:00Z,2026-11-24,AP/+,,"[{""name"":""source"",""value"":""c2hvcA==""}]",true\n'
    )


def test_json_has_every_value(client: bq.Client) -> None:
    """What JSON has no number for is text, and what a terminal would obey is escaped and still the value."""
    sql = "SELECT event_json, CAST('-inf' AS FLOAT64) AS f, NULL AS z FROM delivery_changed_unique"
    printed = ask(client, sql, "json")
    assert json.loads(printed) == {"event_json": ROW["event_json"], "f": "-Infinity", "z": None}
    assert printed.removesuffix("\n").isprintable()


def test_a_terminal_obeys_no_record(client: bq.Client) -> None:
    """Control characters of a record are seen, not obeyed."""
    printed = ask(client, "SELECT event_json FROM delivery_changed_unique")
    assert r"\x1b[31mred\x9b\u202e" in printed
    assert printed.replace("\n", "").isprintable()


def test_a_change_says_how_many_rows(client: bq.Client) -> None:
    """INSERT, UPDATE and DELETE say how many rows they changed, CREATE and DROP that they did."""
    assert ask(client, "CREATE TABLE x (a INT64)") == "done\n"
    assert ask(client, "INSERT INTO x (a) VALUES (1), (2)") == "2 rows changed\n"
    assert ask(client, "UPDATE x SET a = 3 WHERE a = 1") == "1 row changed\n"
    assert ask(client, "DELETE FROM x WHERE a = 7") == "0 rows changed\n"
    assert ask(client, "DROP TABLE x") == "done\n"


@pytest.mark.parametrize(
    ("sql", "line"),
    [
        ("SELECT nope FROM delivery_changed", 'Referenced column "nope" not found'),
        ("SELECT 1 FROM nowhere", "Table local.events.nowhere was not found"),
        ("SELEC 1", "Syntax error"),
        ("SELECT 1 FROM `INFORMATION_SCHEMA.TABLES`", "failed (500)"),  # the emulator cannot read it so
    ],
)
def test_an_error_is_one_line(
    client: bq.Client, capsys: pytest.CaptureFixture[str], sql: str, line: str
) -> None:
    """What BigQuery does not answer is one line at once, also where the client by itself would ask again."""
    assert query(Console(), client, sql, "table", None) == 1
    (printed,) = capsys.readouterr().err.splitlines()
    assert printed.startswith("local: ")
    assert line in printed


def test_a_stopped_emulator_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody listens, the line asks whether the pipeline runs."""
    assert query(Console(), bigquery.connect(free_port(), PROJECT), "SELECT 1", "table", None) == 1
    assert capsys.readouterr().err.endswith("is the pipeline still running?\n")


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_head_ends_it_quietly(port: int, form: str) -> None:
    """A reader that has enough is no error."""
    program = (
        "import sys; from rich.console import Console; from local import bigquery, query;"
        f"sys.exit(query.query(Console(), bigquery.connect({port}, 'local'), "
        f"'SELECT n FROM UNNEST(GENERATE_ARRAY(1, 200000)) AS n', {form!r}, 0))"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert run.stdout is not None
    assert run.stdout.readline()
    run.stdout.close()
    assert (run.stderr.read() if run.stderr else None, run.wait(60)) == (b"", 0)
