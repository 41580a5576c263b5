"""A stream of one's own in a running pipeline: sent, mended, replayed, and the catalog loaded again."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import fastavro
import pytest

from decoder.streams import ROOT
from local import pids, tables
from tests.integration.locally import COMMAND, EMBEDDED, Local, in_a_file
from tests.integration.waiting import eventually

STREAM = """
  {name}:
    table: {name}
    topics:
      - {{name: {name}_v1, version: 1, current: true}}
"""
REFUND = {"id": "r-1", "timestamp": 1_795_000_000_000, "note": "late"}
ORDER = '{"id": "o-%d", "timestamp": "2026-11-25T12:00:00Z", "note": "\\u001b[2J[/red]"}\n'


class Catalog:
    """A catalog in a folder of the test's own; `orders` with one type, to begin with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.streams = folder / "streams.yaml"
        self.streams.write_text("streams:" + STREAM.format(name="orders"))
        self.add_type("orders_v1", "Order")

    def add_type(self, topic: str, name: str, **default: object) -> None:
        """Add or replace the schema of a type `shop.<name>`."""
        (self.folder / "schemas" / topic).mkdir(parents=True, exist_ok=True)
        path = self.folder / "schemas" / topic / f"{name}.avsc"
        path.write_text(json.dumps(schema(name, **default)))


def schema(name: str, **default: object) -> dict[str, object]:
    """Return the schema of a type with an id, a timestamp and a note."""
    fields: list[dict[str, object]] = [
        {"name": "id", "type": "string"},
        {"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "note", "type": "string"},
    ]
    fields += [{"name": key, "type": "string", "default": value} for key, value in default.items()]
    return {"type": "record", "name": name, "namespace": "shop", "fields": fields}


def run(*command: str, text: str = "", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command of `python -m local` or another in the repository."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def send(local: Local, *arguments: str, text: str = "") -> list[str]:
    """Send something, and return the lines that say where it is."""
    done = run(*COMMAND, "send", "--run", local.run().name, *arguments, text=text)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def rows(local: Local, sql: str) -> Callable[[], list[dict[str, object]]]:
    """Return what asks for rows."""
    client = local.state().bigquery
    return lambda: [dict(row) for row in client.query_and_wait(sql)]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Give a catalog of one's own."""
    return Catalog(tmp_path / "catalog")


def test_own_events_are_sent_and_counted(catalog: Catalog, tmp_path: Path) -> None:
    """JSON lines with headers and a key become rows; they count as produced, and nothing is lost."""
    options = ("--keep", "--rate", "1", "--catalog", str(catalog.folder), *EMBEDDED)
    with in_a_file(tmp_path / "output", *options) as local:
        local.state()
        headers = ("--header", "source=me", "--header", "nothing")
        lines = "".join(ORDER % number for number in range(3))
        sent = send(local, "orders_v1", "shop.Order", "-", "--key", "k", *headers, text=lines)
        assert len(set(sent)) == 3
        assert all(line.startswith("orders_v1/") for line in sent)
        sent = send(local, "orders_v1", "shop.Order", "--sample", "40")
        assert sent[-1] == "and 20 more: 40 records sent to orders_v1"
        ask = rows(local, "SELECT * FROM events.orders_unique WHERE event_id LIKE 'o-%' ORDER BY event_id")
        found = eventually(lambda: ask() if len(ask()) == 3 else [])
        assert [row["event_id"] for row in found] == ["o-0", "o-1", "o-2"]
        assert found[0]["kafka_key"] == b"k"
        assert found[0]["kafka_headers"] == [
            {"name": "item_type_name", "value": b"shop.Order"},
            {"name": "source", "value": b"me"},
            {"name": "nothing", "value": None},
        ]
        samples = rows(local, "SELECT COUNT(*) AS n FROM events.orders_unique")
        eventually(lambda: int(str(samples()[0]["n"])) >= 43)
        local.say(signal.SIGINT)
        assert local.wait() == 0
    assert "\x1b" not in local.output()
    summary = json.loads(local.output().splitlines()[-1])
    assert summary["produced"] >= 43
    assert summary["produced"] == summary["rows"] + summary["dead_letters"]
    assert (summary["lost"], summary["duplicates"]) == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "text", "error"),
    [
        (("order", "shop.Order", "-"), "", "the catalog has no topic 'order': it has orders_v1"),
        (("orders_v1", "Order", "-"), "", "topic orders_v1 has no type 'Order': it has shop.Order"),
        (("orders_v1", "shop.Order", "-"), '{"id": 5}', "-: not an event of shop.Order: id: "),
        (("orders_v1", "shop.Order", "-"), ORDER % 1 + "{}", "-, line 2: not an event of shop.Order: id: "),
        (("orders_v1", "shop.Order", "-"), "nonsense", "-: not a JSON object"),
        (("orders_v1", "shop.Order", "/nowhere"), "", "/nowhere: No such file or directory"),
    ],
)
def test_what_cannot_be_sent_is_named(
    keeping: Local, arguments: tuple[str, ...], text: str, error: str
) -> None:
    """Topic, type, field and line that are wrong are named in one line, and nothing is sent."""
    done = run(*COMMAND, "send", "--run", keeping.run().name, *arguments, text=text)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"local: {error}")
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture(scope="module")
def keeping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """One pipeline for what is refused."""
    folder = tmp_path_factory.mktemp("keeping")
    catalog = Catalog(folder / "catalog")
    options = ("--keep", "--rate", "1", "--catalog", str(catalog.folder), *EMBEDDED)
    with in_a_file(folder / "output", *options) as local:
        local.state()
        yield local


def test_samples_are_new_after_a_reload(catalog: Catalog, tmp_path: Path) -> None:
    """A changed schema begins no second round of the same sample events: each id is there once."""
    options = ("--keep", "--rate", "20", "--catalog", str(catalog.folder), *EMBEDDED)
    with in_a_file(tmp_path / "output", *options) as local:
        ask = rows(local, "SELECT COUNT(*) AS n, COUNT(DISTINCT event_id) AS ids FROM events.orders_unique")
        eventually(lambda: int(str(ask()[0]["n"])) > 20)
        catalog.add_type("orders_v1", "Order", extra="none")
        eventually(lambda: "orders_v1/Order.avsc changed" in local.output())
        before = int(str(ask()[0]["n"]))
        eventually(lambda: int(str(ask()[0]["n"])) > before + 40)
        (counted,) = ask()
        assert counted["n"] == counted["ids"]


def test_a_type_without_a_schema_is_mended_and_replayed(catalog: Catalog, tmp_path: Path) -> None:
    """A dead letter, a schema added, the function loads it, `operate` with `local env` replays: a row."""
    options = ("--keep", "--rate", "1", "--catalog", str(catalog.folder), *EMBEDDED)
    with in_a_file(tmp_path / "output", *options) as local:
        local.state()
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, fastavro.parse_schema(schema("Refund")), REFUND)
        (tmp_path / "refund.bin").write_bytes(buffer.getvalue())
        send(local, "orders_v1", "shop.Refund", "--raw", str(tmp_path / "refund.bin"))
        letters = rows(local, "SELECT * FROM events.dead_letters WHERE message LIKE \"%'shop.Refund'%\"")
        eventually(letters)
        catalog.add_type("orders_v1", "Refund")
        eventually(lambda: "orders_v1/Refund.avsc added: types added: shop.Refund" in local.output())
        script = (
            f'eval "$({sys.executable} -m local env --run {local.run().name})" && '
            f"{sys.executable} -m operate dead-letters replay --reason unknown_type "
            '--project "$PROJECT" --dataset "$DATASET" --topic "$TOPIC"'
        )
        replayed = run("sh", "-c", script)
        assert replayed.returncode == 0, replayed.stderr
        assert json.loads(replayed.stdout.splitlines()[-1])["published"] >= 1
        found = eventually(rows(local, "SELECT * FROM events.orders_unique WHERE event_id = 'r-1'"))
        assert json.loads(str(found[0]["event_json"]).replace("'", '"'))["note"] == "late"
        assert tables.count_repeats(local.state().bigquery, ("orders", "dead_letters")).rows == 0
        local.say(signal.SIGINT)
        assert local.wait() == 0
    summary = json.loads(local.output().splitlines()[-1])
    assert summary["lost"] == 0
    # The record is a dead letter and a row: one record, and no repeat.
    assert summary["rows"] + summary["dead_letters"] > summary["produced"]
    assert summary["duplicates"] == 0


def test_a_new_stream_gets_its_topic_and_table(catalog: Catalog, tmp_path: Path) -> None:
    """A stream added while it runs: topic and table are made, its samples and own events become rows."""
    options = ("--keep", "--rate", "20", "--catalog", str(catalog.folder), *EMBEDDED)
    with in_a_file(tmp_path / "output", *options) as local:
        local.state()
        catalog.add_type("refunds_v1", "Refund")
        with catalog.streams.open("a") as streams:
            streams.write(STREAM.format(name="refunds"))
        eventually(lambda: "new topics: refunds_v1; new tables: refunds" in local.output())
        send(local, "refunds_v1", "shop.Refund", "-", text=ORDER % 1)
        eventually(lambda: _exists(local, "refunds"), 30)
        eventually(rows(local, "SELECT * FROM events.refunds_unique WHERE event_id = 'o-1'"), 45)
        local.say(signal.SIGINT)
        assert local.wait() == 0
    summary = json.loads(local.output().splitlines()[-1])
    assert (summary["lost"], summary["duplicates"]) == (0, 0)


def test_a_wrong_catalog_does_not_stop_what_runs(catalog: Catalog, tmp_path: Path) -> None:
    """A file that is wrong is said; function and bridge that are killed start again with the one before."""
    options = ("--keep", "--rate", "20", "--catalog", str(catalog.folder), *EMBEDDED)
    with in_a_file(tmp_path / "output", *options) as local:
        local.state()
        (catalog.folder / "schemas" / "orders_v1" / "Order.avsc").write_text('{"type": "rec')
        eventually(lambda: "The catalog on disk is invalid; the previous one stays in use" in local.output())
        for name in ("function", "bridge"):
            process = pids.read(local.run() / f"{name}.pid")
            assert process is not None
            os.kill(process.pid, signal.SIGKILL)
            eventually(lambda name=name: f"The {name} ended with -9: started again." in local.output())  # type: ignore[misc]
        count = rows(local, "SELECT COUNT(*) AS n FROM events.orders WHERE event_json IS NOT NULL")
        before = count()[0]["n"]
        eventually(lambda: int(str(count()[0]["n"])) > int(str(before)), 45)
        catalog.add_type("orders_v1", "Order", added="x")
        eventually(
            lambda: "orders_v1/Order.avsc changed: types changed: shop.Order (orders_v1)" in local.output()
        )
        local.say(signal.SIGINT)
        assert local.wait() == 0
    assert json.loads(local.output().splitlines()[-1])["lost"] == 0


def test_an_emulator_that_ends_ends_the_run(tmp_path: Path) -> None:
    """What keeps the data cannot be started again: the run says which one ended, and leaves nothing."""
    with in_a_file(tmp_path / "output", "--keep", *EMBEDDED) as local:
        local.state()
        process = pids.read(local.run() / "bigquery.pid")
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        assert local.wait() == 1
    assert local.output().splitlines()[-1].startswith("local: bigquery ended with -9: see ")


def _exists(local: Local, table: str) -> bool:
    return table in {each.table_id for each in local.state().bigquery.list_tables("events")}
