"""Where a group starts: resolved and committed once, so that a quiet partition loses nothing later.

The start policy is for a group without any commit, and for the topics that are there when the bridge starts.
A topic or a partition that comes later, also one made anew, whose commits Kafka deletes, starts at its
beginning: what was written before the bridge noticed it is forwarded too. From then on every partition has a
commit, and a commit that has gone out of range is an error, never a silent jump (`auto.offset.reset=error`).
"""

import re
import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Literal

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import ClusterMetadata  # type: ignore[attr-defined] # it is there

from bridge.consumer import At, StoppedByKafkaError, log_bounds, places
from logs import fields, log

TIMEOUT_S = 30.0
ASK_AGAIN_AFTER_S = 5.0


def existing(consumer: Consumer, topics: Sequence[str], stopping: Callable[[], bool]) -> frozenset[At] | None:
    """Return the partitions that are there now, of topics by name and by patterns, which begin with ^.

    Return None where the brokers do not answer while `stopping`. It is the first question to them: where
    they refuse a password or a certificate, the consumer's `error_cb` is told so meanwhile. It cannot be
    asked inside a rebalance: after `list_topics` in a callback, the client aborts the process at the next.

    Raises:
        StoppedByKafkaError: the brokers did not answer for `TIMEOUT_S`.
    """
    names = {topic for topic in topics if not topic.startswith("^")}
    patterns = [re.compile(topic) for topic in topics if topic.startswith("^")]
    answer = _ask(consumer, time.monotonic() + TIMEOUT_S, stopping)
    if answer is None:
        return None
    missing = sorted(names - answer.topics.keys())
    if missing:
        log.warning("topics that are not there yet: %s", ", ".join(missing), extra=fields(topics=missing))
    return frozenset(
        (name, partition)
        for name, topic in answer.topics.items()
        if name in names or any(pattern.search(name) for pattern in patterns)
        for partition in topic.partitions
    )


def _ask(consumer: Consumer, until: float, stopping: Callable[[], bool]) -> ClusterMetadata | None:
    while True:
        try:
            answer: ClusterMetadata = consumer.list_topics(timeout=ASK_AGAIN_AFTER_S)
        except KafkaException as error:
            consumer.poll(0)  # calls error_cb
            if stopping():
                return None
            if time.monotonic() >= until:
                text = f"no broker of bootstrap.servers answered for {TIMEOUT_S:.0f} s: {error.args[0].str()}"
                raise StoppedByKafkaError(text) from error
        else:
            return answer


def commit_start_positions(
    consumer: Consumer,
    assigned: Sequence[TopicPartition],
    known: AbstractSet[At],
    policy: Literal["latest", "earliest"],
) -> None:
    """Commit a position for each assigned partition that has none; called before they are fetched.

    `known` are the partitions that were there when the bridge started. A new group commits for all of them,
    also those of other members: they would otherwise take this member's commits for an old group's, and start
    at the beginning.

    Raises:
        KafkaException: the coordinator did not answer or refused; nothing has been fetched.
        StoppedByKafkaError: a partition's leader did not answer.
    """
    missing = _uncommitted(consumer, places(assigned))
    if not missing:
        return
    every = known | places(assigned)
    without = _uncommitted(consumer, every)
    is_new_group = without == every
    at_end = is_new_group and policy == "latest"
    positions = {}
    for at in without if is_new_group else missing:
        low, high = log_bounds(consumer, at, TIMEOUT_S)
        positions[at] = high if at_end and at in known else low
    # Asked again: another member may have committed for these meanwhile, and forwards from there.
    positions = {at: positions[at] for at in sorted(_uncommitted(consumer, positions.keys()))}
    if not positions:
        return
    commits = [TopicPartition(*at, offset) for at, offset in positions.items()]
    for committed in consumer.commit(offsets=commits, asynchronous=False):
        if committed.error:
            raise KafkaException(committed.error)
    log.info(
        "start positions committed",
        extra=fields(
            group="new" if is_new_group else "known",
            start="latest" if at_end else "earliest",
            positions={f"{topic}/{partition}": offset for (topic, partition), offset in positions.items()},
        ),
    )


def _uncommitted(consumer: Consumer, wanted: AbstractSet[At]) -> frozenset[At]:
    committed = consumer.committed([TopicPartition(*at) for at in sorted(wanted)], timeout=TIMEOUT_S)
    for partition in committed:
        if partition.error:
            raise KafkaException(partition.error)
    return places([partition for partition in committed if partition.offset < 0])
