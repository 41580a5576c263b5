"""Framings: what stands around the Avro bytes of a record, and so which schema they were written with.

A topic's `framing` in streams.yaml says which it has. Only `auto` tries two; the others are never guessed,
since a schemaless event may begin with any bytes.
"""

from collections.abc import Callable, Mapping

from decoder.avro import Event, Writer
from decoder.catalog import EventType
from decoder.container import MAGIC, open_container
from decoder.foreign import container_writer, registered_writer
from decoder.registry import Registry, connect
from decoder.schema_file import SchemaKey
from rejection import Reason, RejectedError

# https://avro.apache.org/docs/1.12.0/specification/#single-object-encoding
_SINGLE_OBJECT = b"\xc3\x01"
_SINGLE_OBJECT_BYTES = 10
# https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/#wire-format
_ID_BYTES, _GUID_BYTES = 5, 17


def decode(value: bytes, event_type: EventType, registry: Callable[[], Registry | None] = connect) -> Event:
    """Return the event of a record's value; raises as read_event."""
    return read_event(value, event_type, registry)[0]


def read_event(
    value: bytes, event_type: EventType, registry: Callable[[], Registry | None] = connect
) -> tuple[Event, Writer]:
    """Return the event of a record's value, and the writer that read it.

    Raises:
        RejectedError: undecodable, trailing_bytes, too_large, or unknown_schema, its writer schema is not
            known.
        MissingSchemaError: the schema registry is to be asked first. TransientError: it does not answer.
    """
    framing = event_type.topic.framing
    if framing == "schemaless" or (framing == "auto" and not value.startswith(MAGIC)):
        writer = event_type.writer
        return writer.decode(value), writer
    if framing == "container":
        return _container(value, event_type)
    if framing == "auto":
        return _auto(value, event_type)
    key, at = writer_key(value, framing)
    known = event_type.writers.get(key)
    if known is not None:
        return known.decode(value, at), known
    client = registry() if framing == "confluent" else None
    if client is None:
        shown = key if isinstance(key, int) else key.hex()
        raise RejectedError(
            Reason.UNKNOWN_SCHEMA,
            f"no version of the type {event_type.item_type_name} has the {_NAMES[framing]} {shown}: "
            "add its schema",
        )
    registered = registered_writer(client.schema(key), event_type)
    return registered.decode(value, at), registered


def writer_key(value: bytes, framing: str) -> tuple[SchemaKey, int]:
    """Return what names the writer schema in a header, and where the event begins.

    Raises:
        RejectedError: undecodable, the value has no such header.
    """
    if framing == "single_object" and value[:2] == _SINGLE_OBJECT and len(value) >= _SINGLE_OBJECT_BYTES:
        return value[2:_SINGLE_OBJECT_BYTES], _SINGLE_OBJECT_BYTES
    if framing == "confluent" and value[:1] == b"\x00" and len(value) >= _ID_BYTES:
        return int.from_bytes(value[1:_ID_BYTES], "big"), _ID_BYTES
    if framing == "confluent" and value[:1] == b"\x01" and len(value) >= _GUID_BYTES:
        return value[1:_GUID_BYTES], _GUID_BYTES
    raise RejectedError(
        Reason.UNDECODABLE,
        f"the value begins with {value[:2].hex()} and has {len(value)} bytes: "
        f"no {_NAMES[framing]} stands there, which the topic's framing {framing} asks for",
    )


_NAMES: Mapping[str, str] = {"single_object": "fingerprint", "confluent": "schema id"}


def _auto(value: bytes, event_type: EventType) -> tuple[Event, Writer]:
    # A schemaless event may begin with these bytes too, so it is tried first.
    try:
        return event_type.writer.decode(value), event_type.writer
    except RejectedError:
        return _container(value, event_type)


def _container(value: bytes, event_type: EventType) -> tuple[Event, Writer]:
    limits = event_type.topic.limits
    if len(value) > limits.bytes:
        raise RejectedError(
            Reason.TOO_LARGE, f"a value of {len(value):,} bytes, the topic's limit is {limits.bytes:,}"
        )
    if not value.startswith(MAGIC):
        raise RejectedError(Reason.UNDECODABLE, "not an Avro object container: it begins with other bytes")
    container = open_container(value, limits)
    writer = container_writer(container.schema, event_type)
    return writer.decode(container.event), writer
