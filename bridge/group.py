"""Membership of the consumer group: which partitions are this member's, and what it does as they come and go.

A rebalance is only delivered inside a poll. Partitions are assigned here, in the callback, and not by the
client after it: only what is assigned can be paused or resumed.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from confluent_kafka import Consumer, KafkaException, TopicPartition

from bridge.consumer import At, StoppedByKafkaError, Taken, places
from bridge.health import Status
from bridge.start import commit_start_positions, existing
from envelope import Record
from logs import fields, log


class Group:
    """The group as one member of it sees it."""

    def __init__(
        self,
        consumer: Consumer,
        status: Status,
        *,
        topics: Sequence[str],
        start: Literal["latest", "earliest"],
        incremental: bool,
    ) -> None:
        self._consumer = consumer
        self._status = status
        self._topics = topics
        self._start: Literal["latest", "earliest"] = start
        self._incremental = incremental
        self._known: frozenset[At] = frozenset()
        self._paused = False
        self._gone: set[At] = set()

    def join(self, stopping: Callable[[], bool]) -> None:
        """Join it for the first time; brokers that do not answer are asked again for a while.

        Raises:
            StoppedByKafkaError: the brokers did not answer.
        """
        known = existing(self._consumer, self._topics, stopping)
        if known is not None:
            self._known = known
            self.subscribe()

    def subscribe(self) -> None:
        """Join it; partitions arrive, and go, inside later polls."""
        self._consumer.subscribe(
            list(self._topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )

    def forget(self) -> None:
        """Begin anew to note which partitions go."""
        self._gone.clear()

    def has(self, record: Record) -> bool:
        """Return whether the record's partition has not gone since `forget`."""
        return (record.topic, record.partition) not in self._gone

    def kept(self, taken: Taken) -> Taken:
        """Return what is of partitions that have not gone; whoever has the others next reads them again."""
        return taken.without(self._gone) if self._gone else taken

    def owned(self, taken: Taken) -> Taken:
        """Return what is of partitions that are this member's now, also those that went and came back."""
        if not self._gone:
            return taken
        return taken.without(taken.ends.keys() - places(self._consumer.assignment()))

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Have every partition paused, those too that come meanwhile: polls then bring no records."""
        self._paused = True
        self._consumer.pause(self._consumer.assignment())
        try:
            yield
        finally:
            self._paused = False
            self._consumer.resume(self._consumer.assignment())

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            self._take_over(consumer, partitions)
        except KafkaException as error:
            # Caught here: out of a callback confluent-kafka passes on its own exceptions as what no handler
            # catches, a KafkaError that is no exception at all.
            raise StoppedByKafkaError(f"partitions could not be taken over: {error}") from error
        self._status.refused = None
        self._status.assigned = sorted({*self._status.assigned, *_names(partitions)})
        log.info("assigned partitions", extra=fields(partitions=_names(partitions)))

    def _take_over(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        commit_start_positions(consumer, partitions, self._known, self._start)
        if partitions:  # the group has started: a topic made anew is read from its beginning
            self._known = frozenset()
        for at in places(partitions):
            self._status.ends.pop(at, None)
        if self._incremental:
            consumer.incremental_assign(partitions)
        else:
            consumer.assign(partitions)
        if self._paused:
            consumer.pause(partitions)
        else:  # one that left while it was paused comes back paused
            consumer.resume(partitions)

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._leave("revoked partitions", partitions)

    def _lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._leave("lost partitions", partitions)

    def _leave(self, what: str, partitions: Sequence[TopicPartition]) -> None:
        self._gone |= places(partitions)
        self._status.assigned = sorted({*self._status.assigned} - {*_names(partitions)})
        log.info(what, extra=fields(partitions=_names(partitions)))


def _names(partitions: Sequence[TopicPartition]) -> list[str]:
    return sorted(f"{p.topic}/{p.partition}" for p in partitions)
