"""Avro bytes → an event, with every byte accounted for.

Decoding under a wrong schema often succeeds and leaves bytes over: requiring that every byte is consumed
turns one silent mistake in four into one in twenty thousand.
"""

import io
import itertools
from collections.abc import Mapping
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import cast

import fastavro
from fastavro.read import LOGICAL_READERS
from fastavro.types import Schema

from decoder.values import parts_of
from rejection import Reason, RejectedError

Event = dict[str, object]


def _decimal(data: bytes, schema: Mapping[str, int] | None = None, _: object = None) -> Decimal:
    """Read a decimal exactly: fastavro's own reader rounds in silence what is over the precision."""
    if schema is None:
        raise ValueError("a decimal without its schema")
    precision, scale = schema["precision"], schema.get("scale", 0)
    unscaled = int.from_bytes(data, "big", signed=True)
    if abs(unscaled) >= 10**precision:
        raise ValueError(f"a decimal of {len(data)} bytes has more than the schema's {precision} digits")
    return Decimal(unscaled).scaleb(-scale, _EXACT)


_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
# https://fastavro.readthedocs.io/en/latest/logical_types.html#custom-logical-types
LOGICAL_READERS["bytes-decimal"] = LOGICAL_READERS["fixed-decimal"] = _decimal

# https://avro.apache.org/docs/1.12.0/specification/#object-container-files
_CONTAINER_MAGIC = b"Obj\x01"

# deflate makes at most 1,032 bytes of one, so this is at most 103 MB; the other codecs know no bound.
# https://zlib.net/zlib_tech.html
MAX_COMPRESSED_BYTES = 100_000
_CODECS = ("null", "deflate")
MAX_PRECISION = 1_000
_WITH_BYTES = frozenset({"boolean", "int", "long", "float", "double", "bytes", "string"})


def decode(value: bytes, schema: Schema) -> Event:
    """Return the event: schemaless Avro, or, as the legacy system also took, a container of one.

    Raises:
        RejectedError: undecodable, neither form holds an event of the schema; or trailing_bytes,
            something follows the event.
    """
    if value.startswith(_CONTAINER_MAGIC):
        # A schemaless event may begin with these bytes too, so it is tried first.
        try:
            return _schemaless(value, schema)
        except RejectedError:
            return _container(value, schema)
    return _schemaless(value, schema)


def _schemaless(value: bytes, schema: Schema) -> Event:
    stream = io.BytesIO(value)
    try:
        event = fastavro.schemaless_reader(stream, schema, None)
    # fastavro passes on whatever its readers raise: EOFError, IndexError, OverflowError, struct.error, …
    except Exception as error:
        where = f"at byte {stream.tell()} of {len(value)}"
        raise RejectedError(
            Reason.UNDECODABLE, f"not schemaless Avro of the type, {where}: {_reason(error)}"
        ) from error
    left = len(value) - stream.tell()
    if left:
        raise RejectedError(
            Reason.TRAILING_BYTES,
            f"the event ends at byte {stream.tell()} of {len(value)}, {left} bytes follow",
        )
    return cast("Event", event)


def _container(value: bytes, schema: Schema) -> Event:
    try:
        events: list[object] = []
        left = 0
        blocks = fastavro.block_reader(io.BytesIO(value), schema)
        _refuse_unsafe(blocks.codec, len(value), blocks.writer_schema)
        for block in blocks:
            events += itertools.islice(block, 2)
            left += len(block.bytes_.read())  # type: ignore[attr-defined] # fastavro's stub lacks it
            if len(events) > 1:
                break
    except RejectedError:
        raise
    # As above, and the codecs' own errors.
    except Exception as error:
        raise RejectedError(
            Reason.UNDECODABLE, f"not an Avro object container of the type: {_reason(error)}"
        ) from error
    if not events:
        raise RejectedError(Reason.UNDECODABLE, "the Avro object container is empty: it must hold one event")
    if len(events) > 1:
        raise RejectedError(
            Reason.TRAILING_BYTES, "the Avro object container holds more than one event: it must hold one"
        )
    if left:
        raise RejectedError(
            Reason.TRAILING_BYTES, f"in the Avro object container {left} bytes follow the event"
        )
    return cast("Event", events[0])


def _refuse_unsafe(codec: str, size: int, schema: Schema) -> None:
    """Refuse a container whose few bytes, or whose own schema, would cost the whole worker."""
    if codec not in _CODECS or (codec != "null" and size > MAX_COMPRESSED_BYTES):
        raise RejectedError(
            Reason.UNDECODABLE,
            f"an Avro object container of {size} bytes with codec {codec!r}: null is read, and deflate up to "
            f"{MAX_COMPRESSED_BYTES} bytes",
        )
    problem = _problem(schema, frozenset())
    if problem:
        raise RejectedError(Reason.UNDECODABLE, f"the Avro object container's own schema {problem}")


def _problem(schema: Schema, inside: frozenset[str]) -> str | None:
    """Return what makes a schema unsafe to read bytes with: recursion, items of no bytes, huge decimals."""
    if isinstance(schema, str):
        return f"is recursive in {schema}" if schema in inside else None
    if isinstance(schema, list):
        parts = schema
    else:
        if schema.get("precision", 0) > MAX_PRECISION:
            return f"has a decimal of {schema['precision']} digits"
        if schema["type"] == "array" and _may_be_empty(schema["items"]):
            return "has an array of items without bytes"
        inside |= {schema["name"]} if "name" in schema else frozenset()
        parts = parts_of(schema)
    return next((problem for part in parts if (problem := _problem(part, inside))), None)


def _may_be_empty(schema: Schema) -> bool:
    """Return whether a value under this schema may take no byte at all; a name stands for an unknown type."""
    if isinstance(schema, list):
        return not schema
    if isinstance(schema, str):
        return schema not in _WITH_BYTES
    if schema["type"] in ("record", "error"):
        return all(_may_be_empty(field["type"]) for field in schema["fields"])
    return bool(schema["type"] in ("null", "fixed") and not schema.get("size"))


def _reason(error: Exception) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
