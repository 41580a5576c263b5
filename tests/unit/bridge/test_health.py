"""/healthz says whether the loop turns, and a line a minute what it did."""

import http.client
import json
import logging
from collections.abc import Iterator
from typing import cast

import pytest
from confluent_kafka import Consumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from bridge.health import MAX_TURN_S, REPORT_EVERY_S, Status, serve
from logs import log


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """Return seconds."""
        return self.now


class FakeConsumer:
    """A consumer three records behind."""

    def assignment(self) -> list[TopicPartition]:
        """Return one partition."""
        return [TopicPartition("orders", 1)]

    def position(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """Return where it stands."""
        return [TopicPartition(p.topic, p.partition, 4) for p in partitions]

    def get_watermark_offsets(self, _: TopicPartition, *, cached: bool) -> tuple[int, int]:
        """Return the ends known."""
        assert cached
        return 0, 7


CONSUMER = cast("Consumer", FakeConsumer())


@pytest.fixture(autouse=True)
def _visible_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let caplog see the project's log, also after something set it up for standard output alone."""
    monkeypatch.setattr(log, "propagate", True)


@pytest.fixture
def clock() -> Clock:
    """Give a clock."""
    return Clock()


@pytest.fixture
def status(clock: Clock) -> Status:
    """Give a status with something to tell."""
    status = Status(clock)
    status.assigned = ["orders/1"]
    status.forwarded, status.bytes, status.retries = 12, 4_567, 2
    status.dead_lettered["too_large"] = 3
    status.gaps["orders", 1] = 40
    return status


@pytest.fixture
def port(status: Status) -> Iterator[int]:
    """Give the port of a server that tells the status."""
    server = serve(status, 0)
    yield server.server_address[1]
    # Only the socket: shutdown() waits up to half a second for the daemon thread.
    server.socket.close()


def get(port: int, path: str) -> tuple[int, str, bytes]:
    """Return status, content type and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        connection.close()


def test_healthy_while_the_loop_turns(port: int, status: Status, clock: Clock) -> None:
    """200 with the counts and the assignment, up to the longest a turn may take, and again after a turn."""
    for _ in range(3):
        clock.now += MAX_TURN_S - 1
        code, content_type, body = get(port, "/healthz")
        assert (code, content_type) == (200, "application/json")
        assert json.loads(body) == {
            "alive": True,
            "assigned": ["orders/1"],
            "forwarded": 12,
            "dead_lettered": 3,
            "bytes": 4_567,
            "retries": 2,
            "gap": 40,
        }
        status.turn(CONSUMER)


def test_unhealthy_when_the_loop_hangs(port: int, status: Status, clock: Clock) -> None:
    """503 once no turn ended for so long, and 200 again when one does."""
    clock.now += MAX_TURN_S
    code, _, body = get(port, "/healthz")
    assert code == 503
    assert json.loads(body)["alive"] is False
    status.turn(CONSUMER)
    assert get(port, "/healthz")[0] == 200


@pytest.mark.parametrize("path", ["/", "/healthzz", "/health", "/healthz/x"])
def test_nothing_else_is_served(port: int, path: str) -> None:
    """Any other path is 404."""
    assert get(port, path)[0] == 404


def test_status_line_once_a_minute(status: Status, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """However often the loop turns, counts, lag and how long nothing was acknowledged come once a minute."""
    with caplog.at_level(logging.INFO):
        for _ in range(int(3 * REPORT_EVERY_S / 0.5)):
            clock.now += 0.5
            status.turn(CONSUMER)
    lines = [r for r in caplog.records if r.getMessage() == "status"]
    assert [r.__dict__["fields"] for r in lines] == [
        {
            "bytes": 4_567,
            "retries": 2,
            "gap": 40,
            "dead_lettered": 3,
            "forwarded": 12,
            "assigned": 1,
            "since_acknowledged_s": seconds,
            "lag": 3,
            "lag_by_partition": {"orders/1": 3},
        }
        for seconds in (60, 120, 180)
    ]


def test_status_line_has_the_latency_of_its_own_minute(
    status: Status, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The mean since the last line, in ms; none where nothing was acknowledged since then."""
    told = []
    for latencies in ((0.01, 0.031), (), (0.2,)):
        caplog.clear()
        for seconds in latencies:
            status.acknowledged(seconds, 1)
        clock.now += 7.9
        with caplog.at_level(logging.INFO):
            status.report(CONSUMER)
        (line,) = (r.__dict__["fields"] for r in caplog.records)
        told.append((line.get("publish_ms", "none"), line["since_acknowledged_s"]))
    assert told == [(20, 7), ("none", 15), (200, 7)]


def test_status_line_says_why_nothing_is_forwarded(status: Status, caplog: pytest.LogCaptureFixture) -> None:
    """Without partitions there is no lag of 0, which would look well, but the reason."""
    status.assigned = []
    with caplog.at_level(logging.INFO):
        status.report(CONSUMER)
    (line,) = (r.__dict__["fields"] for r in caplog.records)
    assert line["assigned"] == 0
    assert line["unready"] == "no partition is assigned"
    assert not {"lag", "lag_by_partition", "degraded"} & line.keys()


def test_ready_while_records_are_forwarded(port: int, status: Status) -> None:
    """200 with partitions and Pub/Sub; 503 with the reason without one of them."""
    assert get(port, "/readyz") == (200, "text/plain", b"ready\n")
    status.degraded = "Pub/Sub does not take records: UNAVAILABLE: down"
    assert get(port, "/readyz")[::2] == (503, b"Pub/Sub does not take records: UNAVAILABLE: down\n")
    status.degraded, status.assigned = None, []
    assert get(port, "/readyz")[::2] == (503, b"no partition is assigned\n")


def test_not_ready_when_the_loop_hangs(port: int, clock: Clock) -> None:
    """503 with the reason when the loop does not turn."""
    clock.now += MAX_TURN_S
    assert get(port, "/readyz")[::2] == (503, b"the loop has not turned for 120 s\n")


def test_metrics_are_prometheus_text(port: int, status: Status, clock: Clock) -> None:
    """Every count, the lag, the latency and the time since the last acknowledgement are there."""
    status.turn(CONSUMER)
    clock.now += 7
    status.acknowledged(0.02, 1_000)
    clock.now += 5
    code, content_type, body = get(port, "/metrics")
    assert code == 200
    assert content_type.startswith("text/plain")
    samples = {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    expected = {
        ("bridge_forwarded_total",): 12,
        ("bridge_forwarded_bytes_total",): 5_567,
        ("bridge_dead_letters_total", "too_large"): 3,
        ("bridge_publish_retries_total",): 2,
        ("bridge_gap_offsets_total", "1", "orders"): 40,
        ("bridge_lag_records", "1", "orders"): 3,
        ("bridge_assigned_partitions",): 1,
        ("bridge_degraded",): 0,
        ("bridge_since_acknowledged_publish_seconds",): 5,
        ("bridge_publish_seconds_count",): 1,
        ("bridge_publish_seconds_sum",): 0.02,
    }
    assert samples.items() >= expected.items()


def test_broker_that_is_down_is_said_once_a_minute(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """The client tries it twenty times a second, and says so each time, with other milliseconds."""
    status = Status(clock)
    for tried in range(4):
        status.warn(f"a:9092/1: Connection refused (after {tried}ms in state CONNECT)")
        status.warn(f"b:9092/2: Connection refused (after {tried}ms in state CONNECT)")
        clock.now += REPORT_EVERY_S / 3
    assert caplog.messages == [
        f"Kafka: {at}: Connection refused (after {tried}ms in state CONNECT)"
        for tried in (0, 3)
        for at in ("a:9092/1", "b:9092/2")
    ]


def test_refusal_is_said_once_a_minute(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """However often brokers refuse the bridge, a minute has one line of it; /readyz has the reason."""
    status = Status(clock)
    for _ in range(50):
        status.refuse("refused: a password")
        clock.now += REPORT_EVERY_S / 40
    assert caplog.messages == ["refused: a password"] * 2
    assert status.unready() == "refused: a password"
    status.acknowledged(0.1, 1)
    assert status.unready() == "no partition is assigned"
