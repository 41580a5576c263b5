"""`handle`, from request to answer: 204 only when every record is a row or a dead letter."""

import asyncio
import base64
import io
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import cycle
from types import MappingProxyType
from typing import cast

import fastavro
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

import decoder.registry
import logs
import main
from decoder.catalog import Catalog
from decoder.registry import connect
from decoder.streams import DEAD_LETTERS, ROOT
from envelope import Message, Record, pack, pack_bundle
from rejection import Reason, RejectedError, TransientError
from sink.batch import MAX_ROW_BYTES, Limits, Outcome, Room, Row
from sink.bigquery import Table
from sink.writer import Writer
from tests.unit.decoder.schema_registry import SchemaRegistry

_TOPIC = "delivery_events_v6_topic"
_TYPE = b"delivery.events.v6.DeliveryRatedV6"
_STRUCTURED = "application/cloudevents+json"
_REFUSED = RejectedError(Reason.ROW_REFUSED, "no such field")
_LATER = TransientError("503")

Columns = dict[str, object]


class _Table(Table):
    """A table that keeps the rows it takes; `answer` says which."""

    def __init__(self) -> None:
        self.rows: list[Columns] = []
        self.ids: list[str] = []
        self.answer: Callable[[Columns], Outcome] = lambda _: None

    def insert(self, rows: Sequence[Row]) -> list[Outcome]:
        return [self._take(row) for row in rows]

    def _take(self, row: Row) -> Outcome:
        sent: Columns = json.loads(row.body)
        columns = cast("Columns", sent["json"])
        outcome = self.answer(columns)
        if outcome is None:
            self.rows.append(columns)
            self.ids.append(str(sent["insertId"]))
        return outcome


class _Tables:
    """The data set: the five streams share one table here, the dead letters have theirs."""

    def __init__(self) -> None:
        self.events, self.dead_letters = _Table(), _Table()
        self.names: list[str] = []

    def connect(self, name: str) -> Table:
        self.names.append(name)
        return self.dead_letters if name == DEAD_LETTERS else self.events

    @property
    def dead_letter(self) -> Columns:
        """The only dead letter, where there is no row."""
        assert not self.events.rows
        (dead_letter,) = self.dead_letters.rows
        return dead_letter


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> _Tables:
    """Give the data set that `handle` writes to."""
    tables = _Tables()
    monkeypatch.setattr(main, "writer", Writer(tables.connect, Limits(pause_s=0.0)))
    return tables


def _handle(
    body: bytes, content_type: str = "application/json", method: str = "POST", **headers: str
) -> Response:
    """Return the answer to a request."""
    return asyncio.run(asyncio.wait_for(_answer(body, content_type, method, **headers), 20))


async def _answer(
    body: bytes, content_type: str = "application/json", method: str = "POST", **headers: str
) -> Response:
    raw = {"content-type": content_type, **{name.replace("_", "-"): text for name, text in headers.items()}}
    scope = {
        "type": "http",
        "method": method,
        "path": "/",
        "query_string": b"",
        "headers": [(name.encode(), text.encode()) for name, text in raw.items()],
    }

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    return await cast("Awaitable[Response]", main.handle(Request(scope, receive)))


def _push(message: Message, message_id: str = "77") -> bytes:
    """Return the body that Pub/Sub pushes."""
    return msgspec.json.encode(
        {
            "message": {
                "data": message.data,
                "attributes": message.attributes,
                "messageId": message_id,
                "publishTime": "2024-02-29T23:59:59.987Z",
            },
            "subscription": "projects/p/subscriptions/s",
        }
    )


def _change(record: Record, **changes: object) -> Record:
    return msgspec.structs.replace(record, **changes)


def _cells(record: Record) -> list[dict[str, str | None]]:
    return [
        {"name": name, "value": None if value is None else base64.b64encode(value).decode()}
        for name, value in record.headers
    ]


def _with_comment(catalog: Catalog, event: Mapping[str, object], comment: str) -> bytes:
    """Return the bytes of an event in which the customer wrote this."""
    buffer = io.BytesIO()
    schema = catalog.types[_TOPIC, _TYPE.decode()].schema
    fastavro.schemaless_writer(buffer, schema, {**event, "comment": comment})
    return buffer.getvalue()


def test_record_becomes_a_row(tables: _Tables, rated: Record) -> None:
    """A good record is one row of its stream's table, and 204."""
    assert _handle(_push(pack(rated, "prod"))).status_code == 204
    assert (tables.names, tables.dead_letters.rows) == (["delivery_changed"], [])
    (row,) = tables.events.rows
    assert row["event_type"] == "DeliveryRatedV6"
    assert row["kafka_headers"] == _cells(rated)
    assert [row[n] for n in ("kafka_offset", "kafka_key", "env")] == [str(rated.offset), "AP9rZXk=", "prod"]
    assert tables.events.ids == [f"{_TOPIC}/3/{rated.offset}/{rated.timestamp}"]


def test_plain_message_becomes_a_row(tables: _Tables, rated: Record) -> None:
    """So is a record in the plain form."""
    record = _change(rated, key=None, headers=(("item_type_name", _TYPE),))
    message = pack(record, "prod")
    assert message.attributes["item_type_name"] == _TYPE.decode()
    assert _handle(_push(message)).status_code == 204
    assert [row["kafka_headers"] for row in tables.events.rows] == [_cells(record)]


def test_cloud_events_become_rows(tables: _Tables, rated: Record) -> None:
    """The same message as a binary and as a structured CloudEvent, its data as JSON or as base64."""
    body = _push(pack(rated, "prod"))
    attributes = {"specversion": "1.0", "id": "1", "source": "//pubsub", "type": "messagePublished"}
    event = {**attributes, "data": msgspec.Raw(body)}
    event_64 = {**attributes, "data_base64": body}
    binary = {f"ce_{name}": value for name, value in attributes.items()}
    assert _handle(body, **binary).status_code == 204
    assert _handle(msgspec.json.encode(event), _STRUCTURED).status_code == 204
    assert _handle(msgspec.json.encode(event_64), f"{_STRUCTURED}; charset=utf-8").status_code == 204
    assert len(tables.events.rows) == 3
    assert len(set(tables.events.ids)) == 1


def test_redelivery_has_the_same_insert_id(tables: _Tables, rated: Record) -> None:
    """A message that comes again is told apart from a new one by its row's insertId."""
    bad = pack(_change(rated, value=b""), "prod")
    for body in (_push(pack(rated, "prod")), _push(bad), _push(Message(b"", {})), b"no"):
        assert [_handle(body).status_code for _ in range(2)] == [204, 204]
    assert [tables.events.ids[0]] * 2 == tables.events.ids
    assert tables.dead_letters.ids[::2] == tables.dead_letters.ids[1::2]
    assert len(set(tables.dead_letters.ids)) == 3


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_only_post_is_a_push(tables: _Tables, rated: Record, method: str) -> None:
    """Another method is 405, whatever its body, and writes nothing."""
    response = _handle(_push(pack(rated, "prod")), method=method)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert tables.names == []


def _raise(error: Exception) -> Callable[[Columns], Outcome]:
    def answer(_: Columns) -> Outcome:
        raise error

    return answer


@pytest.mark.parametrize(
    "answer", [lambda _: _LATER, _raise(_LATER)], ids=["of the row", "of the whole insert"]
)
def test_transient_failure_is_not_acknowledged(
    tables: _Tables, rated: Record, answer: Callable[[Columns], Outcome]
) -> None:
    """What may pass with time is 503 with a pause, no dead letter, and a row when it has passed."""
    tables.events.answer = answer
    response = _handle(_push(pack(rated, "prod")))
    assert (response.status_code, response.headers["retry-after"]) == (503, "10")
    assert (tables.events.rows, tables.dead_letters.rows) == ([], [])
    tables.events.answer = lambda _: None
    assert _handle(_push(pack(rated, "prod"))).status_code == 204
    assert len(tables.events.rows) == 1


@pytest.mark.parametrize(
    ("reason", "stream", "changes"),
    [
        (Reason.UNKNOWN_TOPIC, None, {"topic": "other"}),
        (Reason.TOMBSTONE, "delivery_changed", {"value": None}),
        (Reason.MISSING_TYPE_HEADER, "delivery_changed", {"headers": (("a", b"1"), ("a", None))}),
        (Reason.MISSING_TYPE_HEADER, "delivery_changed", {"headers": ()}),
        (Reason.UNKNOWN_TYPE, "delivery_changed", {"headers": (("item_type_name", b"os.system"),)}),
        (Reason.UNKNOWN_TYPE, "delivery_changed", {"topic": "delivery_events_v4_topic"}),
        (Reason.UNDECODABLE, "delivery_changed", {"value": b"\x01"}),
        (Reason.UNDECODABLE, "delivery_changed", {"value": b""}),
        (Reason.ROW_REFUSED, "delivery_changed", {"timestamp": 2**63 - 1}),
    ],
)
def test_record_that_can_never_be_a_row_is_a_dead_letter(
    tables: _Tables, rated: Record, reason: Reason, stream: str | None, changes: dict[str, object]
) -> None:
    """Each reason code: the dead letter has the stream, every header, the position and the bytes."""
    record = _change(rated, **changes)
    assert _handle(_push(pack(record, "prod"))).status_code == 204
    dead_letter = tables.dead_letter
    assert (dead_letter["reason"], dead_letter["stream"]) == (reason, stream)
    assert dead_letter["message"]
    assert dead_letter["kafka_headers"] == _cells(record)
    names = ("kafka_topic", "kafka_partition", "kafka_offset", "kafka_timestamp_ms", "kafka_key")
    expected = [record.topic, 3, str(record.offset), str(record.timestamp), "AP9rZXk="]
    assert [dead_letter[name] for name in names] == expected
    value = None if record.value is None else base64.b64encode(record.value).decode()
    assert [dead_letter[n] for n in ("value", "env", "message_id", "complete")] == [value, "prod", "77", True]


def test_trailing_bytes_are_a_dead_letter(tables: _Tables, rated: Record) -> None:
    """An event with something behind it keeps all of its bytes."""
    value = (rated.value or b"") + b"\x00"
    assert _handle(_push(pack(_change(rated, value=value), "prod"))).status_code == 204
    assert tables.dead_letter["reason"] == Reason.TRAILING_BYTES
    assert tables.dead_letter["value"] == base64.b64encode(value).decode()


def test_malformed_envelope_is_a_dead_letter(tables: _Tables) -> None:
    """A message that no bridge wrote keeps its id, its attributes and its data."""
    assert _handle(_push(Message(b"\x00data", {"kafka.topic": "t", "a": "ü"}))).status_code == 204
    dead_letter = tables.dead_letter
    assert dead_letter["reason"] == Reason.MALFORMED_ENVELOPE
    assert "kafka.partition is missing" in str(dead_letter["message"])
    assert json.loads(str(dead_letter["attributes"])) == {"kafka.topic": "t", "a": "ü"}
    assert (dead_letter["message_id"], dead_letter["value"]) == ("77", "AGRhdGE=")
    assert dead_letter["kafka_topic"] is None


@pytest.mark.parametrize("length", [0, 1, -1])
def test_bundle_cut_short_is_a_dead_letter(tables: _Tables, rated: Record, length: int) -> None:
    """A bundle that lost its end is one dead letter with what is left; none of its records is a row."""
    message = pack_bundle((rated, rated), "prod")
    cut = Message(message.data[:length], message.attributes)
    assert _handle(_push(cut)).status_code == 204
    assert tables.dead_letter["reason"] == Reason.MALFORMED_ENVELOPE
    assert tables.dead_letter["value"] == base64.b64encode(cut.data).decode()


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b""),
        ("application/json", b"not json \xff"),
        ("application/json", b'{"message":{"data":"?","messageId":"1"}}'),
        ("application/json", b'{"message":{"data":"YQ=="}}'),
        (_STRUCTURED, b"{}"),
        ("multipart/form-data", b"--x"),
    ],
)
def test_malformed_request_is_a_dead_letter(tables: _Tables, content_type: str, body: bytes) -> None:
    """A body that is no push keeps all of its bytes: even that is not dropped."""
    assert _handle(body, content_type).status_code == 204
    dead_letter = tables.dead_letter
    assert dead_letter["reason"] == Reason.MALFORMED_ENVELOPE
    assert "request body" in str(dead_letter["message"]) or "CloudEvent" in str(dead_letter["message"])
    assert base64.b64decode(str(dead_letter["value"])) == body
    assert (dead_letter["message_id"], dead_letter["attributes"]) == (None, None)


def test_row_that_bigquery_refuses_is_a_dead_letter(tables: _Tables, rated: Record) -> None:
    """A row that BigQuery will never take keeps the record's bytes, with BigQuery's own words."""
    tables.events.answer = lambda _: _REFUSED
    assert _handle(_push(pack(rated, "prod"))).status_code == 204
    dead_letter = tables.dead_letter
    assert (dead_letter["reason"], dead_letter["message"]) == (Reason.ROW_REFUSED, "no such field")
    assert dead_letter["kafka_headers"] == _cells(rated)
    assert base64.b64decode(str(dead_letter["value"])) == rated.value


def test_row_that_is_too_large_is_a_dead_letter(
    tables: _Tables, rated: Record, catalog: Catalog, rated_event: Mapping[str, object]
) -> None:
    """An event whose JSON text is over BigQuery's limit keeps its smaller bytes in the dead letter."""
    value = _with_comment(catalog, rated_event, "\x01" * (MAX_ROW_BYTES // 6))
    assert _handle(_push(pack(_change(rated, value=value), "prod"))).status_code == 204
    dead_letter = tables.dead_letter
    assert (dead_letter["reason"], dead_letter["complete"]) == (Reason.TOO_LARGE, True)
    assert base64.b64decode(str(dead_letter["value"])) == value


def test_value_that_no_row_can_hold_is_left_to_the_dead_letter_topic(tables: _Tables, rated: Record) -> None:
    """The row says what there is, without the bytes, and the message is not acknowledged."""
    record = _change(rated, value=b"\x01" * (MAX_ROW_BYTES * 3 // 4))
    assert _handle(_push(pack(record, "prod"))).status_code == 503
    dead_letter = tables.dead_letter
    assert (dead_letter["reason"], dead_letter["complete"]) == (Reason.UNDECODABLE, False)
    assert (dead_letter["value"], dead_letter["value_size"]) == (None, len(record.value or b""))
    assert dead_letter["kafka_headers"] == _cells(rated)


def test_type_header_that_no_row_can_hold_is_left_to_the_dead_letter_topic(
    tables: _Tables, rated: Record
) -> None:
    """A bundle's header may be of any size: the row then does without it, and still is there."""
    record = _change(rated, headers=(("item_type_name", b"x" * MAX_ROW_BYTES),))
    assert _handle(_push(pack(record, "prod"))).status_code == 503
    dead_letter = tables.dead_letter
    assert (dead_letter["reason"], dead_letter["complete"]) == (Reason.UNKNOWN_TYPE, False)


@pytest.mark.parametrize("answer", [lambda _: _REFUSED, lambda _: _LATER, _raise(_LATER)])
@pytest.mark.parametrize("body", ["unknown type", "malformed envelope", "malformed request", "refused row"])
def test_dead_letter_that_is_not_inserted_is_not_acknowledged(
    tables: _Tables, rated: Record, body: str, answer: Callable[[Columns], Outcome]
) -> None:
    """Whatever BigQuery says to the dead letter, 204 needs its row."""
    bodies = {
        "unknown type": _push(pack(_change(rated, headers=(("item_type_name", b"x"),)), "prod")),
        "malformed envelope": _push(Message(b"", {})),
        "malformed request": b"no",
        "refused row": _push(pack(rated, "prod")),
    }
    tables.events.answer = lambda _: _REFUSED
    tables.dead_letters.answer = answer
    assert _handle(bodies[body]).status_code == 503


def test_bundle_is_a_row_for_each_record(tables: _Tables, rated: Record) -> None:
    """All records of a bundle are rows, each with its own position."""
    records = [_change(rated, offset=n) for n in range(100)]
    assert _handle(_push(pack_bundle(records, "prod"))).status_code == 204
    assert sorted(int(str(row["kafka_offset"])) for row in tables.events.rows) == list(range(100))
    assert len(set(tables.events.ids)) == 100


def test_bad_record_of_a_bundle_is_a_dead_letter_alone(tables: _Tables, rated: Record) -> None:
    """Records that cannot be rows cost their neighbours nothing."""
    tables.events.answer = lambda columns: _REFUSED if columns["kafka_offset"] == "4" else None
    changes: list[dict[str, object]] = [{}, {"value": None}, {"topic": "other"}, {}, {}, {"value": b"\x00"}]
    records = [_change(rated, offset=n, **change) for n, change in enumerate(changes)]
    assert _handle(_push(pack_bundle(records, "prod"))).status_code == 204
    assert sorted(str(row["kafka_offset"]) for row in tables.events.rows) == ["0", "3"]
    assert {row["kafka_offset"]: row["reason"] for row in tables.dead_letters.rows} == {
        "1": Reason.TOMBSTONE,
        "2": Reason.UNKNOWN_TOPIC,
        "4": Reason.ROW_REFUSED,
        "5": Reason.UNDECODABLE,
    }


@pytest.mark.parametrize("failing", ["0", "1", "2"])
def test_transient_record_of_a_bundle_is_not_acknowledged(
    tables: _Tables, rated: Record, failing: str
) -> None:
    """One record that may pass later is 503 for the whole; the others are in already."""
    tables.events.answer = lambda columns: _LATER if columns["kafka_offset"] == failing else None
    records = [_change(rated, offset=n) for n in range(3)]
    assert _handle(_push(pack_bundle(records, "prod"))).status_code == 503
    assert len(tables.events.rows) == 2
    assert tables.dead_letters.rows == []


@pytest.fixture
def registry(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> Iterator[SchemaRegistry]:
    """Give the registry of the topic, whose framing is confluent here; the catalogue has 7, it 8 and 9."""
    rated_type = catalog.types[_TOPIC, _TYPE.decode()]
    confluent = msgspec.structs.replace(
        rated_type,
        topic=msgspec.structs.replace(rated_type.topic, framing="confluent"),
        writers=MappingProxyType({7: rated_type.writer}),
    )
    types = MappingProxyType({(_TOPIC, _TYPE.decode()): confluent})
    monkeypatch.setattr(main, "catalog", msgspec.structs.replace(catalog, types=types))
    monkeypatch.setattr(decoder.registry, "PAUSE_S", 0.0)
    made = SchemaRegistry()
    schema = json.loads((ROOT / "decoder" / rated_type.file).read_text())
    for schema_id in (8, 9):
        made.add(schema, schema_id=schema_id)
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", made.url)
    connect.cache_clear()
    yield made
    connect.cache_clear()
    made.stop()


def _confluent(rated: Record, schema_id: int, offset: int) -> Record:
    return _change(rated, offset=offset, value=b"\0" + schema_id.to_bytes(4, "big") + (rated.value or b""))


@pytest.mark.parametrize("schema_ids", [[8], [7, 8], [8, 7], [7, 8, 7]])
def test_registry_that_does_not_answer_is_not_acknowledged(
    tables: _Tables, rated: Record, registry: SchemaRegistry, schema_ids: list[int]
) -> None:
    """A writer schema that cannot be looked up now is 503 and no dead letter; nothing beside it is lost."""
    registry.status = 503
    records = [_confluent(rated, schema_id, offset) for offset, schema_id in enumerate(schema_ids)]
    body = _push(pack_bundle([*records, _change(rated, offset=99, value=None)], "prod"))
    response = _handle(body)
    assert (response.status_code, response.headers["retry-after"]) == (503, "10")
    assert (tables.events.rows, tables.dead_letters.rows) == ([], [])
    registry.status = 200
    assert _handle(body).status_code == 204
    assert [row["kafka_offset"] for row in tables.events.rows] == [str(n) for n in range(len(records))]
    assert [row["reason"] for row in tables.dead_letters.rows] == [Reason.TOMBSTONE]


def test_registry_that_hangs_keeps_nobody_else_waiting(
    tables: _Tables, rated: Record, registry: SchemaRegistry
) -> None:
    """While one id's look-up has no answer, other messages are answered, a new id among them."""
    registry.held.add("/schemas/ids/8")

    def ask(schema_id: int, offset: int) -> asyncio.Task[Response]:
        body = _push(pack(_confluent(rated, schema_id, offset), "prod"))
        return asyncio.create_task(_answer(body, content_length=str(len(body))))

    async def answers() -> list[int]:
        waiting = [ask(8, offset) for offset in range(3)]
        await asyncio.to_thread(registry.was_asked.wait, 10)
        others = [await ask(schema_id, 3 + schema_id) for schema_id in (7, 9, 7)]
        assert [task.result().status_code for task in waiting if task.done()] == []
        registry.hold.set()
        return [answer.status_code for answer in [*others, *await asyncio.gather(*waiting)]]

    assert asyncio.run(asyncio.wait_for(answers(), 20)) == [204] * 6
    assert registry.asked == ["/schemas/ids/8", "/schemas/ids/9"]
    assert len(tables.events.rows) == 6


def test_schema_that_refers_to_others_is_asked_for_whole(
    tables: _Tables, rated: Record, registry: SchemaRegistry, catalog: Catalog
) -> None:
    """An event whose schema the registry keeps in parts is a row; a part that is gone is a dead letter."""
    file = catalog.types[_TOPIC, _TYPE.decode()].file
    schema = json.loads((ROOT / "decoder" / file).read_text())
    asked_by = next(field for field in schema["fields"] if field["name"] == "asked_by")
    name = f"{schema['namespace']}.AskedBy"
    registry.add({**asked_by["type"], "namespace": schema["namespace"]}, schema_id=1, subject="asked-by")
    asked_by["type"] = name
    registry.add(schema, schema_id=10, references=((name, "asked-by", 1),))
    registry.add(schema, schema_id=11, references=((name, "gone", 1),))
    for schema_id in (10, 11):
        assert _handle(_push(pack(_confluent(rated, schema_id, schema_id), "prod"))).status_code == 204
    (row,) = tables.events.rows
    assert json.loads(str(row["event_json"]))["asked_by"] == "PUSH"
    assert [letter["reason"] for letter in tables.dead_letters.rows] == [Reason.UNKNOWN_SCHEMA]


@pytest.mark.usefixtures("registry")
def test_unknown_schema_of_a_bundle_dead_letters_alone(tables: _Tables, rated: Record) -> None:
    """An id that the registry does not know is one dead letter; its neighbours are rows."""
    records = [_confluent(rated, schema_id, offset) for offset, schema_id in enumerate((7, 404, 8))]
    assert _handle(_push(pack_bundle(records, "prod"))).status_code == 204
    assert [row["kafka_offset"] for row in tables.events.rows] == ["0", "2"]
    assert [row["reason"] for row in tables.dead_letters.rows] == [Reason.UNKNOWN_SCHEMA]


_texts = st.text(max_size=10)
_bytes = st.binary(max_size=40)
_some_records = st.builds(
    Record,
    topic=st.sampled_from([_TOPIC, "delivery_events_v4_topic", "other"]),
    partition=st.integers(0, 3),
    offset=st.integers(0, 2**63 - 1),
    timestamp=st.none() | st.integers(-(2**63), 2**63 - 1) | st.just(1_709_251_199_999),
    key=st.none() | _bytes,
    headers=st.lists(
        st.tuples(st.just("item_type_name") | _texts, st.none() | st.just(_TYPE) | _bytes), max_size=4
    ).map(tuple),
    value=st.none() | _bytes | st.just(b"good"),
)
_attributes = st.dictionaries(
    st.sampled_from(["kafka.topic", "kafka.partition", "kafka.offset", "kafka.bundle"]) | _texts,
    st.sampled_from(["0", "1", _TOPIC]) | _texts,
    max_size=5,
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | _texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["message", "data", "data_base64", "attributes", "messageId"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)
# Bodies that are hardly ever a message of the bridge's, and records that the bridge sends together.
_bodies = st.one_of(
    _bytes,
    _json.map(msgspec.json.encode),
    st.builds(Message, _bytes, _attributes).map(_push),
)
_batches = st.lists(_some_records, min_size=1, max_size=4)
_content_types = st.sampled_from(["application/json", "", _STRUCTURED, "text/plain"])


@pytest.fixture(scope="module")
def _quiet() -> Iterator[None]:
    """Keep thousands of log lines out of the output."""
    logs.log.disabled = True
    yield
    logs.log.disabled = False


@pytest.mark.usefixtures("_quiet")
@settings(max_examples=200)
@given(
    _bodies | _batches, _content_types, st.lists(st.sampled_from([None, None, _REFUSED, _LATER]), min_size=1)
)
def test_no_input_is_acknowledged_without_an_insert(
    rated: Record, request_of: bytes | list[Record], content_type: str, outcomes: list[Outcome]
) -> None:
    """Whatever comes, and whatever BigQuery says: 204 means a row or a dead letter for each record."""
    body, count = _request(request_of, rated)
    tables, answers = _Tables(), cycle(outcomes)
    tables.events.answer = tables.dead_letters.answer = lambda _: next(answers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(main, "writer", Writer(tables.connect, Limits(pause_s=0.0)))
        status = _handle(body, content_type).status_code
    inserted = len(tables.events.rows) + len(tables.dead_letters.rows)
    assert status in (204, 503)
    if status == 204:
        assert inserted == (1 if content_type == _STRUCTURED else count)
    else:
        assert set(outcomes) != {None}, "BigQuery took everything"


def _request(request_of: bytes | list[Record], rated: Record) -> tuple[bytes, int]:
    """Return a body and how many records are in it: 1 where it is no message of the bridge's."""
    if isinstance(request_of, bytes):
        return request_of, 1
    records = [
        _change(record, value=rated.value) if record.value == b"good" else record for record in request_of
    ]
    message = pack(records[0], "prod") if len(records) == 1 else pack_bundle(records, "prod")
    return _push(message), len(records)


def test_bundle_of_two_streams_is_an_insert_each(tables: _Tables, rated: Record) -> None:
    """Rows of one bundle go together, a request a table, and so do its dead letters."""
    groups: list[int] = []

    class Counted(_Table):
        def insert(self, rows: Sequence[Row]) -> list[Outcome]:
            groups.append(len(rows))
            return super().insert(rows)

    tables.events, tables.dead_letters = Counted(), Counted()
    records = [_change(rated, offset=offset) for offset in range(100)]
    records[::10] = [_change(record, value=b"\x01") for record in records[::10]]
    assert _handle(_push(pack_bundle(records, "prod"))).status_code == 204
    assert groups == [90, 10]


def test_dead_letter_that_is_not_taken_is_not_acknowledged(tables: _Tables, rated: Record) -> None:
    """Whether BigQuery refuses the dead letter's row or is down: the message comes again."""
    for outcome in (_REFUSED, _LATER):
        tables.dead_letters.answer = lambda _, outcome=outcome: outcome  # type: ignore[misc]
        assert _handle(_push(pack(_change(rated, value=b""), "prod"))).status_code == 503
        assert _handle(b"no push").status_code == 503
    assert tables.dead_letters.rows == []


def test_request_over_the_room_is_answered_before_it_is_read(
    tables: _Tables, rated: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where as much waits as may, a request is 503 by its length alone, and takes nothing."""
    room = Room(max_bytes=1_000)
    monkeypatch.setattr(main, "requests_room", room)
    assert room.take(900)
    body = _push(pack(rated, "prod"))
    assert _handle(body, content_length=str(len(body))).status_code == 503
    assert _handle(body).status_code == 503
    assert tables.names == []
    room.give_back(900)
    assert _handle(body, content_length=str(len(body))).status_code == 204
    assert room.used == 0


def test_bug_is_not_acknowledged(tables: _Tables, rated: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever handle did not foresee is 500, and the next request is as before."""
    with monkeypatch.context() as patch:
        patch.setattr(main, "event_row", lambda *_: 1 / 0)
        assert _handle(_push(pack(rated, "prod"))).status_code == 500
    assert main.requests_room.used == 0
    assert _handle(_push(pack(rated, "prod"))).status_code == 204
    assert len(tables.events.rows) == 1


def test_lines_have_trace_and_position_and_no_payload(
    tables: _Tables, rated: Record, written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead letter and a message that comes again are a line each, with what finds them in Kafka."""
    monkeypatch.setenv("BIGQUERY_PROJECT", "p")
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    header = f"00-{trace}-00f067aa0ba902b7-01"
    tables.events.answer = lambda _: RejectedError(Reason.ROW_REFUSED, "bad value: très bien")
    assert _handle(_push(pack(rated, "prod")), traceparent=header).status_code == 204
    tables.events.answer = lambda _: _LATER
    assert _handle(_push(pack(rated, "prod")), traceparent=header).status_code == 503
    output = written.getvalue()
    found = [json.loads(line) for line in output.splitlines()]
    lines = [line for line in found if line["message"] != "inserted"]
    assert [line["message"] for line in lines] == ["dead letter: row_refused", "not acknowledged: 503"]
    for line in lines:
        assert line["logging.googleapis.com/trace"] == f"projects/p/traces/{trace}"
        position = [line[name] for name in ("kafka_topic", "kafka_partition", "kafka_offset")]
        assert position == [_TOPIC, 3, str(rated.offset)]
    assert all("logging.googleapis.com/trace" not in line for line in found if line not in lines)
    assert "bien" not in output


def test_nothing_heavy_is_imported_before_the_first_row() -> None:
    """A cold start waits for no HTTP client, no credentials and no client library."""
    heavy = "{'google.auth', 'requests', 'urllib3', 'grpc', 'google.protobuf', 'sink.connect'}"
    code = f"import sys, main; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_replayed_record_is_marked(tables: _Tables, rated: Record) -> None:
    """A row that came of a replay says so, and so does a dead letter; others have no such column."""
    for value in (rated.value, b"\x01"):
        message = pack(_change(rated, value=value), "prod")
        marked = Message(message.data, {**message.attributes, "kafka.replayed": "2026-11-24T12:00:00Z"})
        assert _handle(_push(message)).status_code == 204
        assert _handle(_push(marked)).status_code == 204
    for table in (tables.events, tables.dead_letters):
        assert [row.get("replayed_at") for row in table.rows] == [None, "2026-11-24T12:00:00Z"]
        assert len(set(table.ids)) == 1
