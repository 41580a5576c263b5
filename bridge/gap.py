"""A committed offset out of range: what is missing is measured and said, and only then passed over.

Retention or a truncation got there before the bridge. With `auto.offset.reset=error` librdkafka stops the
partition instead of jumping; a seek is refused from then on (librdkafka#2961), so the group is joined anew.
"""

import contextlib
from collections.abc import Sequence

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from bridge.consumer import log_bounds

TIMEOUT_S = 30.0


class Gap(msgspec.Struct, frozen=True):
    """A partition whose committed offset is not in its log, which holds those from `low` up to `high`.

    `committed` is -1 where the commit itself is gone: Kafka deletes it with its topic.
    """

    topic: str
    partition: int
    committed: int
    low: int
    high: int

    @property
    def records(self) -> int:
        """How many offsets are gone unread; none where the log ends before the committed offset."""
        return 0 if self.committed < 0 else max(0, self.low - self.committed)

    def __str__(self) -> str:
        """Return what is wrong, in words."""
        if self.committed < 0:
            return f"{self.topic}/{self.partition}: the committed offset is gone, the topic was made anew"
        text = f"{self.topic}/{self.partition}: the committed offset {self.committed} is out of range: "
        if self.records:
            text += f"the log begins at {self.low}, {self.records} offsets "
            return f"{text}({self.committed} to {self.low - 1}) are gone"
        return f"{text}the log ends at {self.high}, it was truncated or the topic made anew"


def find(consumer: Consumer, partitions: Sequence[TopicPartition]) -> list[Gap]:
    """Return the gaps of the partitions, asking the brokers.

    Raises:
        KafkaException: the coordinator did not answer.
        StoppedByKafkaError: a partition's leader did not answer.
    """
    with contextlib.suppress(KafkaException):  # what was forwarded just now is no gap
        consumer.commit(asynchronous=False)
    gaps = []
    for partition in consumer.committed(list(partitions), timeout=TIMEOUT_S):
        if partition.error:
            raise KafkaException(partition.error)
        low, high = log_bounds(consumer, (partition.topic, partition.partition), TIMEOUT_S)
        if not low <= partition.offset <= high:
            gaps.append(Gap(partition.topic, partition.partition, max(-1, partition.offset), low, high))
    return gaps


def pass_over(consumer: Consumer, gaps: Sequence[Gap]) -> None:
    """Move the group, and this member, to the beginning of what is there of those partitions.

    Raises:
        KafkaException: the commit failed; where the positions are stored by then, a later one takes them.
    """
    positions = [TopicPartition(gap.topic, gap.partition, gap.low) for gap in gaps]
    # What is stored is committed when the partitions go, and would take the group back.
    consumer.store_offsets(offsets=positions)
    for committed in consumer.commit(offsets=positions, asynchronous=False):
        if committed.error:
            raise KafkaException(committed.error)
