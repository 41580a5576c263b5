"""What Kafka itself says: how many records its topics have, and how far the bridge's group has committed."""

from collections.abc import Iterable

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

TIMEOUT_S = 5.0


class Offsets:
    """Asks a cluster whose topics are neither compacted nor written in transactions: an offset is a count."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
        self._partitions: dict[str, list[TopicPartition]] = {}

    def records(self, topics: Iterable[str]) -> dict[str, int] | None:
        """Return how many records each topic has had so far; None when the cluster does not answer."""
        counts = dict.fromkeys(topics, 0)
        try:
            latest = OffsetSpec.latest()  # type: ignore[no-untyped-call] # confluent-kafka types only a part
            wanted = {at: latest for topic in counts for at in self._partitions_of(topic)}
            for at, answer in self._admin.list_offsets(wanted, request_timeout=TIMEOUT_S).items():
                counts[at.topic] += answer.result().offset
        except KafkaException:
            return None
        return counts

    def committed(self, group: str, topics: Iterable[str]) -> int | None:
        """Return how many records are before the group's committed offsets; None without an answer."""
        try:
            wanted = [at for topic in topics for at in self._partitions_of(topic)]
            asked = [ConsumerGroupTopicPartitions(group, wanted)]
            answer = self._admin.list_consumer_group_offsets(asked, request_timeout=TIMEOUT_S)
            found: list[TopicPartition] = answer[group].result().topic_partitions
        except KafkaException:
            return None
        return sum(max(0, at.offset) for at in found)

    def _partitions_of(self, topic: str) -> list[TopicPartition]:
        if topic not in self._partitions:
            known = self._admin.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions
            self._partitions[topic] = [TopicPartition(topic, number) for number in known]
        return self._partitions[topic]
