"""A record, its type and the clock → the row of sink/tables/event.json."""

import base64
import functools
import hashlib
import time
from datetime import UTC, datetime, timedelta

import msgspec

from decoder.catalog import Catalog, EventType
from decoder.event_fields import to_utc
from decoder.framing import read_event, writer_key
from decoder.values import to_json
from envelope import Record
from rejection import Reason, RejectedError

TYPE_HEADER = "item_type_name"

# https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/insertAll
MAX_INSERT_ID_CHARACTERS = 128

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class HeaderCell(msgspec.Struct, frozen=True, gc=False):
    """One Kafka header as an element of the column kafka_headers; BYTES travel as base64."""

    name: str
    value: bytes | None


class EventRow(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The columns of sink/tables/event.json; INTEGERs beyond 2^53 travel as strings, as BigQuery asks."""

    timestamp: datetime
    event_id: str
    event_type: str
    event_json: str
    topic_version: int
    is_current_version: bool
    stream_timestamp: str
    stream_timestamp_date: str
    stream_timestamp_hour: str
    kafka_topic: str
    kafka_partition: int
    kafka_offset: str
    kafka_timestamp: datetime | None
    kafka_date: str | None
    kafka_key: bytes | None
    kafka_headers: list[HeaderCell]
    env: str | None
    replayed_at: datetime | None = None


def find_type(record: Record, catalog: Catalog) -> EventType:
    """Return the type that the header names among those of the topic.

    Raises:
        RejectedError: unknown_topic, missing_type_header or unknown_type.
    """
    if record.topic not in catalog.stream_of_topic:
        raise RejectedError(
            Reason.UNKNOWN_TOPIC, f"no stream in streams.yaml has the topic {record.topic!r}: add it to one"
        )
    # The last of repeated headers counts, as in the legacy system's dict(headers).
    item_type_name = dict(record.headers).get(TYPE_HEADER)
    if item_type_name is None:
        named = _type_of_schema(record, catalog)
        if named is None:
            raise RejectedError(Reason.MISSING_TYPE_HEADER, f"the record has no header {TYPE_HEADER}")
        return named
    name = item_type_name.decode(errors="backslashreplace")
    event_type = catalog.types.get((record.topic, name))
    if event_type is None:
        known = ", ".join(catalog.types_of(record.topic))
        raise RejectedError(
            Reason.UNKNOWN_TYPE,
            f"no schema of topic {record.topic} is for the type {name[:200]!r}: add one, or the name to the "
            f"item_types of the schema whose fields it shares. The topic has: {known}",
        )
    return event_type


def _type_of_schema(record: Record, catalog: Catalog) -> EventType | None:
    """Return the type whose schema, and no other's, the value's own header names."""
    topic = catalog.topics[record.topic]
    if topic.framing not in ("single_object", "confluent"):
        return None
    key, _ = writer_key(record.value or b"", topic.framing)
    return catalog.named_by.get((record.topic, key))


def event_row(
    record: Record, env: str | None, catalog: Catalog, now_ns: int, replayed_at: datetime | None = None
) -> tuple[str, EventRow]:
    """Return the record's table and row; `now_ns` is the clock in nanoseconds since the epoch.

    Raises:
        RejectedError: the record can never be a row; the reason says why. MissingSchemaError and
            TransientError as decoder.framing.read_event.
    """
    if record.value is None and record.topic in catalog.stream_of_topic:
        raise RejectedError(
            Reason.TOMBSTONE, "the record is a tombstone: it has a key and no value to decode"
        )
    event_type = find_type(record, catalog)
    event, writer = read_event(record.value or b"", event_type)
    date, hour = _date_and_hour(now_ns // 1_000_000_000)
    kafka_timestamp = to_datetime(record.timestamp)
    if kafka_timestamp is None and record.timestamp is not None:
        raise RejectedError(
            Reason.ROW_REFUSED,
            f"the record's Kafka timestamp, {record.timestamp} ms, is outside a TIMESTAMP's years: "
            "the producer may have written another unit",
        )
    row = EventRow(
        timestamp=to_utc(writer.timestamp_of(event)),
        event_id=str(writer.id_of(event)),
        event_type=event_type.name,
        event_json=to_json(event),
        topic_version=event_type.topic.version,
        is_current_version=event_type.topic.current,
        stream_timestamp=str(now_ns),
        stream_timestamp_date=date,
        stream_timestamp_hour=hour,
        kafka_topic=record.topic,
        kafka_partition=record.partition,
        kafka_offset=str(record.offset),
        kafka_timestamp=kafka_timestamp,
        kafka_date=None if kafka_timestamp is None else kafka_timestamp.date().isoformat(),
        kafka_key=record.key,
        kafka_headers=header_cells(record),
        env=env,
        replayed_at=replayed_at,
    )
    return event_type.table, row


@functools.lru_cache(maxsize=1)  # the rows of a bundle, and of most requests of a second, have it in common
def _date_and_hour(seconds: int) -> tuple[str, str]:
    now = time.gmtime(seconds)
    return time.strftime("%Y-%m-%d", now), time.strftime("%Y-%m-%d %H:00:00", now)


def header_cells(record: Record) -> list[HeaderCell]:
    """Return the record's headers, all and in order, for a REPEATED column."""
    return [HeaderCell(name, value) for name, value in record.headers]


def to_datetime(milliseconds: int | None) -> datetime | None:
    """Return a Kafka timestamp as UTC, None where there is none or no TIMESTAMP can hold it."""
    if milliseconds is None:
        return None
    try:
        return _EPOCH + timedelta(0, 0, 0, milliseconds)  # by name it takes half as long again
    except OverflowError:
        return None


def insert_id(record: Record) -> str:
    """Return the record's identity, by which BigQuery drops repeats."""
    return short(f"{record.topic}/{record.partition}/{record.offset}/{record.timestamp}")


def short(identity: str) -> str:
    """Return an identity as it is where an insertId can hold it, else its hash."""
    if len(identity) <= MAX_INSERT_ID_CHARACTERS:
        return identity
    return base64.b32encode(hashlib.sha256(identity.encode()).digest()).decode().rstrip("=")
