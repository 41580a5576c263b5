"""The loop: take what there is, publish it, wait for all of it, store the offsets, go on.

Nothing is in flight across a poll, so a rebalance, which is only delivered inside one, finds nothing to
settle. The one exception is an outage of Pub/Sub, where the records are held across polls; see `_hold`.
"""

import random
from collections.abc import Callable, Sequence

from confluent_kafka import Consumer, TopicPartition

from bridge.consumer import StoppedByKafkaError, check, store_offsets, take
from bridge.health import Status
from bridge.publish import Publisher, Refused, Result
from bridge.start import commit_start_positions
from envelope import Record
from logs import fields, log

WAIT_S = 0.5
POLL_WHILE_HOLDING_S = 0.25
MIN_BACKOFF_S = 0.25
MAX_BACKOFF_S = 8.0


class AbandonedError(Exception):
    """The bridge must stop now: the cycle is given up, its offsets unstored, to be read again."""


class Forwarder:
    """One consumer, one Pub/Sub topic and its dead-letter topic."""

    def __init__(
        self,
        consumer: Consumer,
        publisher: Publisher,
        dead_letters: Publisher,
        status: Status,
        *,
        max_records: int,
        max_bytes: int,
        stopping: Callable[[], bool],
        abandoned: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._consumer = consumer
        self._publisher = publisher
        self._dead_letters = dead_letters
        self._status = status
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._stopping = stopping
        self._abandoned = abandoned
        self._clock = clock
        self._holding = False
        self._revoked: set[tuple[str, int]] = set()

    def subscribe(self, topics: Sequence[str], start: str) -> None:
        """Join the group; partitions arrive, and go, inside later polls."""

        def on_assign(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            commit_start_positions(
                consumer, partitions, topics, "latest" if start == "latest" else "earliest"
            )
            if self._holding:
                # They would arrive unpaused, and the poll that keeps the membership would return records.
                consumer.assign(partitions)
                consumer.pause(partitions)
            self._status.assigned = sorted({*self._status.assigned, *_names(partitions)})
            log.info("assigned partitions", extra=fields(partitions=_names(partitions)))

        def on_revoke(_: Consumer, partitions: list[TopicPartition]) -> None:
            self._revoked.update((p.topic, p.partition) for p in partitions)
            self._status.assigned = sorted({*self._status.assigned} - {*_names(partitions)})
            log.info("revoked partitions", extra=fields(partitions=_names(partitions)))

        self._consumer.subscribe(list(topics), on_assign=on_assign, on_revoke=on_revoke, on_lost=on_revoke)

    def run(self) -> None:
        """Forward until told to stop.

        Raises:
            AbandonedError: told to stop, and Pub/Sub did not acknowledge the last cycle in time.
            StoppedByKafkaError: Kafka said something that the bridge must not go on after.
        """
        while not self._stopping():
            records = take(self._consumer, self._max_records, self._max_bytes, WAIT_S)
            self._status.turn(self._consumer)
            if records:
                self._forward(records)

    def _forward(self, records: list[Record]) -> None:
        result = self._publish(records, [])
        if result.error is not None:
            records = self._hold(records, result)
        store_offsets(self._consumer, records)
        self._status.forwarded += len(records)
        self._status.bytes += sum(len(record.value or b"") for record in records)

    def _publish(self, records: list[Record], refused: list[Refused]) -> Result:
        """Publish the records; dead-letter what Pub/Sub refuses of them, and what it refused before."""
        result = self._publisher.publish(records)
        refused = refused + result.refused
        unsent, error = self._dead_letters.publish_dead_letters(refused)
        for dead_letter in refused[: len(refused) - len(unsent)]:
            self._status.dead_lettered += 1
            record = dead_letter.record
            log.error(
                "dead letter: %s: %s",
                dead_letter.reason,
                dead_letter.message,
                extra=fields(
                    reason=dead_letter.reason,
                    kafka_topic=record.topic,
                    kafka_partition=record.partition,
                    kafka_offset=record.offset,
                ),
            )
        return Result(result.unsent, unsent, result.error or error)

    def _hold(self, records: list[Record], result: Result) -> list[Record]:
        """Try until Pub/Sub has the records; return those whose partitions are still this member's.

        Every partition is paused and the consumer polled all the while, so that an outage does not cost the
        membership. A poll may then revoke partitions: their records are dropped, whoever has them next reads
        them again.
        """
        log.error(
            "Pub/Sub does not take records, holding: %s", result.error, extra=fields(records=len(records))
        )
        self._revoked.clear()
        self._holding = True
        self._consumer.pause(self._consumer.assignment())
        backoff = MIN_BACKOFF_S
        try:
            while result.error is not None:
                self._wait(backoff * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                backoff = min(backoff * 2, MAX_BACKOFF_S)
                records = [r for r in records if self._is_ours(r)]
                result = self._publish(
                    [r for r in result.unsent if self._is_ours(r)],
                    [r for r in result.refused if self._is_ours(r.record)],
                )
                if result.error is not None:
                    log.warning("Pub/Sub still does not take records: %s", result.error)
        finally:
            self._holding = False
            self._consumer.resume(self._consumer.assignment())
        log.info("Pub/Sub takes records again", extra=fields(records=len(records)))
        return records

    def _wait(self, seconds: float) -> None:
        until = self._clock() + seconds
        while True:
            if self._abandoned():
                raise AbandonedError
            self._status.turn(self._consumer)
            left = until - self._clock()
            if left <= 0:
                return
            message = self._consumer.poll(min(POLL_WHILE_HOLDING_S, left))
            if message is None:
                continue
            error = message.error()
            if error is None:
                # Everything is paused, so this cannot be. Were it so, a later offset would hide the loss.
                raise StoppedByKafkaError(
                    f"a record of {message.topic()}/{message.partition()} came while paused"
                )
            check(error, message)

    def _is_ours(self, record: Record) -> bool:
        return (record.topic, record.partition) not in self._revoked


def _names(partitions: Sequence[TopicPartition]) -> list[str]:
    return sorted(f"{p.topic}/{p.partition}" for p in partitions)
