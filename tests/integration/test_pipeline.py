"""The whole pipeline as real processes: mock Kafka, bridge, Pub/Sub, function, a strict BigQuery."""

import base64
import io
import itertools
import json
import random
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import pytest
import requests
from google.pubsub_v1.types import pubsub as types

import envelope
from decoder.catalog import load_catalog
from decoder.rows import insert_id
from envelope import Message, Record
from local import pubsub, stack, tables
from local.processes import Process, accepts, free_port
from local.stack import PROJECT, Stack
from rejection import Reason
from tests.events import SampleEvent, sample_events
from tests.integration.strict_bigquery import StrictBigQuery
from tests.integration.waiting import eventually

V6 = "delivery_events_v6_topic"
ON_HOLD = "delivery.events.v6.DeliveryOnHoldV6"
NOW_MS = int(datetime.now(UTC).timestamp() * 1000)


@dataclass
class Pipeline:
    """A running stack whose function inserts through a strict BigQuery."""

    stack: Stack
    bigquery: StrictBigQuery
    offsets: Iterator[int]

    def query(self, sql: str) -> list[dict[str, object]]:
        """Return the rows of an answer."""
        return [dict(row) for row in self.stack.state.bigquery.query_and_wait(sql)]

    def total(self) -> int:
        """Count what has arrived, each record once."""
        return tables.count(self.stack.state.bigquery, self.stack.streams).total

    def produce(self, events: list[SampleEvent]) -> None:
        """Put events into Kafka."""
        for event in events:
            self.stack.cluster.producer.produce(
                event.topic, event.value, key=event.key, headers=list(event.headers)
            )
        assert self.stack.cluster.producer.flush(10) == 0

    def record(self, value: bytes | None, *, topic: str = V6, type_name: str | None = ON_HOLD) -> Record:
        """Return a record at a position of its own, in a partition that Kafka does not have."""
        headers = () if type_name is None else (("item_type_name", type_name.encode()),)
        return Record(topic, 999, next(self.offsets), NOW_MS, b"key", headers, value)

    def publish(self, message: Message) -> None:
        """Publish a message past the bridge."""
        client = pubsub.publisher(self.stack.state.pubsub)
        with client:
            client.publish(
                topic=client.topic_path(PROJECT, pubsub.TOPIC),
                messages=[types.PubsubMessage(data=message.data, attributes=message.attributes)],
            )

    def post(self, body: bytes, **headers: str) -> requests.Response:
        """Send the function a request, as Pub/Sub or Eventarc would."""
        url = f"http://127.0.0.1:{self.stack.state.function_port}"
        return requests.post(url, body, headers={"Content-Type": "application/json", **headers}, timeout=30)

    def dead_letter(self, where: str) -> dict[str, object]:
        """Return the one dead letter that a condition picks, once it is there."""
        (row,) = eventually(lambda: self.query(f"SELECT * FROM `events.dead_letters_unique` WHERE {where}"))
        return row


@contextmanager
def running(folder: Path, *, max_delivery_attempts: int = stack.MAX_DELIVERY_ATTEMPTS) -> Iterator[Pipeline]:
    """Start a pipeline."""
    bigquery = StrictBigQuery()
    server = stack.default_pubsub()
    env = {"BIGQUERY_EMULATOR_HOST": bigquery.url}
    bridge_env = {"KAFKA_PROPERTIES_FILE": str(_soon_missed(folder))}
    try:
        with stack.started(
            server,
            folder,
            max_delivery_attempts=max_delivery_attempts,
            function_env=env,
            bridge_env=bridge_env,
        ) as running_stack:
            bigquery.emulator = f"http://127.0.0.1:{running_stack.state.bigquery_port}"
            yield Pipeline(running_stack, bigquery, itertools.count())
    finally:
        bigquery.stop()


def _soon_missed(folder: Path) -> Path:
    """Return properties with which the group misses a killed member after 6 s instead of 45."""
    path = folder / "bridge.properties"
    path.write_text("# a comment\nsession.timeout.ms=6000\nheartbeat.interval.ms=1000\n")
    return path


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """One pipeline for the tests of this file."""
    with running(tmp_path_factory.mktemp("stack")) as made:
        yield made


@pytest.fixture(scope="module")
def good() -> Iterator[SampleEvent]:
    """Events of one topic that decode, none twice."""
    return (e for e in sample_events(7, lambda: datetime.now(UTC)) if e.spoiled is None and e.topic == V6)


def push(message: Message, message_id: str) -> bytes:
    """Return the body of a push."""
    data = base64.b64encode(message.data).decode()
    inner = {"data": data, "attributes": message.attributes, "messageId": message_id}
    return json.dumps({"message": inner, "subscription": "projects/p/subscriptions/s"}).encode()


def restart(processes: dict[str, Process], name: str, start: Callable[[], Process], port: int) -> None:
    """Start a process again that was ended, in its place, and wait until it listens."""
    assert processes[name].exit_code() is not None
    again = processes[name] = start()
    again.await_ready(lambda: accepts(port))


def test_events_of_all_streams_become_rows_and_spoiled_ones_dead_letters(pipeline: Pipeline) -> None:
    """Every event of the five streams is one row of its table, every spoiled one a dead letter."""
    before = tables.count(pipeline.stack.state.bigquery, pipeline.stack.streams)
    assert before.total == 0
    events = list(itertools.islice(sample_events(1, lambda: datetime.now(UTC), spoil_ratio=0.1), 300))
    pipeline.produce(events)
    eventually(lambda: pipeline.total() == len(events), 60)
    counts = tables.count(pipeline.stack.state.bigquery, pipeline.stack.streams)
    stream_of = {topic.name: n for n, s in pipeline.stack.streams.items() for topic in s.topics}
    for stream in pipeline.stack.streams:
        sent = [e for e in events if stream_of[e.topic] == stream and e.spoiled is None]
        assert counts.rows[stream] == len(sent) > 0
        rows = pipeline.query(f"SELECT * FROM `events.{stream}_unique`")
        assert sorted(str(row["event_id"]) for row in rows) == sorted(str(e.event["id"]) for e in sent)
        by_id = {str(e.event["id"]): e for e in sent}
        for row in rows:
            event = by_id[str(row["event_id"])]
            assert row["event_type"] == event.item_type_name.rpartition(".")[2]
            assert row["kafka_topic"] == event.topic
            assert row["kafka_key"] == event.key
            assert row["env"] == "local"
            headers = row["kafka_headers"]
            assert isinstance(headers, list)
            assert sorted((h["name"], h["value"] or b"") for h in headers) == sorted(
                (name, value or b"") for name, value in event.headers
            )
            assert json.loads(str(row["event_json"])).keys() == event.event.keys()
            assert str(row["kafka_date"]) == str(row["kafka_timestamp"])[:10]
    spoiled = [e.spoiled for e in events if e.spoiled]
    assert counts.dead_letters == {reason: spoiled.count(reason) for reason in sorted(set(spoiled))}
    assert set(counts.dead_letters) >= {"missing_type_header", "unknown_type", "undecodable", "tombstone"}


# No topic of the repository has a framing that names a schema.
@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.UNKNOWN_SCHEMA])
def test_each_reason_becomes_a_dead_letter(
    pipeline: Pipeline, good: Iterator[SampleEvent], reason: Reason
) -> None:
    """A message that can never succeed is kept with its reason, its position, its headers and its bytes."""
    event = next(good)
    value = event.value or b""
    record = {
        Reason.MALFORMED_ENVELOPE: pipeline.record(b"some data"),
        Reason.UNKNOWN_TOPIC: pipeline.record(value, topic="nobody_reads_this"),
        Reason.TOMBSTONE: pipeline.record(None),
        Reason.MISSING_TYPE_HEADER: pipeline.record(value, type_name=None),
        Reason.UNKNOWN_TYPE: pipeline.record(value, type_name="delivery.events.v6.DeliveryLostV6"),
        Reason.UNDECODABLE: pipeline.record(value[:-1], type_name=event.item_type_name),
        Reason.TRAILING_BYTES: pipeline.record(value + b"\x00", type_name=event.item_type_name),
        Reason.TOO_LARGE: pipeline.record(_long_comment(), type_name="delivery.events.v6.DeliveryRatedV6"),
        Reason.ROW_REFUSED: pipeline.record(value, type_name=event.item_type_name),
    }[reason]
    if reason is Reason.ROW_REFUSED:
        pipeline.bigquery.refused_event_ids.add(str(event.event["id"]))
    if reason is Reason.MALFORMED_ENVELOPE:
        pipeline.publish(Message(b"some data", {"kafka.topic": V6, "kafka.partition": "one", "a": "b"}))
        row = pipeline.dead_letter("reason = 'malformed_envelope'")
        assert json.loads(str(row["attributes"])) == {"kafka.topic": V6, "kafka.partition": "one", "a": "b"}
        assert row["message_id"]
    else:
        pipeline.publish(envelope.pack(record, "test"))
        row = pipeline.dead_letter(f"kafka_partition = 999 AND kafka_offset = {record.offset}")
        assert row["kafka_topic"] == record.topic
        assert row["kafka_key"] == b"key"
        assert [(h["name"], h["value"]) for h in row["kafka_headers"]] == list(record.headers)  # type: ignore[attr-defined] # an answer's cells are untyped
        assert row["kafka_timestamp_ms"] == NOW_MS
        assert row["stream"] == (None if reason is Reason.UNKNOWN_TOPIC else "delivery_changed")
        assert row["env"] == "test"
    assert row["reason"] == reason
    assert row["value"] == record.value
    assert row["complete"] is True
    assert len(str(row["message"])) > 20


def _long_comment() -> bytes:
    """Return a DeliveryRatedV6 whose comment is 2 MB as Avro and, escaped, 12 MB as JSON."""
    schema = load_catalog().types[V6, "delivery.events.v6.DeliveryRatedV6"].schema
    events = sample_events(3, lambda: datetime.now(UTC))
    rated = next(e.event for e in events if e.item_type_name.endswith("DeliveryRatedV6") and not e.spoiled)
    (comment,) = [name for name in rated if "comment" in name]
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, schema, {**rated, comment: "\x01" * 2_000_000})
    return buffer.getvalue()


def test_handle_takes_a_push_and_cloudevents(pipeline: Pipeline, good: Iterator[SampleEvent]) -> None:
    """The same message as Pub/Sub's push and as a binary and a structured CloudEvent each becomes a row."""
    expected = {}
    for form in ("push", "binary", "structured", "structured base64"):
        event = next(good)
        record = pipeline.record(event.value, type_name=event.item_type_name)
        expected[record.offset] = str(event.event["id"])
        body = push(envelope.pack(record, "test"), f"form-{form}")
        ce = {"id": "1", "source": "//pubsub", "type": "google.cloud.pubsub.topic.v1.messagePublished"}
        structured = {**ce, "specversion": "1.0", "datacontenttype": "application/json"}
        match form:
            case "push":
                answer = pipeline.post(body)
            case "binary":
                answer = pipeline.post(
                    body, **{f"ce-{n}": v for n, v in ce.items()}, **{"ce-specversion": "1.0"}
                )
            case "structured":
                content = json.dumps({**structured, "data": json.loads(body)}).encode()
                answer = pipeline.post(
                    content, **{"Content-Type": "application/cloudevents+json; charset=UTF-8"}
                )
            case _:
                content = json.dumps({**structured, "data_base64": base64.b64encode(body).decode()}).encode()
                answer = pipeline.post(content, **{"Content-Type": "application/cloudevents+json"})
        assert answer.status_code == 204, answer.text
    sql = "SELECT kafka_offset, event_id FROM `events.delivery_changed` WHERE kafka_partition = 999"
    rows = {row["kafka_offset"]: row["event_id"] for row in pipeline.query(sql)}
    assert expected.items() <= rows.items()


@pytest.mark.parametrize(
    "body", [b"", b"not json", b"[]", b"{}", b'{"message": {"data": "%%%", "messageId": "1"}}']
)
def test_a_body_that_is_no_push_becomes_a_dead_letter(pipeline: Pipeline, body: bytes) -> None:
    """A malformed request is acknowledged with its bytes in dead_letters; sent twice, shown once."""
    assert pipeline.post(body).status_code == 204
    assert pipeline.post(body).status_code == 204
    rows = pipeline.query("SELECT value FROM `events.dead_letters_unique` WHERE message_id IS NULL")
    assert [row["value"] for row in rows].count(body) == 1


def test_a_refused_row_does_not_hinder_its_neighbours(
    pipeline: Pipeline, good: Iterator[SampleEvent]
) -> None:
    """In a bundle of twenty, the one that BigQuery refuses is a dead letter and nineteen are rows."""
    events = list(itertools.islice(good, 20))
    records = [pipeline.record(e.value, type_name=e.item_type_name) for e in events]
    pipeline.bigquery.refused_event_ids.add(str(events[7].event["id"]))
    before = len(pipeline.bigquery.requests)
    assert pipeline.post(push(envelope.pack_bundle(records, "test"), "bundle")).status_code == 204
    offsets = ", ".join(str(record.offset) for record in records)
    where = f"kafka_partition = 999 AND kafka_offset IN ({offsets})"
    assert len(pipeline.query(f"SELECT 1 FROM `events.delivery_changed` WHERE {where}")) == 19
    assert pipeline.dead_letter(where)["reason"] == "row_refused"
    # One insert of twenty, or one of the first and one of the rest; then the dead letter's.
    assert len(pipeline.bigquery.requests) - before <= 3


def test_a_row_with_a_field_that_the_table_lacks_becomes_a_dead_letter(
    pipeline: Pipeline, good: Iterator[SampleEvent]
) -> None:
    """Where the table lacks a column, the row is kept as a dead letter that repeats BigQuery's words."""
    event = next(good)
    record = pipeline.record(event.value, type_name=event.item_type_name)
    pipeline.bigquery.absent_columns.add("topic_version")
    try:
        assert pipeline.post(push(envelope.pack(record, "test"), "absent")).status_code == 204
    finally:
        pipeline.bigquery.absent_columns.clear()
    row = pipeline.dead_letter(f"kafka_partition = 999 AND kafka_offset = {record.offset}")
    assert row["reason"] == "row_refused"
    assert "no such field: topic_version" in str(row["message"])


def test_a_row_with_null_in_a_required_column_becomes_a_dead_letter(
    pipeline: Pipeline, good: Iterator[SampleEvent]
) -> None:
    """Where the table requires what the record does not have, the row is kept as a dead letter."""
    event = next(good)
    record = pipeline.record(event.value, type_name=event.item_type_name)
    required = msgspec.structs.replace(record, timestamp=None)
    # A column that dead_letters does not have, so that the dead letter is still taken.
    pipeline.bigquery.required_columns.add("kafka_date")
    try:
        assert pipeline.post(push(envelope.pack(required, "test"), "required")).status_code == 204
    finally:
        pipeline.bigquery.required_columns.clear()
    row = pipeline.dead_letter(f"kafka_partition = 999 AND kafka_offset = {record.offset}")
    assert row["reason"] == "row_refused"
    assert "kafka_date: Missing required field" in str(row["message"])


@pytest.mark.parametrize("year", [1999, 2999])
def test_a_row_of_a_day_that_cannot_be_streamed_becomes_a_dead_letter(
    pipeline: Pipeline, good: Iterator[SampleEvent], year: int
) -> None:
    """A record whose Kafka timestamp is years away is no retry loop: the dead letter has it."""
    event = next(good)
    record = pipeline.record(event.value, type_name=event.item_type_name)
    timestamp = int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1_000
    record = msgspec.structs.replace(record, timestamp=timestamp)
    assert pipeline.post(push(envelope.pack(record, "test"), f"year-{year}")).status_code == 204
    row = pipeline.dead_letter(f"kafka_partition = 999 AND kafka_offset = {record.offset}")
    assert (row["reason"], row["kafka_timestamp_ms"]) == ("row_refused", timestamp)
    assert "kafka_date" in str(row["message"])


@pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
def test_a_failure_that_may_pass_is_not_acknowledged(
    pipeline: Pipeline, good: Iterator[SampleEvent], status: int
) -> None:
    """While BigQuery fails the answer is 503; afterwards the same push becomes a row."""
    event = next(good)
    record = pipeline.record(event.value, type_name=event.item_type_name)
    body = push(envelope.pack(record, "test"), f"transient-{status}")
    where = f"kafka_partition = 999 AND kafka_offset = {record.offset}"
    sql = f"SELECT 1 FROM `events.delivery_changed` WHERE {where}"
    pipeline.bigquery.failures.append(status)
    assert pipeline.post(body).status_code == 503
    assert pipeline.query(sql) == []
    # Answered at once, and BigQuery not asked, until the table's pause is over.
    eventually(lambda: pipeline.post(body).status_code == 204)
    assert len(pipeline.query(sql)) == 1


def test_repeats_change_nothing_that_a_reader_sees(pipeline: Pipeline, good: Iterator[SampleEvent]) -> None:
    """A repeated push is dropped by its insertId, and shown once by the view where that is forgotten."""
    event = next(good)
    record = pipeline.record(event.value, type_name=event.item_type_name)
    body = push(envelope.pack(record, "test"), "repeat")
    where = f"kafka_partition = 999 AND kafka_offset = {record.offset}"
    for _ in range(3):
        assert pipeline.post(body).status_code == 204
    assert len(pipeline.query(f"SELECT 1 FROM `events.delivery_changed` WHERE {where}")) == 1
    pipeline.bigquery.forget(insert_id(record))
    assert pipeline.post(body).status_code == 204
    assert len(pipeline.query(f"SELECT 1 FROM `events.delivery_changed` WHERE {where}")) == 2
    assert len(pipeline.query(f"SELECT 1 FROM `events.delivery_changed_unique` WHERE {where}")) == 1


def test_three_pushes_of_each_over_several_workers_are_one_row_each(
    pipeline: Pipeline, good: Iterator[SampleEvent], tmp_path: Path
) -> None:
    """Out of order, over three workers, with no insertId remembered: the view has each record once."""
    state = pipeline.stack.state
    port = free_port()
    elsewhere = msgspec.structs.replace(state, function_port=port)
    env = {"BIGQUERY_EMULATOR_HOST": pipeline.bigquery.url, "WORKERS": "3"}
    records = [
        pipeline.record(event.value, type_name=event.item_type_name) for event in itertools.islice(good, 40)
    ]
    bodies = [push(envelope.pack(record, "test"), f"thrice-{record.offset}") for record in records[:20]]
    bodies.append(push(envelope.pack_bundle(records[20:], "test"), "thrice-bundle"))
    bodies *= 3
    random.Random(1).shuffle(bodies)
    process = stack.start_function(elsewhere, tmp_path / "workers.log", env)
    pipeline.bigquery.remembers = False
    try:
        process.await_ready(lambda: accepts(port))
        with ThreadPoolExecutor(8) as threads:
            answers = list(
                threads.map(lambda b: requests.post(f"http://127.0.0.1:{port}", b, timeout=60), bodies)
            )
    finally:
        pipeline.bigquery.remembers = True
        process.stop()
    assert {answer.status_code for answer in answers} == {204}
    offsets = ", ".join(str(record.offset) for record in records)
    where = f"kafka_partition = 999 AND kafka_offset IN ({offsets})"
    assert len(pipeline.query(f"SELECT 1 FROM `events.delivery_changed` WHERE {where}")) == 120
    once = pipeline.query(f"SELECT kafka_offset FROM `events.delivery_changed_unique` WHERE {where}")
    assert sorted(int(str(row["kafka_offset"])) for row in once) == [record.offset for record in records]


def test_a_new_column_and_a_new_field_need_no_restart(
    pipeline: Pipeline, good: Iterator[SampleEvent]
) -> None:
    """Rows land in a table that has one column more; so does a container's new field; others are kept."""
    # In the stand-in alone: the emulator answers 500 to any insert into a table that was altered.
    pipeline.bigquery.added_columns = [{"name": "noted_later", "type": "STRING", "mode": "NULLABLE"}]
    event = next(good)
    record = pipeline.record(event.value, type_name=event.item_type_name)
    longer = pipeline.record((event.value or b"") + b"\x06new", type_name=event.item_type_name)
    contained = pipeline.record(_with_a_new_field(event), type_name=event.item_type_name)
    for each in (record, longer, contained):
        assert pipeline.post(push(envelope.pack(each, "test"), f"new-{each.offset}")).status_code == 204
    where = f"kafka_partition = 999 AND kafka_offset = {record.offset}"
    assert len(pipeline.query(f"SELECT 1 FROM `events.delivery_changed` WHERE {where}")) == 1
    where = f"kafka_partition = 999 AND kafka_offset = {contained.offset}"
    (row,) = pipeline.query(f"SELECT event_json FROM `events.delivery_changed` WHERE {where}")
    assert json.loads(str(row["event_json"]))["noted"] == [{"by": "driver"}]
    letter = pipeline.dead_letter(f"kafka_partition = 999 AND kafka_offset = {longer.offset}")
    assert (letter["reason"], letter["value"]) == ("trailing_bytes", longer.value)


def _with_a_new_field(sample: SampleEvent) -> bytes:
    """Return an event as a container whose schema has a field that the catalogue does not know."""
    known: dict[str, Any] = dict(load_catalog().types[sample.topic, sample.item_type_name].schema)  # type: ignore[arg-type] # a record
    note = {"type": "record", "name": "Note", "fields": [{"name": "by", "type": "string"}]}
    noted = {"name": "noted", "type": {"type": "array", "items": note}}
    schema = {"type": "record", "name": known["name"], "fields": [*known["fields"], noted]}
    buffer = io.BytesIO()
    fastavro.writer(buffer, schema, [{**sample.event, "noted": [{"by": "driver"}]}])
    return buffer.getvalue()


def test_the_function_being_down_for_a_while_loses_nothing(
    pipeline: Pipeline, good: Iterator[SampleEvent]
) -> None:
    """What is produced while the function is down becomes rows when it is back."""
    state, processes = pipeline.stack.state, pipeline.stack.processes
    before = pipeline.total()
    processes["function"].stop()
    pipeline.produce(list(itertools.islice(good, 30)))
    forwarded = state.bridge_counts()["forwarded"]
    eventually(lambda: state.bridge_counts()["forwarded"] >= forwarded)
    env = {"BIGQUERY_EMULATOR_HOST": pipeline.bigquery.url}
    log = Path(state.logs) / "function-again.log"
    restart(processes, "function", lambda: stack.start_function(state, log, env), state.function_port)
    eventually(lambda: pipeline.total() == before + 30, 60)


def test_the_bridge_killed_and_started_again_loses_nothing(
    pipeline: Pipeline, good: Iterator[SampleEvent]
) -> None:
    """What is produced before, while and after the bridge is killed becomes rows, each once."""
    state, processes = pipeline.stack.state, pipeline.stack.processes
    before = pipeline.total()
    topics = [topic.name for stream in pipeline.stack.streams.values() for topic in stream.topics]
    pipeline.produce(list(itertools.islice(good, 100)))
    processes["bridge"].send(signal.SIGKILL)
    processes["bridge"].wait(10)
    pipeline.produce(list(itertools.islice(good, 20)))
    log = Path(state.logs) / "bridge-again.log"
    env = {"KAFKA_PROPERTIES_FILE": str(_soon_missed(log.parent))}
    restart(processes, "bridge", lambda: stack.start_bridge(state, topics, log, env), state.bridge_port)
    pipeline.produce(list(itertools.islice(good, 20)))
    eventually(lambda: pipeline.total() == before + 140, 60)


def test_what_no_row_can_hold_stays_in_the_dead_letter_topic(tmp_path: Path) -> None:
    """A value too large for dead_letters is in the dead-letter topic whole, the row has its size."""
    with running(tmp_path, max_delivery_attempts=5) as pipeline:
        value = bytes(8_000_000)
        record = pipeline.record(value, type_name="delivery.events.v6.DeliveryRatedV6")
        pipeline.publish(envelope.pack(record, "test"))
        row = pipeline.dead_letter(f"kafka_partition = 999 AND kafka_offset = {record.offset}")
        assert row["complete"] is False
        assert row["value"] is None
        assert row["value_size"] == len(value)
        client = pubsub.subscriber(pipeline.stack.state.pubsub)
        with client:
            subscription = client.subscription_path(PROJECT, pubsub.DEAD_LETTERS)
            pulled = eventually(
                lambda: client.pull(subscription=subscription, max_messages=1, timeout=10).received_messages,
                60,
            )
        message = pulled[0].message
        (kept,) = envelope.unpack(Message(message.data, dict(message.attributes))).records
        assert kept == record
