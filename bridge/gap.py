"""A committed offset out of range: what is missing is measured and said, and only then passed over.

Retention or a truncation got there before the bridge. With `auto.offset.reset=error` librdkafka stops the
partition instead of jumping; a seek is refused from then on (librdkafka#2961), so the group is joined anew.
"""

from collections.abc import Sequence

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

TIMEOUT_S = 30.0


class Gap(msgspec.Struct, frozen=True):
    """A partition whose committed offset is not in its log, which holds those from `low` up to `high`."""

    topic: str
    partition: int
    committed: int
    low: int
    high: int

    @property
    def records(self) -> int:
        """How many offsets are gone unread; none where the log ends before the committed offset."""
        return max(0, self.low - self.committed)

    def __str__(self) -> str:
        """Return what is wrong, in words."""
        text = f"{self.topic}/{self.partition}: the committed offset {self.committed} is out of range: "
        if self.records:
            text += f"the log begins at {self.low}, {self.records} offsets "
            return f"{text}({self.committed} to {self.low - 1}) are gone"
        return f"{text}the log ends at {self.high}, it was truncated or the topic made anew"


def find(consumer: Consumer, partitions: Sequence[TopicPartition]) -> list[Gap]:
    """Return the gaps of the partitions, asking the brokers.

    Raises:
        KafkaException: the brokers did not answer.
    """
    gaps = []
    for partition in consumer.committed(list(partitions), timeout=TIMEOUT_S):
        if partition.error:
            raise KafkaException(partition.error)
        low, high = consumer.get_watermark_offsets(partition, timeout=TIMEOUT_S)
        if partition.offset >= 0 and not low <= partition.offset <= high:
            gaps.append(Gap(partition.topic, partition.partition, partition.offset, low, high))
    return gaps


def commit_earliest(consumer: Consumer, gaps: Sequence[Gap]) -> None:
    """Move the group to the beginning of what is there of those partitions.

    Raises:
        KafkaException: the commit failed; nothing was moved.
    """
    positions = [TopicPartition(gap.topic, gap.partition, gap.low) for gap in gaps]
    for committed in consumer.commit(offsets=positions, asynchronous=False):
        if committed.error:
            raise KafkaException(committed.error)
