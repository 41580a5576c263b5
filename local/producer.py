"""Sample events into Kafka at a steady rate, in a thread, counted by stream."""

import itertools
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator

from confluent_kafka import KafkaError, Message, Producer

from decoder.streams import CatalogError
from local.kafka import Cluster
from local.spoil import LocalRecord

FLUSH_S = 30.0
# Events come in ticks: a thread that wakes for each of 2,000 a second costs more than the events, and those
# of a tick travel together, in few messages and few inserts.
TICK_S = 0.5
RECORD_OVERHEAD_BYTES = 40


class EventProducer:
    """Produces `limit` events, or until stopped where it is None, at `rate` events a second."""

    def __init__(
        self,
        cluster: Cluster,
        stream_of_topic: dict[str, str],
        *,
        limit: int | None,
        rate: float,
        events: Iterator[LocalRecord],
        forwarded: Callable[[], int],
    ) -> None:
        self._cluster = cluster
        self._stream_of_topic = stream_of_topic
        self._limit = limit
        self._rate = rate
        self._events = events
        self._forwarded = forwarded
        self._unread_sizes: deque[int] = deque()  # of the newest records, as if read in the order produced
        self._unread_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="producer", daemon=True)
        self.by_stream: Counter[str] = Counter()
        self.is_waiting = False  # for the bridge
        self.refused: list[str] = []
        self.problem: str | None = None  # why no more events can be made, until `replace`

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

    def replace(self, events: Iterator[LocalRecord], stream_of_topic: dict[str, str]) -> None:
        """Go on with other events: the catalog has changed."""
        self._stream_of_topic = {**self._stream_of_topic, **stream_of_topic}
        self._events = events
        self.problem = None

    def stop(self) -> None:
        """Stop and wait until Kafka has what was produced."""
        self._stop.set()
        self._thread.join(FLUSH_S)

    def _run(self) -> None:
        producer = self._cluster.producer
        started = time.monotonic()
        while not self._stop.is_set() and (self._limit is None or self.produced < self._limit):
            due = int((time.monotonic() - started) * self._rate) + 1
            if self._limit is not None:
                due = min(due, self._limit)
            try:
                self._produce_due(producer, due)
            except CatalogError as error:
                self.problem = str(error)
                while self.problem is not None and not self._stop.wait(TICK_S):
                    pass
                started = time.monotonic() - self.produced / self._rate
            producer.poll(0)
            self._stop.wait(max(TICK_S, started + self.produced / self._rate - time.monotonic()))
        producer.flush(FLUSH_S)

    def _produce_due(self, producer: Producer, due: int) -> None:
        for event in itertools.islice(self._events, max(0, due - self.produced)):
            self._await_room()
            if self._stop.is_set():
                return
            self._produce(producer, event)

    def _await_room(self) -> None:
        """Wait for the bridge where the mock cluster would drop records that were not read yet."""
        limit = self._cluster.max_unread_bytes
        if limit is None:
            return
        while not self._stop.is_set():
            while len(self._unread_sizes) > max(0, self.produced - self._forwarded()):
                self._unread_bytes -= self._unread_sizes.popleft()
            self.is_waiting = self._unread_bytes > limit
            if not self.is_waiting:
                return
            self._cluster.producer.poll(0)
            self._stop.wait(TICK_S)

    def _produce(self, producer: Producer, event: LocalRecord) -> None:
        producer.produce(
            event.topic,
            event.value,
            key=event.key,
            headers=list(event.headers),
            on_delivery=self._on_delivery,
        )
        if self._cluster.max_unread_bytes is not None:
            size = _size(event)
            self._unread_sizes.append(size)
            self._unread_bytes += size
        self.by_stream[self._stream_of_topic[event.topic]] += 1

    def _on_delivery(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self.refused.append(error.str())


def _size(event: LocalRecord) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in event.headers)
    return len(event.value or b"") + len(event.key or b"") + headers + RECORD_OVERHEAD_BYTES
