"""What tests of the decoder make: a type of one schema, without files, and a value's bytes."""

import io
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from uuid import UUID

import fastavro
from fastavro.types import Schema

from decoder import framing
from decoder.avro import Writer
from decoder.catalog import Catalog, EventType
from decoder.schema_file import SchemaKey, Version, schema_fingerprint
from decoder.streams import Topic

STREAMS = "streams:\n  s: {table: s, topics: [{name: t, version: 2, current: true}]}\n"
# Loads a catalogue of these files; a schema is an object, or the text of the file.
Load = Callable[..., Catalog]


def event_type(
    *schemas: Schema,
    reader: Schema | None = None,
    keys: Mapping[SchemaKey, int] | None = None,
    topic: Mapping[str, object] | None = None,
) -> EventType:
    """Return a type of these versions; `keys` gives the version of an id; `topic` is as in streams.yaml."""
    of = Topic("t", 1, True, **(topic or {}))  # type: ignore[arg-type] # one of its fields
    name = str(schemas[-1]["name"])  # type: ignore[index,call-overload] # a record
    writers: dict[SchemaKey, Writer] = {
        schema_fingerprint(schema): Writer(of, schema, reader) for schema in schemas
    }
    writers |= {key: Writer(of, schemas[index], reader) for key, index in (keys or {}).items()}
    versions = tuple(Version(name, name, n, "t/A.avsc", s, s is reader, ()) for n, s in enumerate(schemas))
    newest = Writer(of, schemas[-1], reader)
    return EventType(
        "s", "s", of, name, "t/A.avsc", schemas[-1], reader, versions, newest, MappingProxyType(writers)
    )


_known: dict[tuple[int, str], tuple[Schema, EventType]] = {}


def decode(value: bytes, schema: Schema, **topic: object) -> dict[str, object]:
    """Return the event of a value under one schema."""
    key = (id(schema), repr(topic))
    if key not in _known:
        _known[key] = (schema, event_type(schema, topic=topic))
    return framing.decode(value, _known[key][1])


def plain(value: object) -> object:
    """Return an event as decode returns it: a UUID and a decimal are text."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value) if isinstance(value, UUID) else value


def schemaless(event: object, schema: Schema) -> bytes:
    """Return the bytes of an event."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, schema, event)
    return buffer.getvalue()


def record(**fields: object) -> Schema:
    """Return a parsed record of these fields."""
    listed = [{"name": name, "type": kind} for name, kind in fields.items()]
    return fastavro.parse_schema({"type": "record", "name": "a.R", "fields": listed})


def with_fields(*fields: object, **more: object) -> dict[str, object]:
    """Return the file of a schema with these fields more than an event needs."""
    stamp = {"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}}
    needed = [{"name": "id", "type": "string"}, stamp]
    return {"type": "record", "name": "A", "namespace": "n.s", "fields": [*needed, *fields], **more}
