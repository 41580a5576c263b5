"""An Avro object container of one event: its own schema, and the bytes of the event.

It is not read with fastavro's reader, which decompresses without a bound, drops what follows an event in its
block, and takes any schema.
https://avro.apache.org/docs/1.12.0/specification/#object-container-files
"""

import contextlib
from collections.abc import Iterator

import msgspec

from decoder.binary import WalkError, read_bytes, read_long, read_text
from decoder.codecs import decompress
from decoder.limits import MAX_SCHEMA_BYTES, Limits
from rejection import Reason, RejectedError

MAGIC = b"Obj\x01"
_SYNC_BYTES = 16


class Container(msgspec.Struct, frozen=True):
    """The schema that a container declares, as JSON text, and its one event's bytes."""

    schema: bytes
    event: bytes


def open_container(value: bytes, limits: Limits) -> Container:
    """Return what is in a container.

    Raises:
        RejectedError: undecodable, it is none, or holds no event; trailing_bytes, it holds more than one or
            something follows it; too_large, it is over a limit.
    """
    with _rejected(value):
        meta, at = _meta(value, len(MAGIC))
        schema, codec = meta.get("avro.schema"), meta.get("avro.codec", b"null").decode(errors="replace")
        sync, at = value[at : at + _SYNC_BYTES], at + _SYNC_BYTES
        if schema is None or at > len(value):
            raise WalkError(len(MAGIC), "its header has no schema or is cut short")
        if len(schema) > MAX_SCHEMA_BYTES:
            raise RejectedError(
                Reason.TOO_LARGE,
                f"a container's schema of {len(schema):,} bytes, {MAX_SCHEMA_BYTES:,} are taken",
            )
        events = 0
        event = b""
        while at < len(value):
            start = at
            count, at = read_long(value, at)
            block, at = read_bytes(value, at)
            if count < 1 or value[at : at + _SYNC_BYTES] != sync:
                raise WalkError(start, "a block of no event, or not followed by the sync marker")
            at += _SYNC_BYTES
            events += count
            if events > 1:
                raise RejectedError(
                    Reason.TRAILING_BYTES,
                    "the Avro object container holds more than one event: it must hold one",
                )
            data = decompress(codec, block, limits.decompressed_bytes if codec != "null" else limits.bytes)
            event = data
    if not events:
        raise RejectedError(Reason.UNDECODABLE, "the Avro object container is empty: it must hold one event")
    return Container(schema, event)


@contextlib.contextmanager
def _rejected(value: bytes) -> Iterator[None]:
    try:
        yield
    except WalkError as error:
        raise RejectedError(
            Reason.UNDECODABLE, f"not an Avro object container, at byte {error.at} of {len(value)}: {error}"
        ) from error


def _meta(value: bytes, at: int) -> tuple[dict[str, bytes], int]:
    meta: dict[str, bytes] = {}
    count, at = read_long(value, at)
    while count:
        if count < 0:
            count, (_, at) = -count, read_long(value, at)
        for _ in range(count):
            key, at = read_text(value, at)
            meta[key], at = read_bytes(value, at)
        count, at = read_long(value, at)
    return meta, at
