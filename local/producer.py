"""Sample events into Kafka at a steady rate, in a thread, counted by stream."""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from confluent_kafka import KafkaError, Message

from decoder.catalog import load_catalog
from local.kafka import Cluster
from local.records import sample_records
from local.spoil import LocalRecord

FLUSH_S = 30.0


class EventProducer:
    """Produces `limit` events, or until stopped where it is None, at `rate` events a second."""

    def __init__(
        self,
        cluster: Cluster,
        stream_of_topic: dict[str, str],
        *,
        limit: int | None,
        rate: float,
        seed: int,
        forwarded: Callable[[], int],
    ) -> None:
        self._cluster = cluster
        self._stream_of_topic = stream_of_topic
        self._limit = limit
        self._rate = rate
        self._events: Iterator[LocalRecord] = sample_records(load_catalog(), seed, lambda: datetime.now(UTC))
        self._forwarded = forwarded
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="producer", daemon=True)
        self.by_stream: Counter[str] = Counter()
        self.spoiled = 0
        self.refused: list[str] = []

    @property
    def produced(self) -> int:
        """How many records Kafka has taken, or will."""
        return self.by_stream.total()

    @property
    def done(self) -> bool:
        """Whether all that was asked for is in Kafka."""
        return not self._thread.is_alive()

    def start(self) -> None:
        """Begin in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop and wait until Kafka has what was produced."""
        self._stop.set()
        self._thread.join(FLUSH_S)

    def _run(self) -> None:
        producer = self._cluster.producer
        max_unread = self._cluster.max_unread_records or math.inf
        started = time.monotonic()
        while not self._stop.is_set() and (self._limit is None or self.produced < self._limit):
            wait = started + self.produced / self._rate - time.monotonic()
            if wait > 0:
                self._stop.wait(wait)
            # The mock cluster forgets what is not read in time.
            while self.produced - self._forwarded() > max_unread and not self._stop.wait(0.5):
                pass
            event = next(self._events)
            producer.produce(
                event.topic,
                event.value,
                key=event.key,
                headers=list(event.headers),
                on_delivery=self._on_delivery,
            )
            producer.poll(0)
            self.by_stream[self._stream_of_topic[event.topic]] += 1
            self.spoiled += event.spoiled is not None
        producer.flush(FLUSH_S)

    def _on_delivery(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self.refused.append(error.str())
