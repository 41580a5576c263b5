"""The Kafka side: messages taken as records, offsets stored once they are acknowledged."""

from collections.abc import Container, Iterable, Mapping, Sequence

import msgspec
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
LOOK_AT_EACH = 8
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


At = tuple[str, int]  # topic and partition
Ends = dict[At, int]


class Taken(msgspec.Struct, frozen=True):
    """Records in their order, and the position behind what was taken, by topic and partition.

    `take` adds to its lists; from then on they are as they are. A transaction's marker, or an aborted record,
    that ends the log is before that position too.
    """

    records: list[Record]
    ends: Ends
    out_of_range: list[str] = []  # what Kafka says of committed offsets; see `bridge.gap`

    def without(self, gone: Container[At]) -> "Taken":
        """Return what is of other partitions than these."""
        return Taken(
            [record for record in self.records if (record.topic, record.partition) not in gone],
            {at: end for at, end in self.ends.items() if at not in gone},
            self.out_of_range,
        )


class StoppedByKafkaError(Exception):
    """Kafka said something that the bridge must not go on after: the text says what and what to do."""


def places(partitions: Sequence[TopicPartition]) -> frozenset[At]:
    """Return topic and partition of each."""
    return frozenset((partition.topic, partition.partition) for partition in partitions)


def take(consumer: Consumer, max_records: int, max_bytes: int, wait_s: float) -> Taken:
    """Return what the consumer has, at least after `wait_s` and bounded by count and, roughly, by bytes.

    Raises:
        StoppedByKafkaError: the consumer is beyond repair.
    """
    # consume(n) waits for all n, consume(1) for the first only; what else is there comes with no wait.
    taken = Taken([], {})
    size = 0
    messages = consumer.consume(1, wait_s)
    while messages:
        size += _add(messages, taken)
        if len(taken.records) >= max_records or size >= max_bytes or taken.out_of_range:
            break
        messages = consumer.consume(min(TAKE_AT_ONCE, max_records - len(taken.records)), 0)
    return taken


def log_bounds(consumer: Consumer, at: At, timeout_s: float) -> tuple[int, int]:
    """Return where the partition's log begins and ends, asking its leader.

    Raises:
        StoppedByKafkaError: it did not answer within `timeout_s`, or there is none.
    """
    try:
        low, high = consumer.get_watermark_offsets(TopicPartition(*at), timeout=timeout_s)
    except KafkaException as error:
        topic, partition = at
        text = f"{topic}/{partition}: its leader does not say where its log begins and ends: {error}"
        raise StoppedByKafkaError(text) from error
    return low, high


def store_offsets(consumer: Consumer, ends: Ends) -> None:
    """Store the positions, to be committed."""
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


def is_refusal(error: KafkaError) -> bool:
    """Return whether brokers and bridge do not accept each other: a password, a token, a certificate."""
    if error.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL):  # noqa: SLF001
        return True
    # What the other side says of a certificate comes as a transport error.
    text = error.str()
    return "SSL routines" in text and ("alert" in text or "certificate" in text)


def lag(consumer: Consumer, ends: Mapping[At, int]) -> Ends:
    """Return how many offsets each assigned partition has before it, from what is known locally."""
    lags = {}
    for partition in consumer.position(consumer.assignment()):
        at = (partition.topic, partition.partition)
        _, high = consumer.get_watermark_offsets(partition, cached=True)
        position = max(partition.offset, ends.get(at, -1))
        if position >= 0 and high >= 0:
            lags[at] = max(0, high - position)
    return lags


def _add(messages: Iterable[Message], taken: Taken) -> int:
    """Add the messages to what is taken, and return the bytes of what they hold, of headers roughly."""
    # For every message there is: a call fewer is a twentieth of the bridge's CPU. So is what is looked at
    # again later, when the processor's caches hold other records.
    size = 0
    first = len(taken.records)
    last: Record | None = None
    for message in messages:
        error = message.error()
        if error is not None:
            _end(last, taken.ends)
            last = None
            if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                taken.ends[message.topic(), message.partition()] = message.offset()  # type: ignore[index, assignment]
            else:
                check(error, message, taken.out_of_range)
            continue
        topic, partition = message.topic(), message.partition()
        if last is not None and (partition != last.partition or topic != last.topic):
            _end(last, taken.ends)
        kind, timestamp = message.timestamp()
        key, value = message.key(), message.value()
        try:
            headers = tuple(message.headers() or ())
        except UnicodeDecodeError as cause:
            headers = _without_headers(message, cause)
        if value:
            size += len(value)
        if key:
            size += len(key)
        last = Record(
            topic,  # type: ignore[arg-type] # None and str are for producers and deserializers
            partition,  # type: ignore[arg-type]
            message.offset(),  # type: ignore[arg-type]
            None if kind == TIMESTAMP_NOT_AVAILABLE or timestamp == NO_TIMESTAMP else timestamp,
            key,
            headers,  # type: ignore[arg-type]
            value,
        )
        taken.records.append(last)
    _end(last, taken.ends)
    return size + _header_bytes(taken.records, first)


def _header_bytes(records: Sequence[Record], first: int) -> int:
    """Return how much the headers from there on hold, from those of some: all would be a tenth of the CPU."""
    some = records[first::LOOK_AT_EACH]
    if not some:
        return 0
    size = sum(len(name) + len(content or b"") for record in some for name, content in record.headers)
    return size * (len(records) - first) // len(some)


def _end(last: Record | None, ends: Ends) -> None:
    if last is not None:
        ends[last.topic, last.partition] = last.offset + 1


def _without_headers(message: Message, error: UnicodeDecodeError) -> tuple[Header, ...]:
    # Kafka's own clients cannot write such a name; the record goes on, to become a dead letter.
    log.error(
        "a header name is not UTF-8, forwarded without headers: %s",
        error,
        extra=fields(topic=message.topic(), partition=message.partition(), offset=message.offset()),
    )
    return ()


def check(error: KafkaError, message: Message, out_of_range: list[str]) -> None:
    """Log an error that came in place of a record; that an offset is out of range is added to those.

    Raises:
        StoppedByKafkaError: it is one that the bridge must not go on after.
    """
    if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - its public name
        out_of_range.append(error.str())
        return
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
        return
    if error.code() in _SKIPPED_RECORDS:
        raise StoppedByKafkaError(
            f"{message.topic()}/{message.partition()}: the batch at offset {message.offset()} is unreadable: "
            f"{error.str()}. Going on would skip it: see the broker's log, then move the offset"
        )
    if error.fatal():
        raise StoppedByKafkaError(f"the consumer cannot go on: {error.str()}")
    log.warning("Kafka: %s", error.str(), extra=fields(topic=message.topic(), partition=message.partition()))
