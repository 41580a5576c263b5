"""`python -m tests.faults.mutants NAME`: a bridge with one of the mistakes that others made put back."""

import contextlib
import sys
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition
from google.cloud.pubsub_v1 import PublisherClient

import bridge.__main__ as program
from bridge import forward, group, start
from bridge.commits import Commits
from bridge.config import Config
from bridge.consumer import Taken, store_offsets
from bridge.forward import Forwarder
from bridge.group import Group
from bridge.health import Status
from bridge.publish import Failure, Publisher, Result
from envelope import Record


def auto_store() -> None:
    """Librdkafka stores what was taken, be it forwarded or not."""
    opened = program._open_consumer  # noqa: SLF001 - what is broken here is its inside

    def open_consumer(config: Config, status: Status, commits: Commits) -> Consumer:
        config.kafka["enable.auto.offset.store"] = "true"
        return opened(config, status, commits)

    program._open_consumer = open_consumer  # noqa: SLF001
    vars(forward)["store_offsets"] = lambda *_: None


def store_before_ack() -> None:
    """The position is stored, and then the records are published."""
    forwarded = Forwarder._forward  # noqa: SLF001

    def store_and_forward(self: Forwarder, taken: Taken) -> None:
        store_offsets(self._consumer, taken.ends)
        forwarded(self, taken)

    Forwarder._forward = store_and_forward  # type: ignore[method-assign] # noqa: SLF001


def commit_in_on_lost() -> None:
    """Who has lost partitions commits what it has taken of them, and again until the brokers take it.

    They refuse it from a process that is no member, so the second try comes once it is one again.
    """
    leave = Group._leave  # noqa: SLF001
    started = start.commit_start_positions
    taken: list[TopicPartition] = []

    def commit_and_leave(self: Group, what: str, partitions: list[TopicPartition]) -> None:
        if what.startswith("lost"):
            taken.extend(self._consumer.position(partitions))
            with contextlib.suppress(KafkaException):
                self._consumer.commit(offsets=taken, asynchronous=False)
                taken.clear()
        leave(self, what, partitions)

    def commit_and_start(consumer: Consumer, *arguments: Any) -> None:  # noqa: ANN401 - handed through
        if taken:
            consumer.commit(offsets=taken, asynchronous=False)
            taken.clear()
        started(consumer, *arguments)

    Group._leave = commit_and_leave  # type: ignore[method-assign, assignment] # noqa: SLF001
    vars(group)["commit_start_positions"] = commit_and_start


def skip_after_failure() -> None:
    """A request that failed is logged, and the next records are taken."""

    def skip(_: Forwarder, taken: Taken, __: Result, ___: Failure) -> Taken:
        return taken

    Forwarder._hold = skip  # type: ignore[method-assign, assignment] # noqa: SLF001


def headers_as_keywords() -> None:
    """Headers are the keyword arguments of PublisherClient.publish."""
    client: list[PublisherClient] = []

    def publish(self: Publisher, records: list[Record], timeout_s: float = 8.0) -> Result:
        if not client:
            client.append(PublisherClient())
        for record in records:
            position = {
                "kafka.topic": record.topic,
                "kafka.partition": str(record.partition),
                "kafka.offset": str(record.offset),
            }
            if record.key:
                position["kafka.key"] = record.key.decode(errors="replace")
            headers: dict[str, Any] = {name: value or b"" for name, value in record.headers}
            try:
                client[0].publish(self._topic, record.value or b"", **position, **headers).result(timeout_s)
            except (TypeError, UnicodeDecodeError) as error:
                print(f"not published: {error}", file=sys.stderr)  # noqa: T201
        return Result([], [], None)

    Publisher.publish = publish  # type: ignore[method-assign, assignment]


MUTANTS: dict[str, Callable[[], None]] = {
    "auto-store": auto_store,
    "store-before-ack": store_before_ack,
    "commit-in-on-lost": commit_in_on_lost,
    "skip-after-failure": skip_after_failure,
    "headers-as-keywords": headers_as_keywords,
}

if __name__ == "__main__":
    MUTANTS[sys.argv.pop(1)]()
    sys.exit(program.main())
