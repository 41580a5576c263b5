"""The Kafka side: messages taken as records, offsets stored once they are acknowledged."""

from collections.abc import Iterable

from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from envelope import Header, Record
from logs import fields, log

TAKE_AT_ONCE = 500
NO_TIMESTAMP = -1  # in Kafka, whatever the type


# Reported in place of a batch that librdkafka then goes on behind.
_SKIPPED_RECORDS = frozenset(
    {
        KafkaError._BAD_MSG,  # noqa: SLF001 - these names are public
        KafkaError._BAD_COMPRESSION,  # noqa: SLF001
        KafkaError._NOT_IMPLEMENTED,  # noqa: SLF001
        KafkaError.INVALID_MSG,
        KafkaError.MSG_SIZE_TOO_LARGE,
    }
)


class StoppedByKafkaError(Exception):
    """Kafka said something that the bridge must not go on after: the text says what and what to do."""


class OutOfRangeError(Exception):
    """A committed offset is not in the log any more, or not yet: see `bridge.gap`."""


def take(consumer: Consumer, max_records: int, max_bytes: int, wait_s: float) -> list[Record]:
    """Return what the consumer has, at least after `wait_s` and bounded by count and, roughly, by bytes.

    Raises:
        OutOfRangeError: a committed offset is out of range; what was taken is to be read again.
        StoppedByKafkaError: the consumer is beyond repair.
    """
    # consume(n) waits for all n, consume(1) for the first only; what else is there comes with no wait.
    records: list[Record] = []
    size = _add(consumer.consume(1, wait_s), records)
    while records and len(records) < max_records and size < max_bytes:
        messages = consumer.consume(min(TAKE_AT_ONCE, max_records - len(records)), 0)
        if not messages:
            break
        size += _add(messages, records)
    return records


def store_offsets(consumer: Consumer, records: Iterable[Record]) -> None:
    """Store the position after the records, to be committed by the consumer."""
    # The last of a partition wins, and it is the highest: they come in order.
    ends = {(record.topic, record.partition): record.offset + 1 for record in records}
    for (topic, partition), offset in ends.items():
        # One by one: of a list, it raises only when every partition fails.
        try:
            consumer.store_offsets(offsets=[TopicPartition(topic, partition, offset)])
        except KafkaException as error:
            log.warning(
                "offset not stored, the partition is another's now: %s",
                error,
                extra=fields(topic=topic, partition=partition, offset=offset),
            )


def lag(consumer: Consumer) -> dict[tuple[str, int], int]:
    """Return how many records each assigned partition has that were not taken, from what is known locally."""
    lags = {}
    for partition in consumer.position(consumer.assignment()):
        _, high = consumer.get_watermark_offsets(partition, cached=True)
        if partition.offset >= 0 and high >= 0:
            lags[partition.topic, partition.partition] = max(0, high - partition.offset)
    return lags


def _add(messages: Iterable[Message], records: list[Record]) -> int:
    """Add the messages to the records, and return the bytes of what they hold."""
    # For every message there is: a call fewer is a twentieth of the bridge's CPU.
    size = 0
    for message in messages:
        error = message.error()
        if error is not None:
            check(error, message)
            continue
        kind, timestamp = message.timestamp()
        key, value = message.key(), message.value()
        try:
            headers = tuple(message.headers() or ())
        except UnicodeDecodeError as cause:
            headers = _without_headers(message, cause)
        size += (len(value) if value else 0) + (len(key) if key else 0)
        size += sum([len(name) + len(content) for name, content in headers if content])  # type: ignore[arg-type, misc]
        records.append(
            Record(
                message.topic(),  # type: ignore[arg-type] # None and str are for producers and deserializers
                message.partition(),  # type: ignore[arg-type]
                message.offset(),  # type: ignore[arg-type]
                None if kind == TIMESTAMP_NOT_AVAILABLE or timestamp == NO_TIMESTAMP else timestamp,
                key,
                headers,  # type: ignore[arg-type]
                value,
            )
        )
    return size


def _without_headers(message: Message, error: UnicodeDecodeError) -> tuple[Header, ...]:
    # Kafka's own clients cannot write such a name; the record goes on, to become a dead letter.
    log.error(
        "a header name is not UTF-8, forwarded without headers: %s",
        error,
        extra=fields(topic=message.topic(), partition=message.partition(), offset=message.offset()),
    )
    return ()


def check(error: KafkaError, message: Message) -> None:
    """Log an error that came in place of a record.

    Raises:
        OutOfRangeError: a committed offset is out of range.
        StoppedByKafkaError: it is one that the bridge must not go on after.
    """
    if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - its public name
        raise OutOfRangeError(error.str())
    if error.code() in _SKIPPED_RECORDS:
        raise StoppedByKafkaError(
            f"{message.topic()}/{message.partition()}: the batch at offset {message.offset()} is unreadable: "
            f"{error.str()}. Going on would skip it: see the broker's log, then move the offset"
        )
    if error.fatal():
        raise StoppedByKafkaError(f"the consumer cannot go on: {error.str()}")
    log.warning("Kafka: %s", error.str(), extra=fields(topic=message.topic(), partition=message.partition()))
