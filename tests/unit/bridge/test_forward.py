"""The loop stores an offset only after Pub/Sub acknowledged it, through outages and rebalances."""

import itertools
import logging
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Literal, cast

import grpc
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from bridge.batch import Refused
from bridge.consumer import StoppedByKafkaError
from bridge.forward import MAX_BACKOFF_S, MIN_BACKOFF_S, PROBE_TIMEOUT_S, AbandonedError, Forwarder
from bridge.health import Status
from bridge.publish import Failure, Publisher, Result
from envelope import Record
from logs import log

At = tuple[str, int]
OnRebalance = Callable[["FakeConsumer", list[TopicPartition]], None]
P0, P1, P2 = ("t", 0), ("t", 1), ("t", 2)


def unavailable(text: str) -> Failure:
    """Return a failure that passes."""
    return Failure("p/t", grpc.StatusCode.UNAVAILABLE, text)


class FakeConsumer:
    """A member of a known group: partitions in memory, and whatever a test makes happen inside a poll."""

    def __init__(self, events: list[str]) -> None:
        self.now = 0.0
        self.waiting: list[Message] = []
        self.assigned: list[At] = []
        self.paused: set[At] = set()
        self.stored: list[tuple[str, int, int]] = []
        self.unpaused_polls: list[list[At]] = []
        self.polls = 0
        self.in_poll: list[Callable[[], Message | None]] = []
        self.ends: dict[At, tuple[int, int]] = {}
        self.group: dict[At, int] = {}
        self.commits: list[dict[At, int]] = []
        self.joins = 0
        self.in_callback = False
        self.rebalancing = False
        self.leaving = False
        self._events = events

    def subscribe(
        self, topics: list[str], *, on_assign: OnRebalance, on_revoke: OnRebalance, on_lost: OnRebalance
    ) -> None:
        """Keep the callbacks."""
        assert topics == ["t"]
        assert not self.leaving, "it would never leave"
        self.joins += 1
        self.on_assign, self.on_revoke, self.on_lost = on_assign, on_revoke, on_lost

    def rebalance_in(self, *these: At, incremental: bool = False) -> None:
        """Assign partitions as librdkafka does, unless the callback does: as they were, unpaused at first."""
        partitions = [TopicPartition(*at) for at in these]
        before = self.assigned if incremental else []
        self.assigned = [*before]
        self.in_callback = True
        self.on_assign(self, partitions)
        self.in_callback = False
        self.assigned = [*before, *these]

    def unsubscribe(self) -> None:
        """Leave the group; in the midst of a rebalance only once that is over, in a later poll."""
        self.leaving = True
        if self.rebalancing:
            self.in_poll += [lambda: None, lambda: self.rebalance_out(self.on_revoke)]
        else:
            self.rebalance_out(self.on_revoke)

    def close(self) -> None:
        """Leave the group."""

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        """Add partitions early, from within the callback."""
        self.assigned += [(p.topic, p.partition) for p in partitions]

    def commit(
        self, *, offsets: list[TopicPartition] | None = None, asynchronous: bool
    ) -> list[TopicPartition]:
        """Commit these, or what is stored."""
        assert offsets is None or not asynchronous
        if offsets is None:
            if not self.stored:
                raise KafkaException(KafkaError(KafkaError._NO_OFFSET))  # noqa: SLF001
            self.group.update({(topic, partition): offset for topic, partition, offset in self.stored})
            return []
        self.commits.append({(p.topic, p.partition): p.offset for p in offsets})
        return offsets

    def rebalance_out(self, callback: OnRebalance) -> None:
        """Take everything away, as the eager protocol does; what was paused comes back paused."""
        self.leaving = False
        gone, self.assigned = self.assigned, []
        callback(self, [TopicPartition(*at) for at in gone])

    def consume(self, count: int, timeout: float) -> list[Message]:
        """Return what is waiting, unless its partition is paused."""
        self.now += timeout if not self.waiting else 0
        self.waiting = [m for m in self.waiting if _at(m) in self.assigned or m.error()]
        taken = [m for m in self.waiting if _at(m) not in self.paused][:count]
        self.waiting = [m for m in self.waiting if m not in taken]
        if taken:
            self._events.append("take")
        return taken

    def poll(self, timeout: float) -> Message | None:
        """Let time pass, and do what the test wants to happen next."""
        assert timeout > 0
        self.polls += 1
        self.now += timeout
        self.unpaused_polls.append([at for at in self.assigned if at not in self.paused])
        return self.in_poll.pop(0)() if self.in_poll else None

    def assignment(self) -> list[TopicPartition]:
        """Return what is assigned."""
        return [TopicPartition(*at) for at in self.assigned]

    def assign(self, partitions: list[TopicPartition]) -> None:
        """Assign early, from within the callback."""
        self.assigned = [(p.topic, p.partition) for p in partitions]

    def pause(self, partitions: list[TopicPartition]) -> None:
        """Pause what is assigned; others are passed over, as librdkafka does."""
        self.paused |= {(p.topic, p.partition) for p in partitions} & {*self.assigned}

    def resume(self, partitions: list[TopicPartition]) -> None:
        """Resume."""
        self.paused -= {(p.topic, p.partition) for p in partitions}

    def store_offsets(self, *, offsets: list[TopicPartition]) -> None:
        """Keep an offset; raise for a partition that is not assigned."""
        for p in offsets:
            if (p.topic, p.partition) not in self.assigned:
                raise KafkaException(KafkaError(KafkaError._STATE, "not assigned"))  # noqa: SLF001
            self.stored.append((p.topic, p.partition, p.offset))
            self._events.append("store")

    def committed(self, partitions: list[TopicPartition], *, timeout: float) -> list[TopicPartition]:
        """Return that every partition has a commit."""
        assert timeout > 0
        return [
            TopicPartition(p.topic, p.partition, self.group.get((p.topic, p.partition), 0))
            for p in partitions
        ]

    def get_watermark_offsets(
        self, partition: TopicPartition, *, cached: bool = False, timeout: float = 0
    ) -> tuple[int, int]:
        """Return where a log begins and ends; of what is known locally, nothing."""
        assert cached != (timeout > 0)
        return (-1001, -1001) if cached else self.ends.get((partition.topic, partition.partition), (0, 9_999))

    def list_topics(self, *, timeout: float) -> SimpleNamespace:
        """Return that the topic is there; inside a rebalance the client would not survive the question."""
        assert timeout > 0
        assert not self.in_callback
        partitions = {partition: None for _, partition in (P0, P1)}
        return SimpleNamespace(topics={"t": SimpleNamespace(partitions=partitions)})

    def position(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """Return no position."""
        return partitions


def _at(message: Message) -> At:
    return message.topic() or "", message.partition() or 0


class FakePublisher:
    """Answers with the results that the test lines up, and with success after them."""

    def __init__(self, name: str, events: list[str]) -> None:
        self.published: list[list[Record]] = []
        self.dead_letters: list[list[Refused]] = []
        self.results: list[Callable[[Sequence[Record]], Result]] = []
        self.broken = False
        self._name = name
        self._events = events

    def publish(self, records: Sequence[Record], timeout_s: float) -> Result:
        """Publish."""
        assert 0 < timeout_s < 10, "an outage would be over for longer than ten seconds"
        self._events.append(f"{self._name} publish")
        self.published.append([*records])
        return self.results.pop(0)(records) if self.results else Result([], [], None)

    def publish_dead_letters(
        self, refused: Sequence[Refused], timeout_s: float
    ) -> tuple[list[Refused], Failure | None]:
        """Publish, or keep all of them while broken."""
        assert timeout_s > 0
        if not refused:
            return [], None
        self._events.append(f"{self._name} dead letters")
        if self.broken:
            return [*refused], unavailable("dead letters")
        self.dead_letters.append([*refused])
        return [], None


class Bridge:
    """A forwarder over fakes: partitions 0 and 1 assigned, and stopped once `take` found nothing more."""

    def __init__(
        self,
        max_records: int = 100,
        *,
        on_out_of_range: Literal["stop", "resume"] = "stop",
        incremental: bool = False,
    ) -> None:
        self.events: list[str] = []
        self.consumer = FakeConsumer(self.events)
        self.publisher = FakePublisher("events", self.events)
        self.dead = FakePublisher("dead", self.events)
        self.abandoned = False
        self.status = Status(lambda: self.consumer.now)
        self.forwarder = Forwarder(
            cast("Consumer", self.consumer),
            cast("Publisher", self.publisher),
            cast("Publisher", self.dead),
            self.status,
            topics=["t"],
            start="latest",
            on_out_of_range=on_out_of_range,
            incremental=incremental,
            max_records=max_records,
            max_bytes=10**6,
            stopping=lambda: not self.consumer.waiting and not self.consumer.leaving,
            abandoned=lambda: self.abandoned,
            clock=lambda: self.consumer.now,
        )
        self.forwarder.run()  # nothing waits: it joins the group, and stops
        self.consumer.rebalance_in(P0, P1)

    def run(self, *messages: Message) -> None:
        """Forward these."""
        self.consumer.waiting = [*messages]
        self.forwarder.run()

    @property
    def stored(self) -> list[tuple[str, int, int]]:
        """What was stored, sorted."""
        return sorted(self.consumer.stored)


def message(at: At, offset: int, value: bytes = b"v") -> Message:
    """Return a message at a position."""
    return Message(topic=at[0], partition=at[1], offset=offset, value=value)


def end_of(at: At, offset: int) -> Message:
    """Return what tells that a partition has no more."""
    error = KafkaError(KafkaError._PARTITION_EOF)  # noqa: SLF001
    return Message(topic=at[0], partition=at[1], offset=offset, error=error)


def out_of_range() -> Message:
    """Return the error of a committed offset that is gone."""
    error = KafkaError(KafkaError._AUTO_OFFSET_RESET, "out of range")  # noqa: SLF001
    return Message(topic="t", partition=1, offset=77, error=error)


def down(records: Sequence[Record]) -> Result:
    """Answer that none was taken."""
    return Result([*records], [], unavailable("down"))


def refuse_all(records: Sequence[Record]) -> Result:
    """Answer that none will ever be taken."""
    return Result([], [Refused(r, "too_large", "big") for r in records], None)


def positions(records: Sequence[Record]) -> list[tuple[int, int]]:
    """Return partition and offset of each."""
    return [(r.partition, r.offset) for r in records]


@pytest.fixture
def bridge() -> Bridge:
    """Give a bridge with two partitions."""
    return Bridge()


@pytest.fixture(autouse=True)
def _visible_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let caplog see the project's log, also after something set it up for standard output alone."""
    monkeypatch.setattr(log, "propagate", True)


def test_offsets_are_stored_after_the_acknowledgement(bridge: Bridge) -> None:
    """A cycle is take, publish, store, in this order, with the highest offset and one per partition."""
    bridge.run(message(P0, 4), message(P1, 8), message(P0, 5))
    assert bridge.stored == [("t", 0, 6), ("t", 1, 9)]
    assert bridge.events == ["take", "take", "events publish", "store", "store"]
    assert positions(bridge.publisher.published[0]) == [(0, 4), (1, 8), (0, 5)]


def test_counts(bridge: Bridge) -> None:
    """What is forwarded is counted, dead letters among it."""
    bridge.publisher.results = [lambda r: Result([], [Refused(r[0], "too_large", "big")], None)]
    bridge.run(message(P0, 1), message(P0, 2))
    assert bridge.status.counts() == {
        "forwarded": 2,
        "dead_lettered": 1,
        "bytes": 0,  # the real publisher tells them
        "retries": 0,
        "gap": 0,
    }
    assert bridge.status.assigned == ["t/0", "t/1"]


def test_outage_pauses_polls_and_stores_once(bridge: Bridge) -> None:
    """While Pub/Sub is down all is paused, polled and unstored; then stored once, and resumed."""
    bridge.publisher.results = [down] * 6
    bridge.run(message(P0, 4), message(P1, 8))
    assert len(bridge.publisher.published) == 7
    assert bridge.consumer.polls > 10
    assert bridge.consumer.unpaused_polls == [[]] * bridge.consumer.polls
    assert bridge.events[-2:] == ["store", "store"]
    assert bridge.stored == [("t", 0, 5), ("t", 1, 9)]
    assert bridge.consumer.paused == set()
    assert bridge.status.forwarded == 2


def test_outage_goes_on_where_it_was(bridge: Bridge) -> None:
    """Records that were acknowledged are not sent again; the cycle is stored when the last one is."""
    bridge.publisher.results = [
        lambda r: Result([*r[1:]], [], unavailable("x")),
        lambda r: Result([*r[1:]], [], unavailable("x")),
    ]
    bridge.run(message(P0, 1), message(P0, 2), message(P0, 3))
    assert [positions(r) for r in bridge.publisher.published] == [
        [(0, 1), (0, 2), (0, 3)],
        [(0, 2), (0, 3)],
        [(0, 3)],
    ]
    assert bridge.stored == [("t", 0, 4)]


def test_backoff_has_an_end(bridge: Bridge) -> None:
    """A long outage is asked after at least every 4 s, and the bridge stays healthy all the while."""
    times: list[float] = []

    def still_down(records: Sequence[Record]) -> Result:
        times.append(bridge.consumer.now)
        assert bridge.status.is_alive()
        return down(records)

    bridge.publisher.results = [still_down] * 40
    bridge.run(message(P0, 1))
    waits = [after - before for before, after in itertools.pairwise(times)]
    assert times[-1] > 100
    assert max(waits) <= 4.01
    assert max(waits) >= 2
    assert waits[0] < 0.5


def test_outage_is_noticed_to_be_over_within_ten_seconds() -> None:
    """The last try that fails, at the outage's end, and the pause after it take less than that."""
    assert PROBE_TIMEOUT_S + MAX_BACKOFF_S < 10


def test_two_holds_do_not_wait_alike() -> None:
    """Bridges that an outage has stopped together do not all ask again at once: each pause has jitter."""

    def tries() -> list[float]:
        bridge, times = Bridge(), list[float]()

        def still_down(records: Sequence[Record]) -> Result:
            times.append(bridge.consumer.now)
            return down(records)

        bridge.publisher.results = [still_down] * 10
        bridge.run(message(P0, 1))
        return [after - before for before, after in itertools.pairwise(times)]

    for one, other in zip(tries(), tries(), strict=True):
        assert one != pytest.approx(other, rel=1e-6)


def test_after_an_outage_the_loop_goes_on() -> None:
    """What waited in Kafka is forwarded after the hold, and a second outage is held like the first."""
    bridge = Bridge(max_records=1)
    bridge.publisher.results = [down, lambda _: Result([], [], None), down]
    bridge.run(message(P0, 1), message(P0, 2), message(P1, 1))
    assert bridge.consumer.stored == [("t", 0, 2), ("t", 0, 3), ("t", 1, 2)]


@pytest.mark.parametrize("lost", [False, True])
def test_records_of_revoked_partitions_are_dropped(bridge: Bridge, lost: bool) -> None:  # noqa: FBT001
    """Held records of a partition that went away are neither sent nor stored: its new owner reads them."""
    consumer = bridge.consumer
    callback = consumer.on_lost if lost else consumer.on_revoke

    def take_one_away() -> None:
        consumer.assigned.remove(P1)
        callback(consumer, [TopicPartition(*P1)])

    consumer.in_poll = [take_one_away]
    bridge.publisher.results = [down] * 3
    bridge.run(message(P0, 4), message(P1, 8))
    assert [positions(r) for r in bridge.publisher.published[1:]] == [[(0, 4)]] * 3
    assert bridge.stored == [("t", 0, 5)]
    assert bridge.status.assigned == ["t/0"]
    assert bridge.status.forwarded == 1


def test_eager_rebalance_drops_what_comes_back_too(bridge: Bridge) -> None:
    """A partition that is taken and given back is read again from its commit, so it is dropped."""
    consumer = bridge.consumer
    consumer.in_poll = [
        lambda: consumer.rebalance_out(consumer.on_revoke),
        lambda: consumer.rebalance_in(P0, P2),
    ]
    bridge.publisher.results = [down] * 4
    bridge.run(message(P0, 4), message(P1, 8))
    assert all(r == [] for r in bridge.publisher.published[2:])
    assert bridge.stored == []
    assert bridge.status.forwarded == 0


def test_partitions_assigned_while_holding_arrive_paused(bridge: Bridge) -> None:
    """New partitions are paused in the callback, so that no poll returns a record; they are resumed after."""
    consumer = bridge.consumer
    paused: list[set[At]] = []

    def come() -> None:
        consumer.rebalance_out(consumer.on_revoke)
        consumer.rebalance_in(P1, P2)
        paused.append(consumer.paused & {*consumer.assigned})

    consumer.in_poll = [come]
    bridge.publisher.results = [down, *[lambda _: Result([], [], unavailable("x"))] * 3]
    bridge.run(message(P0, 4))
    assert paused == [{P1, P2}]
    assert consumer.polls > 2
    assert consumer.unpaused_polls == [[]] * consumer.polls
    assert not consumer.paused & {*consumer.assigned}
    assert bridge.status.assigned == ["t/1", "t/2"]


def test_partition_that_left_while_it_was_paused_goes_on_when_it_is_back(bridge: Bridge) -> None:
    """Lost in a hold that ended before it came back, it would stay paused for ever, and say nothing."""

    def lose() -> None:
        bridge.consumer.rebalance_out(bridge.consumer.on_lost)

    bridge.consumer.in_poll = [lose]
    bridge.publisher.results = [down]
    bridge.run(message(P0, 1))
    assert bridge.consumer.paused == {P0, P1}
    bridge.consumer.rebalance_in(P0, P1)
    bridge.run(message(P0, 1), message(P0, 2))
    assert bridge.consumer.paused == set()
    assert bridge.stored == [("t", 0, 3)]


def test_partitions_assigned_after_a_hold_are_not_paused(bridge: Bridge) -> None:
    """Only a hold pauses what a rebalance brings: afterwards it would never be resumed."""
    bridge.publisher.results = [down]
    bridge.run(message(P0, 1))
    bridge.consumer.rebalance_out(bridge.consumer.on_revoke)
    bridge.consumer.rebalance_in(P0, P2)
    bridge.run(message(P2, 3), message(P0, 2))
    assert bridge.consumer.paused == set()
    assert bridge.stored == [("t", 0, 2), ("t", 0, 3), ("t", 2, 4)]


def test_a_rebalance_before_a_hold_drops_nothing(bridge: Bridge) -> None:
    """Partitions that once went and came back are this member's: a later outage must hold their records."""
    bridge.consumer.rebalance_out(bridge.consumer.on_revoke)
    bridge.consumer.rebalance_in(P0, P1)
    bridge.publisher.results = [down]
    bridge.run(message(P0, 4), message(P1, 8))
    assert bridge.stored == [("t", 0, 5), ("t", 1, 9)]
    assert positions(bridge.publisher.published[-1]) == [(0, 4), (1, 8)]


def test_refused_record_is_dead_lettered_before_it_is_stored(
    bridge: Bridge, caplog: pytest.LogCaptureFixture
) -> None:
    """A record that Pub/Sub never takes is a dead letter first, with a log line, and then stored."""
    bridge.publisher.results = [refuse_all]
    bridge.run(message(P0, 4))
    assert bridge.events == ["take", "events publish", "dead dead letters", "store"]
    assert positions([r.record for r in bridge.dead.dead_letters[0]]) == [(0, 4)]
    (line,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert line.__dict__["fields"] == {
        "reason": "too_large",
        "kafka_topic": "t",
        "kafka_partition": 0,
        "kafka_offset": 4,
    }


def test_dead_letter_topic_down_stores_nothing_until_it_works(bridge: Bridge) -> None:
    """While the dead-letter topic fails, nothing is stored; then each is sent and counted once."""
    bridge.dead.broken = True
    bridge.publisher.results = [lambda r: Result([], [Refused(r[1], "too_large", "big")], None)]

    def repair() -> None:
        assert bridge.consumer.stored == []
        assert bridge.status.dead_lettered.total() == 0
        bridge.dead.broken = False

    bridge.consumer.in_poll = [lambda: None] * 12
    bridge.consumer.in_poll.append(repair)
    bridge.run(message(P0, 4), message(P0, 5), message(P1, 8))
    assert [positions([r.record for r in d]) for d in bridge.dead.dead_letters] == [[(0, 5)]]
    assert [positions(r) for r in bridge.publisher.published if r] == [[(0, 4), (0, 5), (1, 8)]]
    assert bridge.stored == [("t", 0, 6), ("t", 1, 9)]
    assert bridge.status.dead_lettered.total() == 1


def test_record_refused_during_the_hold(bridge: Bridge) -> None:
    """A record that is refused only once Pub/Sub is back is a dead letter too, before anything is stored."""
    bridge.publisher.results = [down, refuse_all]
    bridge.run(message(P0, 4))
    assert bridge.events[-3:] == ["events publish", "dead dead letters", "store"]
    assert bridge.status.dead_lettered.total() == 1


def test_refused_record_of_a_revoked_partition_is_dropped(bridge: Bridge) -> None:
    """A dead letter that waits for its topic is dropped with its partition: the new owner sends it."""
    bridge.dead.broken = True
    bridge.publisher.results = [refuse_all]

    def go_and_repair() -> None:
        bridge.consumer.rebalance_out(bridge.consumer.on_revoke)
        bridge.dead.broken = False

    bridge.consumer.in_poll = [go_and_repair]
    bridge.run(message(P0, 4))
    assert bridge.dead.dead_letters == []
    assert bridge.stored == []


def test_abandoned_while_holding_stores_nothing(bridge: Bridge) -> None:
    """Told to stop at last during an outage, the cycle is given up, unstored, though a part was sent."""
    bridge.publisher.results = [lambda r: Result([*r[1:]], [], unavailable("x")), *[down] * 50]

    def abandon() -> None:
        bridge.abandoned = True

    bridge.consumer.in_poll = [lambda: None, lambda: None, abandon]
    with pytest.raises(AbandonedError):
        bridge.run(message(P0, 4), message(P0, 5))
    assert bridge.stored == []
    assert bridge.consumer.polls == 3
    assert bridge.status.forwarded == 0


def test_abandoned_before_the_hold_polls_no_more(bridge: Bridge) -> None:
    """A publish that was abandoned ends the cycle at once."""
    bridge.publisher.results = [down]
    bridge.abandoned = True
    with pytest.raises(AbandonedError):
        bridge.run(message(P0, 4))
    assert (bridge.stored, bridge.consumer.polls) == ([], 0)


def test_cycle_that_is_acknowledged_late_is_stored(bridge: Bridge) -> None:
    """A cycle that Pub/Sub took is stored, also when the time to stop is over."""
    bridge.abandoned = True
    bridge.run(message(P0, 4))
    assert bridge.stored == [("t", 0, 5)]


def test_what_a_kill_repeats_is_bounded_by_count(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many records are committed at once, not only when the interval is over."""
    monkeypatch.setattr("bridge.forward.COMMIT_AFTER_RECORDS", 3)
    bridge.run(message(P0, 7), message(P0, 8))
    assert bridge.consumer.group == {}
    bridge.run(message(P0, 9))
    assert bridge.consumer.group == {P0: 10}
    bridge.run(message(P0, 10), message(P0, 11))
    assert bridge.consumer.group == {P0: 10}


def test_offset_out_of_range_stops_the_loop(bridge: Bridge) -> None:
    """A committed offset that is gone stops the loop, naming the exact gap, with nothing stored past it."""
    bridge.consumer.ends[P1] = (80, 90)
    bridge.consumer.group[P1] = 77
    with pytest.raises(StoppedByKafkaError, match=r"t/1.* 77 .*3 offsets \(77 to 79\) are gone"):
        bridge.run(message(P0, 4), out_of_range())
    assert bridge.stored == [("t", 0, 5)], "what was taken is forwarded first"
    assert bridge.consumer.commits == []
    assert bridge.status.gaps == {("t", 1): 3}


def test_offset_out_of_range_stops_a_hold(bridge: Bridge) -> None:
    """The same where it comes through the poll that keeps the membership: once Pub/Sub has what is held."""
    bridge.consumer.ends[P1] = (80, 90)
    bridge.consumer.group[P1] = 77
    bridge.publisher.results = [down] * 50
    bridge.consumer.in_poll = [lambda: None, out_of_range]
    with pytest.raises(StoppedByKafkaError, match=r"t/1.* 77 "):
        bridge.run(message(P0, 4))
    assert bridge.stored == [("t", 0, 5)]


def test_what_was_taken_before_an_offset_out_of_range_is_not_dropped() -> None:
    """It is published before the group is joined anew: what is queued behind it may come before that."""
    bridge = Bridge(on_out_of_range="resume")
    bridge.consumer.ends[P1] = (80, 90)
    bridge.consumer.group[P1] = 77
    bridge.publisher.results = [down]
    bridge.run(message(P0, 4), out_of_range(), message(P0, 5))
    assert positions(bridge.publisher.published[-1]) == [(0, 4), (0, 5)]
    assert bridge.stored == [("t", 0, 6), ("t", 1, 80)]


def test_offset_out_of_range_resumes_at_the_earliest(caplog: pytest.LogCaptureFixture) -> None:
    """With `resume`, the gap is logged and counted, the group moved to what is there, and joined anew."""
    bridge = Bridge(on_out_of_range="resume")
    bridge.consumer.ends[P1] = (80, 90)
    bridge.consumer.group[P1] = 77
    bridge.run(out_of_range())
    assert bridge.consumer.commits == [{P1: 80}]
    assert bridge.stored == [("t", 1, 80)], "leaving would otherwise commit the old position again"
    assert bridge.consumer.joins == 3  # two by the tests' two runs, and the new one
    assert bridge.status.counts()["gap"] == 3
    (line,) = [r for r in caplog.records if r.getMessage().startswith("gap: ")]
    assert line.__dict__["fields"]["missing"] == 3


def test_group_is_joined_anew_only_when_it_is_left() -> None:
    """In the midst of a rebalance a subscription would take the place of leaving: it comes after that."""
    bridge = Bridge(on_out_of_range="resume")
    bridge.consumer.ends[P1] = (80, 90)
    bridge.consumer.group[P1] = 77
    bridge.consumer.rebalancing = True
    bridge.run(out_of_range())
    assert bridge.consumer.joins == 3
    assert bridge.consumer.unpaused_polls[-2:] == [[], []], "what came meanwhile would be lost"


def test_gap_that_a_rebalance_keeps_from_being_passed_is_met_again(caplog: pytest.LogCaptureFixture) -> None:
    """The coordinator refuses the commit: the group is joined anew all the same, and the gap found again."""
    bridge = Bridge(on_out_of_range="resume")
    bridge.consumer.ends[P1] = (80, 90)
    bridge.consumer.group[P1] = 77

    def refuse(**_: object) -> list[TopicPartition]:
        raise KafkaException(KafkaError(KafkaError.REBALANCE_IN_PROGRESS, "rebalance"))

    bridge.consumer.commit = refuse  # type: ignore[method-assign]
    bridge.run(out_of_range())
    assert bridge.consumer.joins == 3
    assert "the gaps are not passed, the group rebalances" in caplog.text


def test_commit_that_went_with_its_topic(caplog: pytest.LogCaptureFixture) -> None:
    """Where Kafka deleted commit and topic, the new one is read whole: no stored position goes back to it."""
    bridge = Bridge(on_out_of_range="resume")
    bridge.run(message(P1, 9))
    bridge.consumer.commit = lambda **_: []  # type: ignore[method-assign] # to be refused
    bridge.consumer.group[P1] = -1001
    bridge.consumer.ends[P1] = (0, 30)
    bridge.run(out_of_range())
    assert bridge.consumer.stored[-1] == ("t", 1, 0)
    assert "t/1: the committed offset is gone" in caplog.text
    assert bridge.status.counts()["gap"] == 0


def test_gap_begins_behind_what_was_forwarded() -> None:
    """What was forwarded and is not committed yet does not count as gone."""
    bridge = Bridge(on_out_of_range="resume")
    bridge.consumer.group[P1] = 70
    bridge.run(message(P1, 76))
    bridge.consumer.ends[P1] = (80, 90)
    bridge.run(out_of_range())
    assert bridge.status.gaps == {("t", 1): 3}


def test_end_that_holds_no_record_is_stored(bridge: Bridge) -> None:
    """Where a log ends in what is never given out, that end is stored, also when no record came."""
    bridge.run(message(P0, 4), end_of(P0, 6))
    bridge.run(end_of(P1, 3))
    assert bridge.stored == [("t", 0, 6), ("t", 1, 3)]
    assert len(bridge.publisher.published) == 1


def test_end_of_a_partition_that_left_is_not_stored(bridge: Bridge) -> None:
    """An end found before a partition left and came back would skip the records that were dropped."""

    def away_and_back() -> None:
        bridge.consumer.rebalance_out(bridge.consumer.on_revoke)
        bridge.consumer.rebalance_in(P0, P1)

    bridge.publisher.results = [down]
    bridge.consumer.in_poll = [away_and_back]
    bridge.run(message(P0, 4), end_of(P0, 6), end_of(P1, 3))
    assert bridge.stored == []


def test_truncated_log_resumes_at_the_earliest() -> None:
    """An offset past the log's end is a topic made anew: all of it is read, nothing counts as gone."""
    bridge = Bridge(on_out_of_range="resume")
    bridge.consumer.ends[P0] = (0, 5)
    bridge.consumer.group[P0] = 500
    bridge.run(out_of_range())
    assert bridge.consumer.commits == [{P0: 0}]
    assert bridge.status.counts()["gap"] == 0


def test_outage_is_said_once_and_the_recovery_once(bridge: Bridge, caplog: pytest.LogCaptureFixture) -> None:
    """However long it lasts, an outage is a line when it begins and one when it ends; /readyz tells too."""
    unready: list[str | None] = []

    def still_down(records: Sequence[Record]) -> Result:
        unready.append(bridge.status.unready())
        return down(records)

    bridge.publisher.results = [down, *[still_down] * 9]
    with caplog.at_level(logging.INFO):
        bridge.run(message(P0, 1))
    said = [r.getMessage() for r in caplog.records if "Pub/Sub" in r.getMessage()]
    assert said == [
        "Pub/Sub does not take records, holding: p/t: UNAVAILABLE: down",
        "Pub/Sub takes records again",
    ]
    assert set(unready) == {"Pub/Sub does not take records: p/t: UNAVAILABLE: down"}
    assert bridge.status.unready() is None
    assert bridge.status.retries == 10


def test_permanent_error_is_named_and_retried_slowly(
    bridge: Bridge, caplog: pytest.LogCaptureFixture
) -> None:
    """A topic that is missing is said with what to do, and asked after more slowly."""
    times: list[float] = []
    missing = Failure("p/t", grpc.StatusCode.NOT_FOUND, "Topic not found")

    def not_found(records: Sequence[Record]) -> Result:
        times.append(bridge.consumer.now)
        return Result([*records], [], missing)

    bridge.publisher.results = [down, *[not_found] * 12]
    bridge.run(message(P0, 1))
    said = [r.getMessage() for r in caplog.records if "NOT_FOUND" in r.getMessage()]
    assert said == ["Pub/Sub still does not take records: p/t: NOT_FOUND: Topic not found (create the topic)"]
    assert 15 <= max(after - before for before, after in itertools.pairwise(times)) <= 30.01


def test_hold_that_gets_on_does_not_wait_longer_each_time(bridge: Bridge) -> None:
    """Where each attempt has some taken, there is no outage, and the next one follows at once."""
    times: list[float] = []

    def one_taken(records: Sequence[Record]) -> Result:
        times.append(bridge.consumer.now)
        return Result([*records[1:]], [], unavailable("some are at fault"))

    bridge.publisher.results = [one_taken] * 20
    bridge.run(*[message(P0, n) for n in range(30)])
    assert bridge.stored == [("t", 0, 30)]
    assert max(after - before for before, after in itertools.pairwise(times)) <= MIN_BACKOFF_S


def test_probes_are_few_while_holding(bridge: Bridge) -> None:
    """While it is degraded the bridge asks with the first records only, and sends the rest when they pass."""
    bridge = Bridge(max_records=1_000)
    bridge.publisher.results = [down] * 3
    bridge.run(*[message(P0, n) for n in range(450)])
    assert [len(r) for r in bridge.publisher.published] == [450, 100, 100, 100, 350]
    assert bridge.stored == [("t", 0, 450)]


def test_after_a_refusal_all_are_tried() -> None:
    """The first few may all be at fault: only the others tell whether the topic is."""
    bridge = Bridge(max_records=1_000)
    refusal = Failure("p/t", grpc.StatusCode.INVALID_ARGUMENT, "bad")
    bridge.publisher.results = [lambda records: Result([*records], [], refusal)] * 2
    bridge.run(*[message(P0, n) for n in range(450)])
    assert [len(r) for r in bridge.publisher.published] == [450, 450, 450]


def test_each_topic_and_cause_of_a_hold_is_said(bridge: Bridge, caplog: pytest.LogCaptureFixture) -> None:
    """Where the dead-letter topic refuses with the code of the events' topic, that is another cause."""
    causes = [Failure(topic, grpc.StatusCode.INVALID_ARGUMENT, "bad") for topic in ("e", "d", "e", "d")]
    bridge.publisher.results = [lambda records: Result([*records], [], causes.pop(0))] * len(causes)
    bridge.run(message(P0, 1))
    said = [r.getMessage() for r in caplog.records if "INVALID_ARGUMENT" in r.getMessage()]
    assert [text.split(": ")[1] for text in said] == ["e", "d"]


def test_incremental_assignment_while_holding() -> None:
    """With cooperative rebalances, partitions that arrive in a hold are added, paused, to those there."""
    bridge = Bridge(incremental=True)
    consumer = bridge.consumer
    paused: list[set[At]] = []

    def come() -> None:
        consumer.rebalance_in(P2, incremental=True)
        paused.append(set(consumer.paused))

    consumer.in_poll = [come]
    bridge.publisher.results = [down] * 3
    bridge.run(message(P0, 4))
    assert paused == [{P0, P1, P2}]
    assert consumer.unpaused_polls == [[]] * consumer.polls
    assert consumer.paused == set()
    assert bridge.stored == [("t", 0, 5)]


def test_transient_error_does_not_end_a_hold(bridge: Bridge) -> None:
    """A broker that is down for a moment during an outage is logged, and the hold goes on."""
    error = KafkaError(KafkaError._TRANSPORT, "broker down")  # noqa: SLF001
    bridge.publisher.results = [down] * 3
    bridge.consumer.in_poll = [lambda: Message(topic="t", partition=0, error=error)]
    bridge.run(message(P0, 4))
    assert bridge.stored == [("t", 0, 5)]


def test_record_that_comes_while_paused_stops(bridge: Bridge) -> None:
    """A record out of a poll while holding would be lost behind a later offset: stop instead."""
    bridge.publisher.results = [down] * 50
    bridge.consumer.in_poll = [lambda: message(P1, 9)]
    with pytest.raises(StoppedByKafkaError, match="t/1"):
        bridge.run(message(P0, 4))
    assert bridge.stored == []


def test_error_in_a_callback_ends_the_hold_unstored(bridge: Bridge) -> None:
    """Brokers that refuse the start positions of new partitions stop the bridge, with nothing stored."""
    bridge.publisher.results = [down] * 50

    def refused() -> Message:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer"))  # noqa: SLF001

    bridge.consumer.in_poll = [refused]
    with pytest.raises(KafkaException):
        bridge.run(message(P0, 4))
    assert bridge.stored == []
    assert bridge.consumer.paused == set()


def test_brokers_that_refuse_an_assignment_stop_the_bridge_with_a_word() -> None:
    """Out of a callback the client's own exceptions are none that can be caught, so they are caught in it."""
    bridge = Bridge()

    def refuse(*_: object, **__: object) -> None:
        raise KafkaException(KafkaError(KafkaError.NOT_COORDINATOR, "not the coordinator"))

    bridge.consumer.committed = refuse  # type: ignore[method-assign, assignment]
    bridge.consumer.rebalance_out(bridge.consumer.on_revoke)
    with pytest.raises(StoppedByKafkaError, match="not the coordinator"):
        bridge.consumer.rebalance_in(P0, P1)


def test_told_to_stop_before_the_first_turn(bridge: Bridge) -> None:
    """A bridge that is told to stop while it starts takes nothing."""
    bridge.run()
    assert bridge.events == []


def test_group_is_not_joined_while_stopping_before_the_brokers_answered(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would not know the partitions that were there, and commit a new group's start as its beginning."""

    def silent(*, timeout: float) -> SimpleNamespace:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT, f"no answer in {timeout} s"))  # noqa: SLF001

    def joined(*_: object, **__: object) -> None:
        pytest.fail("joined")

    monkeypatch.setattr(bridge.consumer, "list_topics", silent)
    monkeypatch.setattr(bridge.consumer, "poll", lambda _: None)
    monkeypatch.setattr(bridge.consumer, "subscribe", joined)
    bridge.forwarder.run()


def test_status_line_goes_on_while_holding(bridge: Bridge, caplog: pytest.LogCaptureFixture) -> None:
    """The line a minute is written during an outage too."""
    bridge.publisher.results = [down] * 80
    with caplog.at_level(logging.INFO):
        bridge.run(message(P0, 4))
    lines = [r for r in caplog.records if r.getMessage() == "status"]
    assert bridge.consumer.now // 60.25 <= len(lines) <= bridge.consumer.now // 60
    assert len(lines) > 2


def test_partition_revoked_in_the_middle_of_a_take(bridge: Bridge) -> None:
    """A record taken before its partition went is left to the new owner, and not sent twice."""
    consume = bridge.consumer.consume

    def with_rebalance(count: int, timeout: float) -> list[Message]:
        taken = consume(count, timeout)
        if P1 in bridge.consumer.assigned and not timeout:
            bridge.consumer.rebalance_out(bridge.consumer.on_revoke)
            bridge.consumer.rebalance_in(P0)
        return taken

    bridge.consumer.consume = with_rebalance  # type: ignore[method-assign]
    bridge.run(message(P1, 8), message(P0, 4))
    assert positions(bridge.publisher.published[0]) == [(0, 4)]
    assert bridge.stored == [("t", 0, 5)]


def test_topic_made_anew_is_read_from_its_beginning() -> None:
    """Once its group has started, partitions that come back without a commit begin where their log does.

    Kafka deletes the commits with a topic, and a `latest` group would otherwise skip what the new one has.
    """
    bridge = Bridge()
    bridge.consumer.group = {P0: -1001, P1: -1001}
    bridge.consumer.ends = {P0: (0, 5), P1: (2, 7)}
    bridge.consumer.rebalance_out(bridge.consumer.on_revoke)
    bridge.consumer.rebalance_in(P0, P1)
    assert bridge.consumer.commits == [{P0: 0, P1: 2}]
