"""Kafka on this machine: librdkafka's mock cluster, inside the process that makes it."""

from collections.abc import Sequence
from typing import Protocol

from confluent_kafka import Producer


class Cluster(Protocol):
    """What the rest needs of a Kafka, be it MockCluster or RealCluster."""

    bootstrap_servers: str
    producer: Producer

    @property
    def max_unread_bytes(self) -> int | None:
        """How many bytes of records may be unread before some are lost; None where it keeps all."""


class MockCluster:
    """One broker that lives as long as this object, and a producer to it."""

    # The cluster keeps 5 MB of each partition and drops what is older, read or not. All of what is unread
    # could be in one partition.
    # https://github.com/confluentinc/librdkafka/blob/master/src/rdkafka_mock.c
    max_unread_bytes = 3_000_000

    def __init__(self, topics: Sequence[str]) -> None:
        self.producer = Producer(
            {
                "bootstrap.servers": "replaced-by-the-mock-cluster:9092",
                "test.mock.num.brokers": 1,
                "message.max.bytes": 20_000_000,
                "linger.ms": 5,
                "log_level": 4,
            }
        )
        brokers = self.producer.list_topics(timeout=10).brokers.values()
        self.bootstrap_servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        for topic in topics:
            self.create_topic(topic)

    def create_topic(self, name: str) -> None:
        """Create a topic; nothing happens where it is there."""
        self.producer.list_topics(name, timeout=10)  # asking for a topic makes it
