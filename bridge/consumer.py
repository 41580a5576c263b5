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


def take(consumer: Consumer, max_records: int, max_bytes: int, wait_s: float) -> list[Record]:
    """Return what the consumer has, at least after `wait_s` and bounded by count and, roughly, by bytes.

    Raises:
        StoppedByKafkaError: a committed offset is out of range, or the consumer is beyond repair.
    """
    # consume(n) waits for all n, consume(1) for the first only; what else is there comes with no wait.
    records = _records(consumer.consume(1, wait_s))
    size = _size(records)
    while records and len(records) < max_records and size < max_bytes:
        more = _records(consumer.consume(min(TAKE_AT_ONCE, max_records - len(records)), 0))
        if not more:
            break
        size += _size(more)
        records += more
    return records


def store_offsets(consumer: Consumer, records: Iterable[Record]) -> None:
    """Store the position after the records, to be committed by the consumer."""
    ends: dict[tuple[str, int], int] = {}
    for record in records:
        at = (record.topic, record.partition)
        ends[at] = max(ends.get(at, 0), record.offset + 1)
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


def lag(consumer: Consumer) -> dict[str, int]:
    """Return how many records each assigned partition has that were not taken, from what is known locally."""
    lags = {}
    for partition in consumer.position(consumer.assignment()):
        _, high = consumer.get_watermark_offsets(partition, cached=True)
        if partition.offset >= 0 and high >= 0:
            lags[f"{partition.topic}/{partition.partition}"] = max(0, high - partition.offset)
    return lags


def _records(messages: Iterable[Message]) -> list[Record]:
    records = []
    for message in messages:
        error = message.error()
        if error is None:
            records.append(_record(message))
        else:
            check(error, message)
    return records


def _record(message: Message) -> Record:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        raise StoppedByKafkaError("the consumer returned a record without a position")
    kind, timestamp = message.timestamp()
    return Record(
        topic,
        partition,
        offset,
        None if kind == TIMESTAMP_NOT_AVAILABLE or timestamp == NO_TIMESTAMP else timestamp,
        _raw(message.key()),
        _headers(message),
        _raw(message.value()),
    )


def _headers(message: Message) -> tuple[Header, ...]:
    try:
        headers = message.headers() or []
    except UnicodeDecodeError as error:
        # Kafka's own clients cannot write such a name; the record goes on, to become a dead letter.
        log.error(
            "a header name is not UTF-8, forwarded without headers: %s",
            error,
            extra=fields(topic=message.topic(), partition=message.partition(), offset=message.offset()),
        )
        return ()
    if isinstance(headers, dict):  # the stubs allow it, a received record has a list
        headers = list(headers.items())
    return tuple((name, _raw(value)) for name, value in headers)


def check(error: KafkaError, message: Message) -> None:
    """Log an error that came in place of a record.

    Raises:
        StoppedByKafkaError: it is one that the bridge must not go on after.
    """
    if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - its public name
        raise StoppedByKafkaError(
            f"{message.topic()}/{message.partition()}: the committed offset {message.offset()} is out of "
            f"range, records up to the log's start may be lost: {error.str()}. Look at the topic's "
            "retention, move the offset with kafka-consumer-groups --reset-offsets and start again"
        )
    if error.code() in _SKIPPED_RECORDS:
        raise StoppedByKafkaError(
            f"{message.topic()}/{message.partition()}: the batch at offset {message.offset()} is unreadable: "
            f"{error.str()}. Going on would skip it: see the broker's log, then move the offset"
        )
    if error.fatal():
        raise StoppedByKafkaError(f"the consumer cannot go on: {error.str()}")
    log.warning("Kafka: %s", error.str(), extra=fields(topic=message.topic(), partition=message.partition()))


def _raw(value: str | bytes | None) -> bytes | None:
    # The stubs allow str, which comes only from a deserializer; there is none here.
    return value.encode() if isinstance(value, str) else value


def _size(records: Iterable[Record]) -> int:
    return sum(len(record.value or b"") for record in records)
