"""Commits of what is stored: asked for, answered, and the last one before the consumer is closed."""

import contextlib
import time
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from bridge.consumer import StoppedByKafkaError

# What the coordinator says while the members change: a commit is taken again once this one has joined anew.
REBALANCING = frozenset(
    {
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError.UNKNOWN_MEMBER_ID,
    }
)
POLL_FOR_COMMIT_S = 0.05


def commit_soon(consumer: Consumer) -> None:
    """Ask for a commit of what is stored, without waiting for its answer, which `Commits.on_commit` gets."""
    with contextlib.suppress(KafkaException):  # nothing is stored: its partitions are another's now
        consumer.commit(asynchronous=True)


class Commits:
    """The commits that the consumer makes, and the last of them."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._answered = self._rebalancing = False

    def on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """Take the answer to a commit, as librdkafka's `on_commit`, and warn of what failed."""
        self._answered = True
        if error is not None and error.code() == KafkaError._NO_OFFSET:  # noqa: SLF001 - nothing was stored
            return
        errors = {f"{p.topic}/{p.partition}": p.error or error for p in partitions if p.error or error}
        self._rebalancing = any(each is not None and each.code() in REBALANCING for each in errors.values())
        # What is stored is committed with the next one, unless another member has the partition by now.
        for text in sorted({each.str() for each in errors.values() if each is not None}):
            failed = sorted(at for at, each in errors.items() if each is not None and each.str() == text)
            self._warn(f"commit failed: {text} ({', '.join(failed)})")

    def commit_stored(self, consumer: Consumer, seconds: float) -> None:
        """Commit what is stored, before the consumer is closed, and return after so long at most.

        Closing commits too, once: where another member leaves just then, that commit is refused, and what
        was forwarded would be read again. Here it is made again once this member has joined anew, which takes
        polls; what they bring is not stored, so not lost.
        """
        until = time.monotonic() + seconds
        self._rebalancing = True
        while self._rebalancing and time.monotonic() < until:
            self._answered = self._rebalancing = False
            try:
                # A synchronous one would wait for a rebalance that waits for polls.
                consumer.commit(asynchronous=True)
                while not self._answered and time.monotonic() < until:
                    consumer.poll(POLL_FOR_COMMIT_S)
            except (KafkaException, StoppedByKafkaError):
                return  # nothing is stored, or an assignment failed: closing commits once more
