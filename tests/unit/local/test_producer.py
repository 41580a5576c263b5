"""The producer of sample events, against a Kafka that only counts."""

import dataclasses
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import cast

from confluent_kafka import Producer

from decoder.catalog import load_catalog
from decoder.streams import CatalogError, load_streams
from local.producer import EventProducer
from local.records import sample_records
from local.spoil import LocalRecord
from tests.integration.waiting import eventually


class _Producer:
    """Takes records and forgets them."""

    def produce(self, *_: object, **__: object) -> None:
        """Take a record."""

    def poll(self, _: float) -> int:
        """Have no callbacks to run."""
        return 0

    def flush(self, _: float) -> int:
        """Have nothing left."""
        return 0


@dataclasses.dataclass
class _Cluster:
    bootstrap_servers: str
    producer: Producer
    max_unread_bytes: int | None


def _records() -> Iterator[LocalRecord]:
    return sample_records(load_catalog(), 1, lambda: datetime.now(UTC))


def _start(
    max_unread_bytes: int | None,
    forwarded: Callable[[], int],
    events: Iterator[LocalRecord] | None = None,
) -> EventProducer:
    cluster = _Cluster("", cast("Producer", _Producer()), max_unread_bytes)
    streams = load_streams()
    topics = {topic.name: name for name, stream in streams.items() for topic in stream.topics}
    producer = EventProducer(
        cluster, topics, limit=1_000, rate=1e6, events=events or _records(), forwarded=forwarded
    )
    producer.start()
    return producer


def test_the_producer_waits_for_the_bridge_where_kafka_would_drop_records() -> None:
    """With so many bytes unread it stops, and goes on when the bridge has forwarded some."""
    forwarded = 0
    producer = _start(20_000, lambda: forwarded)
    eventually(lambda: producer.produced > 10)
    unread = eventually(lambda: producer.produced if producer.is_waiting else 0)
    assert unread < 1_000
    forwarded = 10
    eventually(lambda: producer.produced > unread)
    forwarded = 1_000
    eventually(lambda: producer.done)
    assert producer.produced == 1_000


def test_the_producer_does_not_wait_where_kafka_keeps_all() -> None:
    """Apache Kafka keeps what is not read: all is produced, and exactly what was asked for."""
    producer = _start(None, lambda: 0)
    eventually(lambda: producer.done)
    assert producer.produced == 1_000


def test_the_producer_goes_on_after_events_that_cannot_be_made() -> None:
    """It says why it has none, and goes on with the next that it is given."""

    def failing() -> Iterator[LocalRecord]:
        yield next(_records())
        raise CatalogError("example 2 is not an event")

    producer = _start(None, lambda: 0, failing())
    assert eventually(lambda: producer.problem) == "example 2 is not an event"
    assert (producer.produced, producer.done) == (1, False)
    producer.replace(_records(), {})
    eventually(lambda: producer.done)
    assert producer.produced == 1_000
