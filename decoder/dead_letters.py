"""What can never become a row, kept as a row of dead_letters: reason, position, headers and bytes."""

import hashlib
from datetime import UTC, datetime

import msgspec

from decoder.rows import TYPE_HEADER, HeaderCell, header_cells, insert_id, short, to_datetime
from envelope import Record
from rejection import RejectedError

MAX_MESSAGE_CHARACTERS = 2_000
MAX_TEXT_CHARACTERS = 1_000


class DeadLetterRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """The columns of sink/tables/dead_letter.json; those of a record are null where none was found.

    `value` is the Kafka value, or the Pub/Sub data or request body in which no record was found.
    """

    dead_lettered_at: datetime
    reason: str
    message: str
    stream: str | None
    item_type_name: str | None
    env: str | None
    message_id: str | None
    attributes: str | None
    kafka_topic: str | None
    kafka_partition: int | None
    kafka_offset: str | None
    kafka_timestamp: datetime | None
    kafka_timestamp_ms: str | None
    kafka_key: bytes | None
    kafka_headers: list[HeaderCell]
    value: bytes | None
    value_size: int | None
    value_sha256: str | None
    complete: bool
    replayed_at: datetime | None = None


def dead_letter_of_record(
    record: Record,
    rejection: RejectedError,
    *,
    env: str | None,
    message_id: str,
    stream: str | None,
    now_ns: int,
) -> DeadLetterRow:
    """Return the dead letter of a record that cannot be a row."""
    item_type_name = dict(record.headers).get(TYPE_HEADER)
    return DeadLetterRow(
        dead_lettered_at=datetime.fromtimestamp(now_ns / 1e9, UTC),
        reason=rejection.reason,
        message=str(rejection)[:MAX_MESSAGE_CHARACTERS],
        stream=stream,
        item_type_name=None if item_type_name is None else item_type_name.decode(errors="backslashreplace"),
        env=env,
        message_id=message_id,
        attributes=None,
        kafka_topic=record.topic,
        kafka_partition=record.partition,
        kafka_offset=str(record.offset),
        kafka_timestamp=to_datetime(record.timestamp),
        kafka_timestamp_ms=None if record.timestamp is None else str(record.timestamp),
        kafka_key=record.key,
        kafka_headers=header_cells(record),
        value=record.value,
        value_size=None if record.value is None else len(record.value),
        value_sha256=None if record.value is None else hashlib.sha256(record.value).hexdigest(),
        complete=True,
    )


def dead_letter_of_bytes(
    data: bytes,
    rejection: RejectedError,
    *,
    message_id: str | None,
    attributes: dict[str, str] | None,
    now_ns: int,
) -> DeadLetterRow:
    """Return the dead letter of a message, or of a whole request body, in which no record was found."""
    return DeadLetterRow(
        dead_lettered_at=datetime.fromtimestamp(now_ns / 1e9, UTC),
        reason=rejection.reason,
        message=str(rejection)[:MAX_MESSAGE_CHARACTERS],
        stream=None,
        item_type_name=None,
        env=None,
        message_id=message_id,
        attributes=None if attributes is None else msgspec.json.encode(attributes).decode(),
        kafka_topic=None,
        kafka_partition=None,
        kafka_offset=None,
        kafka_timestamp=None,
        kafka_timestamp_ms=None,
        kafka_key=None,
        kafka_headers=[],
        value=data,
        value_size=len(data),
        value_sha256=hashlib.sha256(data).hexdigest(),
        complete=True,
    )


def identity(dead_letter: DeadLetterRow, record: Record | None) -> str:
    """Return what BigQuery drops repeats by: the position, else Pub/Sub's message id, else the hash."""
    if record is not None:
        return insert_id(record)
    return short(dead_letter.message_id or dead_letter.value_sha256 or "")


def fit(dead_letter: DeadLetterRow, max_bytes: int) -> tuple[bytes, bool]:
    """Return the row as JSON text of at most `max_bytes`, and whether it holds everything.

    Where it would not fit, the value is left out first, then the key and the headers too; texts are cut.
    """
    body = msgspec.json.encode(dead_letter)
    if len(body) <= max_bytes:
        return body, True
    dead_letter = msgspec.structs.replace(dead_letter, value=None, complete=False)
    body = msgspec.json.encode(dead_letter)
    if len(body) > max_bytes:
        dead_letter = msgspec.structs.replace(
            dead_letter,
            stream=_cut(dead_letter.stream),
            item_type_name=_cut(dead_letter.item_type_name),
            env=_cut(dead_letter.env),
            message_id=_cut(dead_letter.message_id),
            kafka_topic=_cut(dead_letter.kafka_topic),
            kafka_key=None,
            kafka_headers=[],
            attributes=None,
        )
        body = msgspec.json.encode(dead_letter)
    return body, False


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:MAX_TEXT_CHARACTERS]
