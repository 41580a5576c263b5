"""Where a group starts is resolved once, and every partition has a commit from then on."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Literal, cast

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from bridge.consumer import StoppedByKafkaError
from bridge.start import commit_start_positions, existing
from logs import log

At = tuple[str, int]
NONE = -1001


class FakeConsumer:
    """A group over topics whose partitions hold the offsets from `low` to `high`."""

    def __init__(self, ends: dict[At, tuple[int, int]], committed: dict[At, int] | None = None) -> None:
        self.group = dict(committed or {})
        self.commits: list[dict[At, int]] = []
        self.failing: At | None = None
        self.before_ends: Callable[[], None] = lambda: None
        self._ends = ends

    def committed(self, partitions: list[TopicPartition], *, timeout: float) -> list[TopicPartition]:
        """Return what the group committed."""
        assert timeout > 0
        return [
            TopicPartition(p.topic, p.partition, self.group.get((p.topic, p.partition), NONE))
            for p in partitions
        ]

    def get_watermark_offsets(self, partition: TopicPartition, *, timeout: float) -> tuple[int, int]:
        """Return where a partition begins and ends."""
        assert timeout > 0
        self.before_ends()
        return self._ends[partition.topic, partition.partition]

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> list[SimpleNamespace]:
        """Commit, but for the failing partition."""
        assert not asynchronous
        made = {(p.topic, p.partition): p.offset for p in offsets}
        self.commits.append(made)
        self.group.update(made)
        error = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED, "not allowed")
        return [
            SimpleNamespace(topic=t, partition=n, error=error if (t, n) == self.failing else None)
            for t, n in made
        ]


ENDS = {("a", 0): (5, 50), ("a", 1): (0, 10), ("b", 0): (7, 7)}


def start(consumer: FakeConsumer, assigned: list[At], policy: Literal["latest", "earliest"]) -> None:
    """Start a member that is assigned these partitions."""
    commit_start_positions(
        cast("Consumer", consumer), [TopicPartition(*at) for at in assigned], ENDS.keys(), policy
    )


def test_new_latest_group_commits_the_end_everywhere() -> None:
    """A new group commits the end of every partition of all topics, other members' and quiet ones too."""
    consumer = FakeConsumer(ENDS)
    start(consumer, [("a", 0)], "latest")
    assert consumer.commits == [{("a", 0): 50, ("a", 1): 10, ("b", 0): 7}]


def test_new_earliest_group_commits_the_beginning() -> None:
    """With `earliest`, a new group begins where each log begins, which need not be 0."""
    consumer = FakeConsumer(ENDS)
    start(consumer, [("a", 0), ("a", 1), ("b", 0)], "earliest")
    assert consumer.commits == [{("a", 0): 5, ("a", 1): 0, ("b", 0): 7}]


@pytest.mark.parametrize("policy", ["latest", "earliest"])
def test_new_partition_of_a_known_group_starts_at_its_beginning(
    policy: Literal["latest", "earliest"],
) -> None:
    """A partition that a known group never saw loses nothing: it starts at its beginning."""
    consumer = FakeConsumer(ENDS, {("a", 0): 20, ("b", 0): 0})
    start(consumer, [("a", 0), ("a", 1)], policy)
    assert consumer.commits == [{("a", 1): 0}]


@pytest.mark.parametrize("assigned", [[], [("a", 0)], [("a", 0), ("a", 1)]])
def test_nothing_missing_commits_nothing(assigned: list[At]) -> None:
    """Where every assigned partition has a commit, also at 0, none is touched."""
    consumer = FakeConsumer(ENDS, {("a", 0): 0, ("a", 1): 10})
    start(consumer, assigned, "latest")
    assert consumer.commits == []


def test_another_members_start_positions_are_kept() -> None:
    """Two members that start a new group together: the slower keeps what the other committed meanwhile."""
    consumer = FakeConsumer(ENDS)

    def other_member_is_quicker() -> None:
        consumer.group = {("a", 0): 48, ("a", 1): 9}

    consumer.before_ends = other_member_is_quicker
    start(consumer, [("a", 1), ("b", 0)], "latest")
    assert consumer.group == {("a", 0): 48, ("a", 1): 9, ("b", 0): 7}


def test_refused_commit_raises() -> None:
    """A position that the brokers did not take is an error: the partition would be without one."""
    consumer = FakeConsumer(ENDS)
    consumer.failing = ("a", 1)
    with pytest.raises(KafkaException, match="not allowed"):
        start(consumer, [("a", 0)], "latest")


def test_unanswered_question_raises() -> None:
    """A partition whose commit cannot be read is not taken for one without a commit."""
    consumer = FakeConsumer(ENDS, {("a", 0): 20})

    def unstable(partitions: list[TopicPartition], *, timeout: float) -> list[SimpleNamespace]:
        assert timeout > 0
        error = KafkaError(KafkaError.UNSTABLE_OFFSET_COMMIT, "unstable")
        return [SimpleNamespace(topic=p.topic, offset=NONE, error=error) for p in partitions]

    consumer.committed = unstable  # type: ignore[assignment,method-assign] # no TopicPartition with an error can be made
    with pytest.raises(KafkaException, match="unstable"):
        start(consumer, [("a", 0)], "latest")
    assert consumer.commits == []


def test_topic_that_came_after_the_start_is_read_from_its_beginning() -> None:
    """In a new latest group too, what was written to a topic before the bridge noticed it is forwarded."""
    consumer = FakeConsumer({**ENDS, ("late", 0): (3, 40)})
    start(consumer, [("a", 0), ("late", 0)], "latest")
    assert consumer.commits == [{("a", 0): 50, ("a", 1): 10, ("b", 0): 7, ("late", 0): 3}]


def test_existing_partitions_are_found_by_name_and_by_pattern(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names and patterns give the partitions that are there; a name that is not is said."""
    monkeypatch.setattr(log, "propagate", True)
    topics = {name: SimpleNamespace(partitions={0: None, 1: None}) for name in ("a", "b1", "c")}
    consumer = SimpleNamespace(list_topics=lambda *, timeout: SimpleNamespace(topics=topics, timeout=timeout))
    there = existing(cast("Consumer", consumer), ["a", "^b.*", "missing"], lambda: False)
    assert there == frozenset({("a", 0), ("a", 1), ("b1", 0), ("b1", 1)})
    assert {*caplog.messages} == {"topics that are not there yet: missing"}


def test_brokers_that_do_not_answer_are_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meanwhile errors are served, so that a refused password is told; in the end the bridge gives up."""
    now = [0.0]
    served: list[float] = []
    answers = iter([False, False, True])

    def list_topics(*, timeout: float) -> SimpleNamespace:
        now[0] += timeout
        if not next(answers, False):
            raise KafkaException(KafkaError(KafkaError._TRANSPORT, "no answer"))  # noqa: SLF001
        return SimpleNamespace(topics={"a": SimpleNamespace(partitions={0: None})})

    monkeypatch.setattr("time.monotonic", lambda: now[0])
    consumer = cast("Consumer", SimpleNamespace(list_topics=list_topics, poll=served.append))
    assert existing(consumer, ["a"], lambda: False) == frozenset({("a", 0)})
    assert served == [0, 0]
    with pytest.raises(StoppedByKafkaError, match=r"^no broker of .* for 30 s: no answer"):
        existing(consumer, ["a"], lambda: False)
    assert now[0] < 60


def test_brokers_that_do_not_answer_do_not_keep_a_bridge_that_is_told_to_stop() -> None:
    """It does not ask again, and has nothing to join for."""
    asked: list[float] = []

    def list_topics(*, timeout: float) -> SimpleNamespace:
        asked.append(timeout)
        raise KafkaException(KafkaError(KafkaError._TRANSPORT, "no answer"))  # noqa: SLF001

    consumer = cast("Consumer", SimpleNamespace(list_topics=list_topics, poll=lambda _: None))
    assert existing(consumer, ["a"], lambda: True) is None
    assert len(asked) == 1


def test_partition_without_a_leader_is_named() -> None:
    """Where a partition has no leader, the text says which."""
    consumer = FakeConsumer(ENDS)

    def no_leader() -> None:
        raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE, "no leader"))

    consumer.before_ends = no_leader
    with pytest.raises(StoppedByKafkaError, match=r"^[ab]/[01]: its leader does not say .*no leader"):
        start(consumer, [("a", 1)], "earliest")
    assert consumer.commits == []
