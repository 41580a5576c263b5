"""An event's JSON, as in docs/values.md → the value of a Kafka record: the inverse of decoder.framing.decode.

Logical values are converted here and written with a schema without logical types, so that no conversion in
fastavro can round them.
"""

import hashlib
import io
from collections.abc import Mapping
from functools import lru_cache

import fastavro
import msgspec
from fastavro.types import Schema

from decoder.catalog import EventType
from decoder.from_json import JsonReader
from decoder.physical import EncodeError
from decoder.plain_schema import plain_schema
from decoder.schema_file import schema_fingerprint

__all__ = ["EncodeError", "encode", "framing_problem", "parse_event"]

_GUID_BYTES = 16
_MAX_TYPES = 256


def encode(event: Mapping[str, object], event_type: EventType, framing: str | None = None) -> bytes:
    """Return the value of a record: the event, of the type's newest version, in the topic's framing.

    `event` has the form of event_json; a missing field gets its default from the schema. `framing` replaces
    the topic's; `auto` writes schemaless.

    Raises:
        EncodeError: the JSON is not an event of the type (the text names the field), or see framing_problem.
    """
    schema, reader = _prepared(event_type)
    buffer = io.BytesIO()
    try:
        fastavro.schemaless_writer(buffer, schema, reader.event(event))
    except EncodeError:
        raise
    except RecursionError as error:
        raise EncodeError("the event is nested too deep to be written") from error
    # fastavro raises whatever a schema makes it that Avro does not allow, like a union of two arrays.
    except Exception as error:
        raise EncodeError(f"cannot be written: {type(error).__name__}: {str(error)[:200]}") from error
    return _framed(buffer.getvalue(), event_type, framing or event_type.topic.framing)


def parse_event(text: bytes) -> dict[str, object]:
    """Return an event's JSON without losing digits of its numbers.

    Raises:
        EncodeError: the text is not a JSON object.
    """
    try:
        return msgspec.json.decode(text, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise EncodeError(f"not a JSON object: {error}") from error


def framing_problem(event_type: EventType) -> str | None:
    """Return why values of the type cannot be framed, or None: only the schema registry knows the id."""
    newest = event_type.versions[-1]
    if event_type.topic.framing != "confluent" or _registry_key(event_type) is not None:
        return None
    return (
        f"{newest.file}: values with the framing confluent begin with the schema's id in the registry: "
        "add it to the file as schema_id or schema_guid"
    )


def _framed(event: bytes, event_type: EventType, framing: str) -> bytes:
    if framing == "container":
        return _container(event, event_type.schema)
    if framing == "single_object":
        return b"\xc3\x01" + schema_fingerprint(event_type.schema) + event
    if framing == "confluent":
        key = _registry_key(event_type)
        if key is None:
            raise EncodeError(str(framing_problem(event_type)))
        return (b"\x00" + key.to_bytes(4, "big") if isinstance(key, int) else b"\x01" + key) + event
    return event


def _registry_key(event_type: EventType) -> int | bytes | None:
    keys = event_type.versions[-1].keys
    return next((key for key in keys if isinstance(key, int) or len(key) == _GUID_BYTES), None)


def _container(event: bytes, schema: Schema) -> bytes:
    """Return an object container with one event: a header, a block, and the header's marker.

    https://avro.apache.org/docs/1.12.0/specification/#object-container-files
    """
    marker = hashlib.sha256(event).digest()[:16]
    buffer = io.BytesIO()
    fastavro.writer(buffer, schema, [], sync_marker=marker)
    fastavro.schemaless_writer(buffer, "long", 1)
    fastavro.schemaless_writer(buffer, "bytes", event)
    return buffer.getvalue() + marker


@lru_cache(_MAX_TYPES)
def _prepared(event_type: EventType) -> tuple[Schema, JsonReader]:
    return plain_schema(event_type.schema), JsonReader(event_type.schema, event_type.topic.non_finite)
