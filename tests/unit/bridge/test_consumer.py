"""What Kafka has becomes records without a loss, and the position after them is stored."""

import logging
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import cast

import pytest
from confluent_kafka import (
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from bridge.commits import Commits
from bridge.consumer import (
    StoppedByKafkaError,
    Taken,
    is_refusal,
    lag,
    store_offsets,
    take,
)
from envelope import Header, Record
from logs import log


class FakeConsumer:
    """Gives messages as librdkafka does, and keeps the offsets stored."""

    def __init__(self, messages: Sequence[Message] = (), lost: Sequence[str] = ()) -> None:
        self.waiting = list(messages)
        self.asked: list[tuple[int, float]] = []
        self.stored: list[tuple[str, int, int]] = []
        self.positions: dict[tuple[str, int], tuple[int, int]] = {}
        self.answers: list[KafkaError | None] = []
        self.commits = 0
        self.on_commit: Callable[[KafkaError | None, list[TopicPartition]], None]
        self._lost = lost

    def consume(self, count: int, timeout: float) -> list[Message]:
        """Return at most so many messages."""
        self.asked.append((count, timeout))
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        return taken

    def store_offsets(self, *, offsets: list[TopicPartition]) -> None:
        """Keep an offset, or raise as for a partition that is another's."""
        if all(p.topic in self._lost for p in offsets):
            raise KafkaException(KafkaError(KafkaError._STATE, "Erroneous state"))  # noqa: SLF001
        self.stored += [(p.topic, p.partition, p.offset) for p in offsets if p.topic not in self._lost]

    def commit(self, *, asynchronous: bool) -> None:
        """Begin a commit, where something is stored."""
        assert asynchronous
        self.commits += 1
        if not self.answers:
            raise KafkaException(KafkaError(KafkaError._NO_OFFSET))  # noqa: SLF001

    def poll(self, timeout: float) -> None:
        """Give the next answer to a commit."""
        assert timeout > 0
        if self.answers:
            self.on_commit(self.answers.pop(0), [TopicPartition("t", 1)])

    def assignment(self) -> list[TopicPartition]:
        """Return the partitions that have a position."""
        return [TopicPartition(*at) for at in self.positions]

    def position(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """Return where each partition stands."""
        return [
            TopicPartition(p.topic, p.partition, self.positions[p.topic, p.partition][0]) for p in partitions
        ]

    def get_watermark_offsets(self, partition: TopicPartition, *, cached: bool) -> tuple[int, int]:
        """Return the ends that are known without a question."""
        assert cached
        return 0, self.positions[partition.topic, partition.partition][1]

    @property
    def real(self) -> Consumer:
        """This, for a function that takes the real one."""
        return cast("Consumer", self)


def message(offset: int, value: bytes | None = b"v", topic: str = "t", partition: int = 0) -> Message:
    """Return a message as Kafka gives it."""
    return Message(
        topic=topic, partition=partition, offset=offset, value=value, timestamp=(TIMESTAMP_CREATE_TIME, 7)
    )


def failure(code: int, text: str = "made up") -> Message:
    """Return an error in place of a message."""
    return Message(topic="t", partition=4, offset=17, error=KafkaError(code, text))


def record(topic: str, partition: int, offset: int) -> Record:
    """Return a record at a position."""
    return Record(topic, partition, offset, None, None, (), b"")


@pytest.fixture(autouse=True)
def _visible_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let caplog see the project's log, also after something set it up for standard output alone."""
    monkeypatch.setattr(log, "propagate", True)


def test_take_waits_for_the_first_only() -> None:
    """The first record is waited for, the others are taken as far as they are there."""
    consumer = FakeConsumer([message(n) for n in range(700)])
    assert [r.offset for r in take(consumer.real, 8_000, 10**6, 0.5).records] == list(range(700))
    assert consumer.asked[0] == (1, 0.5)
    assert {timeout for _, timeout in consumer.asked[1:]} == {0}


def test_take_of_nothing() -> None:
    """An idle topic is asked once a turn."""
    consumer = FakeConsumer()
    assert take(consumer.real, 8_000, 10**6, 0.5) == Taken([], {})
    assert consumer.asked == [(1, 0.5)]


@pytest.mark.parametrize("bound", [1, 2, 500, 501, 999])
def test_take_is_bounded_by_count(bound: int) -> None:
    """Never more records than asked for; the rest stays with the consumer."""
    consumer = FakeConsumer([message(n) for n in range(1_000)])
    assert len(take(consumer.real, bound, 10**6, 0.5).records) == bound
    assert len(consumer.waiting) == 1_000 - bound


def test_take_is_bounded_by_bytes() -> None:
    """Once the bytes are reached nothing more is asked for."""
    consumer = FakeConsumer([message(n, bytes(1_000)) for n in range(3_000)])
    taken = take(consumer.real, 8_000, 600_000, 0.5)
    assert 600 <= len(taken.records) <= 600 + 500
    headers = [("h" * 500, b"x" * 500)]
    given = [Message(topic="t", partition=0, offset=n, headers=headers) for n in range(3_000)]  # type: ignore[arg-type]
    taken = take(FakeConsumer(given).real, 8_000, 600_000, 0.5)
    assert 600 <= len(taken.records) <= 600 + 500
    consumer = FakeConsumer([message(n, bytes(1_000)) for n in range(10)])
    assert len(take(consumer.real, 8_000, 1_000, 0.5).records) == 1


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (None, ()),
        ([], ()),
        ([("a", b"1"), ("a", None), ("", b""), ("ä", b"\xff\x00")],) * 2,
    ],
)
def test_headers_are_kept(headers: list[Header] | None, expected: Sequence[Header]) -> None:
    """Null, empty, binary and repeated headers come as they are, in order."""
    given = Message(topic="t", partition=0, offset=1, value=b"v", headers=headers)  # type: ignore[arg-type] # a value may be None
    (taken,) = take(FakeConsumer([given]).real, 10, 10, 0.5).records
    assert taken.headers == tuple(expected)


@pytest.mark.parametrize("raw", [None, b"", b"\xff\x00", b"text"])
def test_key_and_value_are_kept(raw: bytes | None) -> None:
    """Key and value are bytes or None, and an empty one is not None."""
    given = Message(
        topic="t", partition=2, offset=1, key=raw, value=raw, timestamp=(TIMESTAMP_CREATE_TIME, 9)
    )
    assert take(FakeConsumer([given]).real, 10, 10, 0.5).records == [Record("t", 2, 1, 9, raw, (), raw)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((TIMESTAMP_NOT_AVAILABLE, 0), None),
        ((TIMESTAMP_CREATE_TIME, 0), 0),
        ((TIMESTAMP_CREATE_TIME, -5), -5),
    ],
)
def test_timestamp_is_kept(given: tuple[int, int], expected: int | None) -> None:
    """No timestamp is None, and the epoch is not."""
    (taken,) = take(
        FakeConsumer([Message(topic="t", partition=0, offset=1, value=b"", timestamp=given)]).real, 1, 1, 0.5
    ).records
    assert taken.timestamp == expected


class UndecodableHeaders(Message):
    """A message with a header name that is not UTF-8, as librdkafka's binding answers for it."""

    def headers(self) -> None:
        """Raise what the binding raises."""
        b"\xff".decode()


def test_header_name_that_is_no_text_does_not_stop_the_bridge() -> None:
    """A record with a header name that is not UTF-8 is neither lost nor the end of the process for ever."""
    given = UndecodableHeaders(topic="t", partition=0, offset=1, value=b"v")
    taken = take(FakeConsumer([given, message(2)]).real, 10, 10**6, 0.5)
    assert [(r.offset, r.value) for r in taken.records] == [(1, b"v"), (2, b"v")]


def test_transient_error_is_logged_and_records_go_on(caplog: pytest.LogCaptureFixture) -> None:
    """An error that says nothing of a record is logged, and the records beside it are taken."""
    messages = [message(1), failure(KafkaError._TRANSPORT, "broker down"), message(2)]  # noqa: SLF001
    taken = take(FakeConsumer(messages).real, 10, 10**6, 0.5)
    assert [r.offset for r in taken.records] == [1, 2]
    assert "broker down" in caplog.text


def test_offset_out_of_range_ends_a_take_and_drops_nothing() -> None:
    """What Kafka says of it is kept beside all records, those behind it too; nothing more is asked for."""
    given = failure(KafkaError._AUTO_OFFSET_RESET, "no previous committed offset")  # noqa: SLF001
    consumer = FakeConsumer([message(1), message(2), given, message(3), *map(message, range(4, 900))])
    taken = take(consumer.real, 8_000, 10**6, 0.5)
    assert [r.offset for r in taken.records] == list(range(1, 501))
    assert taken.ends == {("t", 0): 501}
    assert taken.out_of_range == ["no previous committed offset"]


def test_fatal_error_stops() -> None:
    """A consumer beyond repair stops the bridge."""
    given = Message(error=KafkaError(KafkaError._FENCED, "fenced", fatal=True))  # noqa: SLF001
    with pytest.raises(StoppedByKafkaError, match="fenced"):
        take(FakeConsumer([given]).real, 10, 10, 0.5)


@pytest.mark.parametrize(
    "code",
    [KafkaError._BAD_MSG, KafkaError._BAD_COMPRESSION, KafkaError._NOT_IMPLEMENTED],  # noqa: SLF001
)
def test_batch_that_librdkafka_skips_is_not_passed_over(code: int) -> None:
    """A batch that cannot be read (checksum, compression) stops the bridge: a later offset would hide it.

    librdkafka reports it in place of its records and goes on behind it.
    """
    with pytest.raises(StoppedByKafkaError, match=r"t/4"):
        take(FakeConsumer([message(1), failure(code), message(30)]).real, 10, 10**6, 0.5)


def test_end_is_behind_the_last_record_of_each_partition() -> None:
    """The position to store is the highest offset and one, for each partition, however they are mixed."""
    at = [("a", 0, 5), ("a", 0, 7), ("a", 1, 0), ("a", 0, 9), ("b", 0, 3), ("b", 0, 4)]
    given = [Message(topic=topic, partition=partition, offset=offset) for topic, partition, offset in at]
    taken = take(FakeConsumer(given).real, 10, 10**6, 0.5)
    assert taken.ends == {("a", 0): 10, ("a", 1): 1, ("b", 0): 5}


def test_records_and_ends_of_partitions_that_left_are_dropped() -> None:
    """What is left of a take is all, and only, of the other partitions."""
    taken = Taken([record("a", 0, 5), record("b", 0, 7)], {("a", 0): 6, ("b", 0): 8, ("b", 1): 3})
    assert taken.without({("b", 0)}) == Taken([record("a", 0, 5)], {("a", 0): 6, ("b", 1): 3})


def test_lost_partition_does_not_hinder_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """A partition that is another's now is logged, all others are stored."""
    consumer = FakeConsumer(lost=["b"])
    with caplog.at_level(logging.WARNING):
        store_offsets(consumer.real, {("a", 0): 2, ("b", 0): 3, ("c", 0): 4})
    assert sorted(consumer.stored) == [("a", 0, 2), ("c", 0, 4)]
    assert "another's" in caplog.text


def test_lag_is_what_was_not_taken() -> None:
    """Lag is end minus position; unknown positions and ends are left out, and it is never negative."""
    consumer = FakeConsumer()
    consumer.positions = {
        ("a", 0): (10, 15),
        ("a", 1): (15, 15),
        ("b", 0): (16, 15),
        ("unread", 0): (-1001, 15),
        ("unknown", 0): (3, -1001),
    }
    assert lag(consumer.real, {}) == {("a", 0): 5, ("a", 1): 0, ("b", 0): 0}


def end_of(partition: int, offset: int) -> Message:
    """Return what tells that a partition has no more."""
    error = KafkaError(KafkaError._PARTITION_EOF, "no more")  # noqa: SLF001
    return Message(topic="t", partition=partition, offset=offset, error=error)


def test_end_of_a_partition_is_taken_beside_the_records(caplog: pytest.LogCaptureFixture) -> None:
    """An end that holds no record is a position too, silently, and the records of the others are taken."""
    given = [end_of(1, 12), message(3), end_of(0, 9), message(9), message(10)]
    taken = take(FakeConsumer(given).real, 10, 10**6, 0.5)
    assert [r.offset for r in taken.records] == [3, 9, 10]
    assert taken.ends == {("t", 1): 12, ("t", 0): 11}
    assert caplog.text == ""
    given = [message(8), message(9), end_of(0, 12)]
    assert take(FakeConsumer(given).real, 10, 10**6, 0.5).ends == {("t", 0): 12}


def test_end_that_holds_no_record_is_no_lag() -> None:
    """Behind what was taken, only what a consumer is never given is not a lag."""
    consumer = FakeConsumer()
    consumer.positions = {("t", 0): (10, 12), ("t", 1): (10, 15), ("t", 2): (-1001, 7)}
    assert lag(consumer.real, {("t", 0): 12, ("t", 1): 12, ("t", 2): 7}) == {
        ("t", 0): 0,
        ("t", 1): 3,
        ("t", 2): 0,
    }


def commit_stored(
    answers: list[KafkaError | None], seconds: float, warn: Callable[[str], None] = lambda _: None
) -> int:
    """Commit before closing, with these answers, and return how many commits were made."""
    consumer, commits = FakeConsumer(), Commits(warn)
    consumer.answers, consumer.on_commit = answers, commits.on_commit
    commits.commit_stored(consumer.real, seconds)
    return consumer.commits


@pytest.mark.parametrize(
    "code", [KafkaError.ILLEGAL_GENERATION, KafkaError.REBALANCE_IN_PROGRESS, KafkaError.STALE_MEMBER_EPOCH]
)
def test_commit_refused_by_a_rebalance_is_made_again(code: int) -> None:
    """Members that stop together spoil each other's last commit: it is made again in the new group."""
    said: list[str] = []
    assert (
        commit_stored([KafkaError(code, "not now"), KafkaError(code, "not now"), None], 5, said.append) == 3
    )
    assert said == ["commit failed: not now (t/1)"] * 2


def test_commit_that_failed_is_told_by_cause() -> None:
    """A cause is one text, with all its partitions; what was committed is in none."""
    said: list[str] = []
    partitions = [SimpleNamespace(topic="t", partition=n, error=None) for n in range(4)]
    for partition, text in ((3, "away"), (1, "away"), (0, "other")):
        partitions[partition].error = KafkaError(KafkaError.NOT_COORDINATOR, text)
    Commits(said.append).on_commit(None, cast("list[TopicPartition]", partitions))
    assert said == ["commit failed: away (t/1, t/3)", "commit failed: other (t/0)"]


def test_last_commit_is_not_made_for_ever() -> None:
    """Nothing stored, an answer, an error that stays, or no time left: the consumer is closed."""
    assert commit_stored([], 5) == 1
    assert commit_stored([None], 5) == 1
    assert commit_stored([KafkaError(KafkaError._NO_OFFSET)], 5) == 1  # noqa: SLF001
    assert commit_stored([KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED), None], 5) == 1
    assert commit_stored([KafkaError(KafkaError.ILLEGAL_GENERATION)] * 1_000_000, 0.1) < 1_000_000


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (KafkaError._AUTHENTICATION, "Authentication failed", True),  # noqa: SLF001
        (KafkaError._SSL, "SSL handshake failed", True),  # noqa: SLF001
        (KafkaError._TRANSPORT, "error:0A000412:SSL routines::ssl/tls alert bad certificate", True),  # noqa: SLF001
        (KafkaError._TRANSPORT, "error:0A000086:SSL routines::certificate verify failed", True),  # noqa: SLF001
        (KafkaError._TRANSPORT, "error:0A000126:SSL routines::unexpected eof while reading", False),  # noqa: SLF001
        (KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down", False),  # noqa: SLF001
    ],
)
def test_refusal_is_told_from_an_outage(code: int, text: str, expected: bool) -> None:  # noqa: FBT001
    """What somebody has to mend, a password or a certificate, is not taken for brokers that are away."""
    assert is_refusal(KafkaError(code, text)) == expected
