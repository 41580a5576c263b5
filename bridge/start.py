"""Where a group starts: resolved and committed once, so that a quiet partition loses nothing later.

The start policy is for a group without any commit, and for the topics that are there when the bridge starts.
A topic or a partition that comes later, also one made anew, whose commits Kafka deletes, starts at its
beginning: what was written before the bridge noticed it is forwarded too. From then on every partition has a
commit, and a commit that has gone out of range is an error, never a silent jump (`auto.offset.reset=error`).
"""

import re
import time
from collections.abc import Iterable, Sequence
from typing import Literal

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import ClusterMetadata  # type: ignore[attr-defined] # it is there

from logs import fields, log

TIMEOUT_S = 30.0
ASK_AGAIN_AFTER_S = 5.0


def existing(consumer: Consumer, topics: Sequence[str]) -> frozenset[str]:
    """Return the topics that are there now, of names and of patterns, which begin with ^.

    It is the first question to the brokers. Where they refuse a password or a certificate, the consumer's
    `error_cb` is told so meanwhile.

    Raises:
        KafkaException: the brokers did not answer.
    """
    names = {topic for topic in topics if not topic.startswith("^")}
    patterns = [re.compile(topic) for topic in topics if topic.startswith("^")]
    there = _ask(consumer, time.monotonic() + TIMEOUT_S).topics
    return frozenset(
        name for name in there if name in names or any(pattern.search(name) for pattern in patterns)
    )


def _ask(consumer: Consumer, until: float) -> ClusterMetadata:
    while True:
        try:
            answer: ClusterMetadata = consumer.list_topics(timeout=ASK_AGAIN_AFTER_S)
        except KafkaException:
            consumer.poll(0)  # calls error_cb
            if time.monotonic() >= until:
                raise
        else:
            return answer


def commit_start_positions(
    consumer: Consumer,
    assigned: Sequence[TopicPartition],
    topics: Iterable[str],
    policy: Literal["latest", "earliest"],
) -> None:
    """Commit a position for each assigned partition that has none; called before they are fetched.

    `topics` are those that were there when the bridge started. A new group commits for all of their
    partitions, also those of other members: they would otherwise take this member's commits for an old
    group's, and start at the beginning.

    Raises:
        KafkaException: the brokers did not answer or refused; nothing has been fetched.
    """
    missing = _uncommitted(consumer, assigned)
    if not missing:
        return
    every = [
        TopicPartition(topic, partition) for topic in topics for partition in _partitions(consumer, topic)
    ]
    known = {(partition.topic, partition.partition) for partition in every}
    every += [p for p in assigned if (p.topic, p.partition) not in known]
    without = _uncommitted(consumer, every)
    is_new_group = len(without) == len(every)
    at_end = is_new_group and policy == "latest"
    # Asked again, because another member may have committed for these since.
    ours = {(partition.topic, partition.partition) for partition in missing}
    positions = []
    for partition in without:
        at = (partition.topic, partition.partition)
        if not is_new_group and at not in ours:
            continue
        low, high = consumer.get_watermark_offsets(partition, timeout=TIMEOUT_S)
        positions.append(TopicPartition(*at, high if at_end and at in known else low))
    if not positions:
        return
    for committed in consumer.commit(offsets=positions, asynchronous=False):
        if committed.error:
            raise KafkaException(committed.error)
    log.info(
        "start positions committed",
        extra=fields(
            group="new" if is_new_group else "known",
            start="latest" if at_end else "earliest",
            positions={f"{p.topic}/{p.partition}": p.offset for p in positions},
        ),
    )


def _partitions(consumer: Consumer, topic: str) -> Iterable[int]:
    metadata = consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic]
    # A topic that is not there yet starts at its beginning when it comes.
    if metadata.error is not None and metadata.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise KafkaException(metadata.error)
    partitions: Iterable[int] = metadata.partitions
    return partitions


def _uncommitted(consumer: Consumer, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
    committed = consumer.committed(list(partitions), timeout=TIMEOUT_S)
    for partition in committed:
        if partition.error:
            raise KafkaException(partition.error)
    return [partition for partition in committed if partition.offset < 0]
