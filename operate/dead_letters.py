"""Dead letters: list them, look at one, and send the original records through the pipeline again.

A replayed message is what the bridge sent (position, timestamp, key, headers, value) with the attribute
`kafka.replayed` beside it, which the function writes to the column replayed_at. The row's identity is the
record's position, so a replay that is made twice shows once.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

import msgspec
from google.cloud import bigquery

import envelope
from decoder.streams import DEAD_LETTERS, UNIQUE, load_streams
from envelope import MAX_ATTRIBUTES, Message, Record
from operate.smoke import BigQuery, publish

# Of one request; Pub/Sub takes 1,000 messages and 10 MB.
MAX_MESSAGES = 500
MAX_BYTES = 5_000_000
_PUBSUB_OWN = ("goog", "CloudPubSubDeadLetterSource")

_POSITION = ("kafka_topic", "kafka_partition", "kafka_offset", "kafka_timestamp")


class Filter(msgspec.Struct, frozen=True):
    """Which dead letters: by id, by reason, given up at or after a time; None for any."""

    id: str | None = None
    reason: str | None = None
    since: datetime | None = None


class DeadLetter(msgspec.Struct, frozen=True):
    """A row of dead_letters; `is_row` tells that a replay made a row of it."""

    id: str
    is_row: bool
    columns: dict[str, object]


class Summary(msgspec.Struct, frozen=True):
    """The last line of a replay: how many were found, published, are rows already, and cannot be replayed."""

    found: int
    published: int
    rows_already: int
    not_replayable: int


def read(warehouse: BigQuery, which: Filter) -> list[DeadLetter]:
    """Return the dead letters, the newest first.

    Raises:
        SmokeError: BigQuery could not be asked.
    """
    topic, partition, offset, name = _place(which.id)
    sql = (
        f"SELECT * FROM `{warehouse.name}.{DEAD_LETTERS}{UNIQUE}` "  # noqa: S608 - checked names
        "WHERE (@topic IS NULL OR (kafka_topic = @topic AND kafka_partition = @partition "
        "AND kafka_offset = @offset)) AND (@name IS NULL OR message_id = @name OR value_sha256 = @name) "
        "AND (@reason IS NULL OR reason = @reason) AND (@since IS NULL OR dead_lettered_at >= @since) "
        "ORDER BY dead_lettered_at DESC"
    )
    parameters = [
        bigquery.ScalarQueryParameter("topic", "STRING", topic),
        bigquery.ScalarQueryParameter("partition", "INT64", partition),
        bigquery.ScalarQueryParameter("offset", "INT64", offset),
        bigquery.ScalarQueryParameter("name", "STRING", name),
        bigquery.ScalarQueryParameter("reason", "STRING", which.reason),
        bigquery.ScalarQueryParameter("since", "TIMESTAMP", which.since),
    ]
    found = [dict(row) for row in warehouse.ask(sql, parameters)]
    found = [row for row in found if which.id in (None, id_of(row))]  # the timestamp is part of it too
    rows = _replayed(warehouse) if found else set()
    return [DeadLetter(id_of(row), tuple(row[n] for n in _POSITION) in rows, row) for row in found]


def _place(text: str | None) -> tuple[str | None, int | None, int | None, str | None]:
    """Return topic, partition and offset of an id that names them, or the message id or hash that it is."""
    parts = (text or "").rsplit("/", 3)
    if len(parts) == 4 and parts[1].isdigit() and parts[2].isdigit():  # noqa: PLR2004 - as id_of joins them
        return parts[0], int(parts[1]), int(parts[2]), None
    return None, None, None, text


def id_of(columns: Mapping[str, object]) -> str:
    """Return what names a dead letter: its position and timestamp, else its message id, else its hash."""
    if columns["kafka_topic"] is None:
        return str(columns["message_id"] or columns["value_sha256"])
    names = ("kafka_topic", "kafka_partition", "kafka_offset", "kafka_timestamp_ms")
    return "/".join(str(columns[name]) for name in names)


def _replayed(warehouse: BigQuery) -> set[tuple[object, ...]]:
    """Return the positions of all rows that a replay made."""
    sql = " UNION ALL ".join(
        f"SELECT DISTINCT {', '.join(_POSITION)} FROM `{warehouse.name}.{stream.table}` "  # noqa: S608 - as above
        "WHERE replayed_at IS NOT NULL"
        for stream in load_streams().values()
    )
    return {tuple(row[name] for name in _POSITION) for row in warehouse.ask(sql, [])}


def replay(topic: str, letters: Sequence[DeadLetter], *, now: datetime, dry_run: bool) -> Summary:
    """Publish the dead letters that can be replayed and are no rows yet; a dry run only says which.

    Raises:
        SmokeError: Pub/Sub does not take them; what was published before stays, and may be replayed again.
    """
    messages = []
    not_replayable = 0
    for letter in letters:
        message = None if letter.is_row else message_of(letter, now)
        if letter.is_row:
            became = "is a row already"
        elif message is None:
            not_replayable += 1
            became = "its bytes are not in the row: replay --from-subscription"
        else:
            messages.append(message)
            became = "would be published" if dry_run else "published"
        print(f"{letter.id}\t{letter.columns['reason']}\t{became}", flush=True)
    if not dry_run:
        for part in parts(messages):
            publish(topic, part)
    rows_already = sum(letter.is_row for letter in letters)
    return Summary(len(letters), 0 if dry_run else len(messages), rows_already, not_replayable)


def message_of(letter: DeadLetter, now: datetime) -> Message | None:
    """Return the message to publish, None where the row does not hold all of what came."""
    columns = letter.columns
    if not columns["complete"]:
        return None
    if columns["kafka_topic"] is None:
        if columns["attributes"] is None:  # a request body that was no push at all
            return None
        attributes = msgspec.json.decode(str(columns["attributes"]), type=dict[str, str])
        return mark(Message(cast("bytes", columns["value"]) or b"", attributes), now)
    headers = cast("list[dict[str, object]]", columns["kafka_headers"])
    record = msgspec.convert(
        (
            columns["kafka_topic"],
            columns["kafka_partition"],
            columns["kafka_offset"],
            columns["kafka_timestamp_ms"],
            columns["kafka_key"],
            tuple((cell["name"], cell["value"]) for cell in headers),
            columns["value"],
        ),
        Record,
    )
    # A null env reads back as none only where the attribute is absent; the bridge always sets it.
    return mark(envelope.pack(record, str(columns["env"] or "")), now)


def mark(message: Message, now: datetime) -> Message:
    """Return the message without what Pub/Sub added to it, and with the time of the replay.

    A plain message that has as many attributes as Pub/Sub takes becomes a bundle, which means the same.
    """
    attributes = {n: v for n, v in message.attributes.items() if not n.startswith(_PUBSUB_OWN)}
    kept = Message(message.data, attributes)
    if len(attributes) == MAX_ATTRIBUTES and envelope.REPLAYED not in attributes:
        with contextlib.suppress(envelope.MalformedEnvelopeError):
            opened = envelope.unpack(kept)
            kept = envelope.pack_bundle(opened.records, opened.env or "")
    return Message(kept.data, {**kept.attributes, envelope.REPLAYED: now.isoformat()})


def parts(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """Return the messages in their order, in parts that are one publish request each."""
    part: list[Message] = []
    size = 0
    for message in messages:
        length = len(message.data) + sum(len(n) + len(v) for n, v in message.attributes.items())
        if part and (len(part) == MAX_MESSAGES or size + length > MAX_BYTES):
            yield part
            part, size = [], 0
        part.append(message)
        size += length
    if part:
        yield part


def print_list(letters: Sequence[DeadLetter]) -> None:
    """Print a line each: id, time, reason, whether a replay made it a row, and what is wrong."""
    for letter in letters:
        at = (
            cast("datetime", letter.columns["dead_lettered_at"]).astimezone(UTC).isoformat(timespec="seconds")
        )
        state = "replayed" if letter.is_row else "-"
        message = " ".join(str(letter.columns["message"]).split())[:100]
        print("\t".join([letter.id, at, str(letter.columns["reason"]), state, message]), flush=True)


def print_one(letter: DeadLetter) -> None:
    """Print all columns as JSON, bytes as base64."""
    text = msgspec.json.encode({"id": letter.id, "is_row": letter.is_row, **letter.columns}, enc_hook=str)
    print(msgspec.json.format(text, indent=2).decode(), flush=True)
