"""The loop: take what there is, publish it, wait for all of it, store the offsets, go on.

Nothing is in flight across a poll, so a rebalance, which is only delivered inside one, finds nothing to
settle. The one exception is an outage of Pub/Sub, where the records are held across polls; see `_hold`.
"""

import random
from collections.abc import Callable, Sequence
from typing import Literal

from confluent_kafka import Consumer, KafkaException

from bridge import gap
from bridge.batch import Refused
from bridge.commits import REBALANCING, commit_soon
from bridge.consumer import StoppedByKafkaError, Taken, check, store_offsets, take
from bridge.group import Group
from bridge.health import Status
from bridge.publish import RPC_TIMEOUT_S, Failure, Publisher, Result
from envelope import Record
from logs import fields, log

WAIT_S = 0.5
# What a kill repeats beside the cycle under way is less than this, and no older than a second: the consumer
# commits what is stored that often.
COMMIT_AFTER_RECORDS = 1_000
POLL_WHILE_HOLDING_S = 0.25
MIN_BACKOFF_S = 0.25
MAX_BACKOFF_S = 4.0
# An error that somebody has to mend is looked at again less often.
MAX_PERMANENT_BACKOFF_S = 30.0
# While it is degraded, the bridge asks with few records, and not for long: with the pause before, it goes on
# within ten seconds of an outage's end.
PROBE_RECORDS = 100
PROBE_TIMEOUT_S = 5.0


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
        topics: Sequence[str],
        start: Literal["latest", "earliest"],
        on_out_of_range: Literal["stop", "resume"],
        incremental: bool,
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
        self._group = Group(consumer, status, topics=topics, start=start, incremental=incremental)
        self._on_out_of_range = on_out_of_range
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._stopping = stopping
        self._abandoned = abandoned
        self._clock = clock
        self._stored = 0

    def run(self) -> None:
        """Forward until told to stop.

        Raises:
            AbandonedError: told to stop, and Pub/Sub did not acknowledge the last cycle in time.
            StoppedByKafkaError: Kafka said something that the bridge must not go on after.
        """
        self._group.join(self._stopping)
        while not self._stopping():
            self._group.forget()
            taken = take(self._consumer, self._max_records, self._max_bytes, WAIT_S)
            self._status.turn(self._consumer)
            self._forward(self._group.owned(taken))
            if taken.out_of_range:
                self._pass_gaps(taken.out_of_range)

    def _forward(self, taken: Taken) -> None:
        if taken.records:
            result = self._publish(taken.records, [], RPC_TIMEOUT_S)
            if result.error is not None:
                taken = self._hold(taken, result, result.error)
        store_offsets(self._consumer, taken.ends)
        self._stored += len(taken.records)
        if self._stored >= COMMIT_AFTER_RECORDS:
            commit_soon(self._consumer)
            self._stored = 0
        self._status.ends.update(taken.ends)
        self._status.forwarded += len(taken.records)

    def _publish(self, records: list[Record], refused: list[Refused], timeout_s: float) -> Result:
        """Publish the records; dead-letter what Pub/Sub refuses of them, and what it refused before."""
        result = self._publisher.publish(records, timeout_s)
        refused = refused + result.refused
        unsent, error = self._dead_letters.publish_dead_letters(refused, timeout_s)
        for dead_letter in refused[: len(refused) - len(unsent)]:
            self._status.dead_lettered[dead_letter.reason] += 1
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

    def _hold(self, taken: Taken, result: Result, error: Failure) -> Taken:
        """Try until Pub/Sub has the records; return what is of partitions that are still this member's.

        Every partition is paused and the consumer polled all the while, so that an outage does not cost the
        membership. A poll may then revoke partitions: their records are dropped, whoever has them next reads
        them again.
        """
        log.error(
            "Pub/Sub does not take records, holding: %s", error, extra=fields(records=len(taken.records))
        )
        said = {(error.topic, error.code)}
        self._group.forget()
        backoff = MIN_BACKOFF_S
        with self._group.paused():
            while result.error is not None:
                self._status.degraded = f"Pub/Sub does not take records: {result.error}"
                cause = (result.error.topic, result.error.code)
                if cause not in said:
                    said.add(cause)
                    log.warning("Pub/Sub still does not take records: %s", result.error)
                self._wait(taken.out_of_range, backoff * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                most = MAX_PERMANENT_BACKOFF_S if result.error.permanent else MAX_BACKOFF_S
                unsent = [r for r in result.unsent if self._group.has(r)]
                refused = [r for r in result.refused if self._group.has(r.record)]
                self._status.retries += 1
                result = self._try_again(unsent, refused, result.error)
                # Where some were taken there is no outage: the rest follow without the wait of one.
                got_on = result.pending < len(unsent) + len(refused)
                backoff = MIN_BACKOFF_S if got_on else min(backoff * 2, most)
        self._status.degraded = None
        taken = self._group.kept(taken)
        log.info("Pub/Sub takes records again", extra=fields(records=len(taken.records)))
        return taken

    def _try_again(self, unsent: list[Record], refused: list[Refused], error: Failure) -> Result:
        """Publish the first few, and the rest only once they are acknowledged.

        After a refusal publish all: of a topic that takes one of them, those refused are at fault themselves.
        """
        first = len(unsent) if error.refusal else PROBE_RECORDS
        result = self._publish(unsent[:first], refused, PROBE_TIMEOUT_S)
        rest = unsent[first:]
        if result.error is None and rest:
            return self._publish(rest, [], RPC_TIMEOUT_S)
        return Result(result.unsent + rest, result.refused, result.error)

    def _wait(self, out_of_range: list[str], seconds: float) -> None:
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
            check(error, message, out_of_range)

    def _pass_gaps(self, said: Sequence[str]) -> None:
        """Say what is missing, and stop, or go on with what is there.

        All that was taken is forwarded by now. Were it dropped, to be read again, what librdkafka has queued
        behind it could come before the partitions are assigned anew, and its offsets would be stored past it.
        """
        gaps = gap.find(self._consumer, self._consumer.assignment())
        if not gaps:  # another member, or the log itself, was quicker
            log.warning("an offset was out of range and is not any more: %s", said[0])
        for each in gaps:
            self._status.gaps[each.topic, each.partition] += each.records
            log.error(
                "gap: %s",
                each,
                extra=fields(
                    kafka_topic=each.topic,
                    kafka_partition=each.partition,
                    committed=each.committed,
                    log_start=each.low,
                    log_end=each.high,
                    missing=each.records,
                ),
            )
        if gaps and self._on_out_of_range == "stop":
            raise StoppedByKafkaError(
                f"{'; '.join(map(str, gaps))}. Look at the topic's retention; then set "
                "BRIDGE_ON_OUT_OF_RANGE to resume, or move the offset with kafka-consumer-groups "
                "--reset-offsets, and start again"
            )
        if gaps:  # each partition reports its own, also those that were passed together
            try:
                gap.pass_over(self._consumer, gaps)
            except KafkaException as error:
                if error.args[0].code() not in REBALANCING:
                    raise
                log.warning("the gaps are not passed, the group rebalances: %s", error)
        self._join_anew()

    def _join_anew(self) -> None:
        """Leave the group and join it again, so that every partition is assigned anew.

        While the group rebalances, librdkafka only notes that it is to leave, and a subscription would take
        the note's place: the partition would stay as it is, stopped.
        """
        self._consumer.unsubscribe()
        with self._group.paused():
            while self._consumer.assignment() and not self._stopping():
                self._wait([], POLL_WHILE_HOLDING_S)
        self._group.subscribe()
