"""From a dead letter to a row: the schema is added, the function rolled out, the dead letters replayed."""

import copy
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import fastavro
import pytest

from decoder.streams import CATALOG, catalog_files
from local import pubsub, stack
from local.processes import accepts
from local.stack import DATASET, PROJECT, Stack
from tests.integration.test_operate import dead_letters
from tests.integration.waiting import eventually

TOPIC = "delivery_events_v6_topic"
RATED = "delivery.events.v6.DeliveryRatedV6"
LOST = "delivery.events.v6.DeliveryLostV6"
EVENT = {
    "timestamp": 1_780_000_000_000,
    "delivery_id": "00000000-0000-4000-8000-000000000001",
    "stars": 5,
    "asked_by": "PUSH",
    "weather": "rain",
}


def schema_of(name: str) -> dict[str, object]:
    """Return the schema of a rating as its team changed it, with one field more, under a type's name."""
    schema = json.loads((catalog_files().schemas / TOPIC / "DeliveryRatedV6.avsc").read_text())
    schema["name"] = name.rpartition(".")[2]
    schema["fields"].append({"name": "weather", "type": ["null", "string"], "default": None})
    made: dict[str, object] = schema
    return made


def value_of(name: str, event_id: str) -> bytes:
    """Return the bytes of an event that is written with it."""
    buffer = io.BytesIO()
    schema = fastavro.parse_schema(copy.deepcopy(schema_of(name)))
    fastavro.schemaless_writer(buffer, schema, {**EVENT, "id": event_id})
    return buffer.getvalue()


def mended_catalog(folder: Path) -> Path:
    """Return a copy of the catalog that has both schemas."""
    shutil.copytree(catalog_files().streams.parent, folder)
    for name in (RATED, LOST):
        file = folder / "schemas" / TOPIC / f"{name.rpartition('.')[2]}.avsc"
        file.write_text(json.dumps(schema_of(name)))
    return folder


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Stack]:
    """A pipeline whose catalogue knows neither the type nor the field."""
    with stack.started(stack.default_pubsub(), tmp_path / "stack") as made:
        yield made


def query(running: Stack, sql: str) -> list[dict[str, object]]:
    """Return the rows of an answer."""
    return [dict(row) for row in running.state.bigquery.query_and_wait(sql)]


def replay(running: Stack) -> dict[str, int]:
    """Replay every dead letter as an operator does, and return the last line."""
    done = dead_letters(running, "replay", "--topic", f"projects/{PROJECT}/topics/{pubsub.TOPIC}")
    assert done.returncode == 0, done.stderr
    summary: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return summary


def test_a_new_type_and_a_new_field_are_rows_once_their_schema_is_there(
    running: Stack, tmp_path: Path
) -> None:
    """Both wait as dead letters with their bytes; replayed twice, they are one row each, with the field."""
    ids = {name: f"00000000-0000-4000-8000-00000000000{n}" for n, name in enumerate((RATED, LOST), 2)}
    values = {name: value_of(name, ids[name]) for name in ids}
    for name, value in values.items():
        running.cluster.producer.produce(TOPIC, value, b"key", headers=[("item_type_name", name.encode())])
    assert running.cluster.producer.flush(10) == 0
    letters = f"SELECT reason, value, kafka_timestamp FROM `{DATASET}.dead_letters_unique`"
    eventually(lambda: len(query(running, letters)) == len(ids))
    found = query(running, letters)
    kept = {str(row["reason"]): row["value"] for row in found}
    assert kept == {"trailing_bytes": values[RATED], "unknown_type": values[LOST]}

    # While no function runs, the replays are made of the same dead letters: each message goes out twice.
    running.processes["function"].stop()
    for _ in range(2):
        assert replay(running) == {"found": 2, "published": 2, "rows_already": 0, "not_replayable": 0}
    mended = stack.start_function(
        running.state, tmp_path / "mended.log", {CATALOG: str(mended_catalog(tmp_path / "catalog"))}
    )
    running.processes["function"] = mended
    mended.await_ready(lambda: accepts(running.state.function_port))
    table = f"{DATASET}.delivery_changed"
    # The emulator does not drop repeats of an insertId, so that all four can be seen to arrive.
    eventually(lambda: len(query(running, f"SELECT 1 FROM `{table}`")) == 2 * len(ids), 60)

    view = f"SELECT * FROM `{table}_unique` ORDER BY event_id"
    rows = query(running, view)
    assert [row["event_id"] for row in rows] == list(ids.values())
    assert [row["event_type"] for row in rows] == ["DeliveryRatedV6", "DeliveryLostV6"]
    assert [json.loads(str(row["event_json"]))["weather"] for row in rows] == ["rain", "rain"]
    assert all(row["replayed_at"] is not None for row in rows)
    assert {row["kafka_timestamp"] for row in rows} == {row["kafka_timestamp"] for row in found}
    assert {row["env"] for row in rows} == {stack.ENV}

    assert replay(running) == {"found": 2, "published": 0, "rows_already": 2, "not_replayable": 0}
    assert query(running, view) == rows
