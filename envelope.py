"""The wire contract between bridge and function: a Kafka record as a Pub/Sub message, and back.

Two forms, one meaning (docs/envelope.md describes them for readers in other languages):

* plain: data is the Kafka value, every header an attribute of its own name, the position in `kafka.*`;
* bundle: data is a MessagePack array of whole records, `kafka.bundle` says how many.

`pack` takes the plain form wherever it loses nothing, and otherwise a bundle of one.
"""

import contextlib
import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec

# https://cloud.google.com/pubsub/quotas#resource_limits
MAX_ATTRIBUTES = 100
MAX_ATTRIBUTE_NAME_BYTES = 256
MAX_ATTRIBUTE_VALUE_BYTES = 1024
MAX_ORDERING_KEY_BYTES = 1024
# Ours: no bridge makes larger ones. A record can be 9 bytes, so that one message could hold a million.
MAX_BUNDLE = 10_000

TOPIC = "kafka.topic"
PARTITION = "kafka.partition"
OFFSET = "kafka.offset"
TIMESTAMP = "kafka.timestamp"
KEY = "kafka.key"
BUNDLE = "kafka.bundle"
ENV = "kafka.env"
# When a dead letter was sent again (`python -m operate dead-letters replay`), RFC 3339.
REPLAYED = "kafka.replayed"
DEAD_LETTER_REASON = "kafka.dead_letter.reason"
DEAD_LETTER_MESSAGE = "kafka.dead_letter.message"
VALUE_SIZE = "kafka.dead_letter.value_size"
VALUE_SHA256 = "kafka.dead_letter.value_sha256"

_PLAIN_NAMES = frozenset({TOPIC, PARTITION, OFFSET, TIMESTAMP, KEY, ENV})
# Beside the attributes of the place itself.
MAX_PLAIN_HEADERS = MAX_ATTRIBUTES - len(_PLAIN_NAMES)
_OWN_PREFIX = "kafka."
# Pub/Sub refuses `goog…` and adds such names itself; it adds the other when it forwards a dead letter.
# https://cloud.google.com/pubsub/docs/handling-failures#dead_letter_topic
_PUBSUB_PREFIXES = ("goog", "CloudPubSubDeadLetterSource")
_RESERVED_PREFIXES = (_OWN_PREFIX, *_PUBSUB_PREFIXES)

_INT32_MAX = 2**31 - 1
_INT64_MIN = -(2**63)
_INT64_MAX = 2**63 - 1

_Time = Annotated[datetime, msgspec.Meta(tz=True)]

Header = tuple[str, bytes | None]


class Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One Kafka record with all that Kafka keeps of it; the one type that crosses between the rooms.

    `timestamp` is in milliseconds since the epoch, None where the record has none; `value` None is a
    tombstone. The order of the fields is the order of the array in a bundle: it is part of the contract.
    """

    topic: Annotated[str, msgspec.Meta(min_length=1)]
    partition: Annotated[int, msgspec.Meta(ge=0, le=_INT32_MAX)]
    offset: Annotated[int, msgspec.Meta(ge=0, le=_INT64_MAX)]
    timestamp: Annotated[int, msgspec.Meta(ge=_INT64_MIN, le=_INT64_MAX)] | None
    key: bytes | None
    headers: tuple[Header, ...]
    value: bytes | None


class Message(msgspec.Struct, frozen=True):
    """What Pub/Sub carries: bytes and a map of strings."""

    data: bytes
    attributes: dict[str, str]


class Envelope(msgspec.Struct, frozen=True):
    """What one message held: its records, the bridge's environment, and when it was replayed, if it was."""

    records: tuple[Record, ...]
    env: str | None
    replayed_at: datetime | None = None


class MalformedEnvelopeError(ValueError):
    """A message that no bridge wrote: the text names what is wrong with it."""


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[tuple[Record, ...]] = msgspec.msgpack.Decoder(
    Annotated[tuple[Record, ...], msgspec.Meta(max_length=MAX_BUNDLE)]
)


def pack(record: Record, env: str) -> Message:
    """Return the record in the plain form where that loses nothing, otherwise as a bundle of one."""
    attributes = _plain_attributes(record, env)
    if attributes is None or record.value is None:
        return pack_bundle((record,), env)
    return Message(record.value, attributes)


def pack_bundle(records: Sequence[Record], env: str) -> Message:
    """Return the records, in their order, as one message."""
    return Message(_encoder.encode(records), {BUNDLE: str(len(records)), ENV: env})


def ordering_key(record: Record, by: Literal["partition", "key"]) -> str:
    """Return the Pub/Sub ordering key of a record: its partition's, or its key's within the topic.

    Records without a key have no order but their partition's. A key that is no text, or too long for an
    ordering key, is named by its hash.
    """
    if by == "partition" or record.key is None:
        return f"{record.topic}/{record.partition}"
    if len(record.key) + len(record.topic) < MAX_ORDERING_KEY_BYTES:
        with contextlib.suppress(UnicodeDecodeError):
            return f"{record.topic}:{record.key.decode()}"
    return f"{record.topic}#{hashlib.sha256(record.key).hexdigest()}"


def unpack(message: Message) -> Envelope:
    """Return what `pack` or `pack_bundle` was given; plain headers come sorted by name.

    Raises:
        MalformedEnvelopeError: the message is neither form.
    """
    is_bundle = BUNDLE in message.attributes
    records = _unpack_bundle(message) if is_bundle else (_unpack_plain(message),)
    return Envelope(records, message.attributes.get(ENV), _replayed_at(message.attributes.get(REPLAYED)))


def _replayed_at(text: str | None) -> datetime | None:
    try:
        return None if text is None else msgspec.convert(text, _Time)
    except msgspec.ValidationError as error:
        raise MalformedEnvelopeError(f"attribute {REPLAYED} is {text!r:.40}, not a time: {error}") from error


def _plain_attributes(record: Record, env: str) -> dict[str, str] | None:
    """Return the attributes of the plain form, or None where one cannot carry a header or the key."""
    attributes = {
        TOPIC: record.topic,
        PARTITION: str(record.partition),
        OFFSET: str(record.offset),
        ENV: env,
    }
    if record.timestamp is not None:
        attributes[TIMESTAMP] = str(record.timestamp)
    if record.key is not None:
        key = attribute_value(record.key)
        if key is None:
            return None
        attributes[KEY] = key
    for name, content in record.headers:
        value = None if content is None else attribute_value(content)
        if value is None or name in attributes or not is_attribute_name(name):  # in: a repeated name
            return None
        attributes[name] = value
    return attributes if len(attributes) <= MAX_ATTRIBUTES else None


def attribute_value(content: bytes) -> str | None:
    """Return the bytes as an attribute's value, None where none can carry them."""
    if len(content) > MAX_ATTRIBUTE_VALUE_BYTES:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def is_attribute_name(name: str) -> bool:
    """Return whether a header of this name can be an attribute of its own."""
    if name.startswith(_RESERVED_PREFIXES):
        return False
    try:
        return 0 < len(name.encode()) <= MAX_ATTRIBUTE_NAME_BYTES
    except UnicodeEncodeError:  # half a surrogate pair
        return False


def _unpack_plain(message: Message) -> Record:
    attributes = message.attributes
    headers, unknown = [], []
    for name, value in attributes.items():
        if not name.startswith(_RESERVED_PREFIXES):
            headers.append((name, value.encode()))
        elif name not in _PLAIN_NAMES and name != REPLAYED and name.startswith(_OWN_PREFIX):
            unknown.append(name)
    if unknown:
        raise MalformedEnvelopeError(
            f"unknown attribute {min(unknown)!r}: names beginning kafka. are reserved"
        )
    if not attributes.get(TOPIC):
        raise MalformedEnvelopeError(f"attribute {TOPIC} is missing: this message is not from the bridge")
    key = attributes.get(KEY)
    return Record(
        topic=attributes[TOPIC],
        partition=_integer(attributes, PARTITION, 0, _INT32_MAX),
        offset=_integer(attributes, OFFSET, 0, _INT64_MAX),
        timestamp=_integer(attributes, TIMESTAMP, _INT64_MIN, _INT64_MAX)
        if TIMESTAMP in attributes
        else None,
        key=None if key is None else key.encode(),
        headers=tuple(sorted(headers)),
        value=message.data,
    )


def _unpack_bundle(message: Message) -> tuple[Record, ...]:
    unknown = sorted(
        n
        for n in message.attributes
        if n not in (BUNDLE, ENV, REPLAYED) and not n.startswith(_PUBSUB_PREFIXES)
    )
    if unknown:
        raise MalformedEnvelopeError(f"unknown attribute {unknown[0]!r} on a bundle")
    count = _integer(message.attributes, BUNDLE, 1, _INT32_MAX)
    try:
        records = _decoder.decode(message.data)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise MalformedEnvelopeError(
            f"bundle of {len(message.data)} bytes does not parse: {error}"
        ) from error
    if len(records) != count:
        raise MalformedEnvelopeError(f"{BUNDLE} says {count} records, the bundle holds {len(records)}")
    return records


def _integer(attributes: dict[str, str], name: str, low: int, high: int) -> int:
    text = attributes.get(name)
    if text is None:
        raise MalformedEnvelopeError(f"attribute {name} is missing")
    digits = text.removeprefix("-")
    # isdigit first: int() also takes spaces, underscores and other scripts' digits.
    if digits.isascii() and digits.isdigit() and len(digits) < 20 and low <= (number := int(text)) <= high:  # noqa: PLR2004 - digits of an int64
        return number
    raise MalformedEnvelopeError(f"attribute {name} is {text[:40]!r}, not an integer from {low} to {high}")
