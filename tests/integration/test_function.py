"""The function alone, started as its user starts it; its BigQuery does what it is told, over real HTTP."""

import base64
import itertools
import json
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import requests

import envelope
from decoder.catalog import load_catalog
from decoder.rows import insert_id
from envelope import Message, Record
from local import stack
from local.processes import Process, accepts, free_port
from sink.batch import MAX_ROW_BYTES
from tests.events import sample_events
from tests.integration.told_bigquery import Server, answer, error, reset
from tests.integration.waiting import eventually
from tests.unit.decoder.making import schemaless

TOPIC = "delivery_events_v6_topic"
RATED = "delivery.events.v6.DeliveryRatedV6"
SECRET = "s3cr3t"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@dataclass
class Function:
    """A running function and the BigQuery that it inserts into."""

    process: Process
    bigquery: Server
    port: int

    def push(self, message: Message, **headers: str) -> requests.Response:
        """Push a message, as Pub/Sub does."""
        inner = {"data": message.data, "attributes": message.attributes, "messageId": "1"}
        body = msgspec.json.encode({"message": inner, "subscription": "projects/p/subscriptions/s"})
        headers = {"Content-Type": "application/json", **headers}
        return requests.post(f"http://127.0.0.1:{self.port}", body, headers=headers, timeout=60)

    def push_all(self, messages: Sequence[Message]) -> set[int]:
        """Push messages, two at once, and return the statuses of the answers."""
        with ThreadPoolExecutor(2) as threads:
            return {response.status_code for response in threads.map(self.push, messages)}

    def lines(self) -> list[dict[str, object]]:
        """Return the log lines that are JSON."""
        text = self.process.log.read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def memory_mb(self) -> int:
        """Return the memory of its processes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        status = [Path(f"/proc/{pid}/status").read_text() for pid in (self.process.pid, *children)]
        return sum(int(text.partition("VmRSS:")[2].split()[0]) // 1024 for text in status)

    def saying(self, text: str) -> list[dict[str, object]]:
        """Return the log lines whose message begins so."""
        return [line for line in self.lines() if str(line["message"]).startswith(text)]


@pytest.fixture
def function(tmp_path: Path) -> Iterator[Function]:
    """Give a function with one worker."""
    bigquery, port = Server(), free_port()
    state = stack.State(kafka="", pubsub="", bigquery_port=0, function_port=port, bridge_port=0, logs="")
    env = {"BIGQUERY_EMULATOR_HOST": bigquery.url}
    process = stack.start_function(state, tmp_path / "function.log", env)
    try:
        process.await_ready(lambda: accepts(port))
        yield Function(process, bigquery, port)
    finally:
        process.stop()
        bigquery.stop()


def records(count: int) -> list[Record]:
    """Return records that become rows of one table, a minute old."""
    good = (e for e in sample_events(3, lambda: datetime.now(UTC)) if e.spoiled is None)
    events = itertools.islice((e for e in good if e.topic == TOPIC), count)
    minute_ago = int(datetime.now(UTC).timestamp() - 60) * 1_000
    return [
        Record(e.topic, 7, offset, minute_ago, b"key", _headers(e.item_type_name), e.value)
        for offset, e in enumerate(events)
    ]


def _headers(type_name: str) -> tuple[tuple[str, bytes], ...]:
    return (("item_type_name", type_name.encode()), ("password", SECRET.encode()))


def pack(record: Record, **changes: object) -> Message:
    """Return the message of a record, or of one that differs in these fields."""
    return envelope.pack(msgspec.structs.replace(record, **changes), "test")


def _large(comment: str) -> bytes:
    """Return the bytes of an event with a comment."""
    schema = load_catalog().types[TOPIC, RATED].schema
    events = sample_events(3, lambda: datetime.now(UTC))
    event = next(e.event for e in events if e.item_type_name == RATED and e.spoiled is None)
    return schemaless({**event, "comment": comment}, schema)


def test_an_outage_is_answered_without_asking_again_for_each(function: Function) -> None:
    """While BigQuery fails all pushes are 503, few of them ask it, and when it is back all become rows."""
    messages = [pack(record) for record in records(60)]
    function.bigquery.otherwise = error(503, "backendError")
    assert function.push_all(messages) == {503}
    assert function.push(messages[0]).headers["Retry-After"] == "10"
    # One group at a time, and none in the two seconds after a failure.
    assert len(function.bigquery.inserted) < len(messages) / 4
    assert function.saying("BigQuery did not take rows of local.events.delivery_changed")
    function.bigquery.otherwise = answer(200, b"{}")
    eventually(lambda: function.push(messages[0]).status_code == 204)
    assert function.push_all(messages) == {204}
    (back,) = function.saying("delivery_changed takes rows again")
    assert int(str(back["turned_away"])) > 0


@pytest.mark.parametrize("case", ["outage", "dead letter", "dead letter in an outage"])
def test_no_message_stays_in_memory(function: Function, case: str) -> None:
    """Of a hundred messages of a megabyte, turned away or refused, nothing is kept once they are answered."""
    (record,) = records(1)
    fill = b"\xff" * 1_000_000
    value = fill if "dead letter" in case else _large("x" * 1_000_000)
    message = pack(record, value=value, headers=_headers(RATED))
    if "outage" in case:
        function.bigquery.otherwise = error(503, "backendError")
    function.push_all([message] * 20)
    before = function.memory_mb()
    assert function.push_all([message] * 100) == {503 if "outage" in case else 204}
    assert function.memory_mb() < before + 60


def test_a_push_cut_short_is_no_error_of_the_function(function: Function) -> None:
    """A client that goes away while it sends leaves no error in the log, and the next is as before."""
    with socket.create_connection(("127.0.0.1", function.port)) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    (record,) = records(1)
    assert function.push(pack(record)).status_code == 204
    assert function.saying("inserted")
    assert not function.saying("handle failed")


def test_an_answer_lost_after_the_insert_is_one_identity(function: Function) -> None:
    """The push is 204 after the second try, which has the insertId of the first."""
    (record,) = records(1)
    function.bigquery.behaviours = [reset]
    assert function.push(pack(record)).status_code == 204
    assert function.bigquery.inserted == [[insert_id(record)]] * 2


def test_a_refused_request_costs_one_record_of_a_bundle(function: Function) -> None:
    """A request refused as a whole is halved; the record at fault is a dead letter, its neighbours land."""
    three = records(3)
    a, b, c = map(insert_id, three)
    fail, take = error(400, "invalid"), answer(200, b"{}")
    function.bigquery.behaviours = [fail, take, fail, fail, take]
    assert function.push(envelope.pack_bundle(three, "test")).status_code == 204
    assert function.bigquery.inserted == [[a, b, c], [a], [b, c], [b], [c], [b]]
    assert function.bigquery.tables == ["delivery_changed"] * 5 + ["dead_letters"]


def test_a_dead_letter_that_fails_is_not_acknowledged(function: Function) -> None:
    """Until dead_letters has the row the answer is 503; then the row is there, and one line says so."""
    (record,) = records(1)
    bad = pack(record, value=b"\x01")
    function.bigquery.behaviours = [error(403, "accessDenied")]
    assert function.push(bad).status_code == 503
    eventually(lambda: function.push(bad).status_code == 204)
    assert function.bigquery.tables == ["dead_letters"] * 2
    assert function.bigquery.inserted == [[insert_id(record)]] * 2
    assert len(function.saying("dead letter: ")) == 1


def test_a_row_over_the_limit_stops_no_other(function: Function) -> None:
    """A record whose row BigQuery cannot hold is a dead letter; the table takes the next at once."""
    (record,) = records(1)
    # JSON writes six bytes for a control character.
    value = _large("\x01" * (MAX_ROW_BYTES // 6))
    assert function.push(pack(record, value=value, headers=_headers(RATED))).status_code == 204
    assert function.push(pack(record)).status_code == 204
    assert function.bigquery.tables == ["dead_letters", "delivery_changed"]


def test_sigterm_waits_for_the_insert(function: Function) -> None:
    """An instance that is told to stop answers what it has in hand, by what BigQuery says."""
    (record,) = records(1)
    asked, told = threading.Event(), threading.Event()

    def hold(connection: socket.socket) -> None:
        asked.set()
        told.wait(20)
        answer(200, b"{}")(connection)

    function.bigquery.behaviours = [hold]
    with ThreadPoolExecutor(1) as thread:
        pushed = thread.submit(function.push, pack(record))
        assert asked.wait(20)
        function.process.send(signal.SIGTERM)
        eventually(lambda: not accepts(function.port))
        told.set()
        assert pushed.result().status_code == 204
    assert function.process.wait(20) == 0


def test_log_lines_have_trace_position_and_age_and_no_payload(function: Function) -> None:
    """What Cloud Logging gets: each event has its line, and no value, key or header is in any."""
    good, bad, refused, late = records(4)
    value = b"\x01" + SECRET.encode()
    said = json.dumps({"error": {"message": f"bad value: {SECRET}", "errors": [{"reason": "invalid"}]}})
    answers = [answer(200, b"{}")] * 2 + [
        answer(400, said.encode()),
        answer(200, b"{}"),
        error(404, "notFound"),
    ]
    function.bigquery.behaviours = answers
    messages = [pack(good), pack(bad, value=value, key=value), pack(refused), pack(late)]
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    assert [function.push(message, **headers).status_code for message in messages] == [204, 204, 204, 503]
    inserted = function.saying("inserted")[0]
    assert (inserted["severity"], inserted["table"], inserted["rows"]) == ("INFO", "delivery_changed", 1)
    assert 60_000 <= int(str(inserted["kafka_to_bigquery_ms"])) < 180_000
    for text, record in (
        ("dead letter: undecodable", bad),
        ("dead letter: row_refused", refused),
        ("not acknowledged: ", late),
    ):
        (line,) = function.saying(text)
        assert line["severity"] == "WARNING"
        assert line["logging.googleapis.com/trace"] == f"projects/local/traces/{TRACE}"
        position = [line[name] for name in ("kafka_topic", "kafka_partition", "kafka_offset")]
        assert position == [record.topic, 7, str(record.offset)]
    (loud,) = function.saying("BigQuery did not take rows")
    assert (loud["severity"], loud["status"]) == ("ERROR", 404)
    assert "apply Terraform" in str(loud["message"])
    log = function.process.log.read_text()
    for payload in (value, SECRET.encode(), good.value or b""):
        assert base64.b64encode(payload).decode() not in log
    assert SECRET not in log
