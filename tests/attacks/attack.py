"""One attack, and how its bytes are put together."""

import io
import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import fastavro
from fastavro.types import Schema

from decoder.limits import DEFAULT_LIMITS, Limits
from rejection import Reason

# What `got` is where the value is an event.
EVENT = "event"
SYNC = b"0123456789abcdef"
STRICT: Mapping[str, object] = {"strict": True}


class Attack(NamedTuple):
    """A value for one schema, and the reason it must be refused with; its message has `said` in it."""

    name: str
    schema: Schema
    value: bytes
    expected: Reason | str
    said: str
    topic: Mapping[str, object] = {}


def record(**fields: object) -> Schema:
    """Return a record of these fields."""
    listed = [{"name": name, "type": kind} for name, kind in fields.items()]
    return fastavro.parse_schema({"type": "record", "name": "a.R", "fields": listed})


def long(number: int) -> bytes:
    """Return a number as Avro writes it."""
    left = (number << 1) ^ (number >> 63)
    left &= 2**64 - 1
    out = bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*out, left])


def text(content: bytes) -> bytes:
    """Return bytes, or a string that may be none, with their length."""
    return long(len(content)) + content


def double(number: float) -> bytes:
    """Return a double."""
    return struct.pack("<d", number)


def container(
    schema: bytes, blocks: Sequence[tuple[int, bytes]], codec: bytes = b"null", sync: bytes = SYNC
) -> bytes:
    """Return a container with these blocks, each with the count that it claims."""
    meta = long(2) + text(b"avro.schema") + text(schema) + text(b"avro.codec") + text(codec) + long(0)
    body = b"".join(long(count) + text(block) + sync for count, block in blocks)
    return b"Obj\x01" + meta + SYNC + body


def written(schema: Schema, event: object, codec: str = "null") -> bytes:
    """Return a container as fastavro writes it."""
    buffer = io.BytesIO()
    fastavro.writer(buffer, schema, [event], codec=codec, sync_marker=SYNC)
    return buffer.getvalue()


def limits(**changes: int) -> Mapping[str, object]:
    """Return a topic with other limits."""
    return {"limits": Limits(**{**_DEFAULTS, **changes})}


_DEFAULTS = {name: getattr(DEFAULT_LIMITS, name) for name in Limits.__struct_fields__}
