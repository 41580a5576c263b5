"""The frozen catalogue: (topic, item_type_name) → the schema that decodes, the table that keeps.

It is read once from streams.yaml and schemas/<topic>/*.avsc. Nothing in a message can add to it.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import fastavro
import msgspec
from fastavro.schema import SchemaParseException, UnknownType
from fastavro.types import Schema

from decoder.streams import STREAMS_FILE, CatalogError, Stream, Topic, load_streams
from decoder.values import has_floats

SCHEMAS = Path(__file__).parent / "schemas"

# https://avro.apache.org/docs/1.12.0/specification/#names
_FULL_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)

# Of each field the types and the logical types it may have: event_id and timestamp are REQUIRED columns.
_REQUIRED_FIELDS: Mapping[str, tuple[list[str], list[str | None]]] = {
    "id": (["string", "int", "long"], [None, "uuid"]),
    "timestamp": (["long"], ["timestamp-millis", "timestamp-micros"]),
}


class _Field(msgspec.Struct, frozen=True):
    name: str
    type: object


class EventType(msgspec.Struct, frozen=True, eq=False):
    """What is known of one type of event in one topic before any of it arrives."""

    stream: str
    table: str
    topic: Topic
    item_type_name: str
    file: str
    schema: Schema
    has_floats: bool

    @property
    def name(self) -> str:
        """The last part of the type's name: the column event_type."""
        return self.item_type_name.rpartition(".")[2]


class Catalog(msgspec.Struct, frozen=True):
    """All event types by topic and header value, and the stream of each topic."""

    types: Mapping[tuple[str, str], EventType]
    stream_of_topic: Mapping[str, str]
    tables: tuple[str, ...]

    def types_of(self, topic: str) -> list[str]:
        """Return the header values that the topic has schemas for, sorted."""
        return sorted(name for of_topic, name in self.types if of_topic == topic)


def load_catalog(streams_file: Path = STREAMS_FILE, schemas: Path = SCHEMAS) -> Catalog:
    """Return the catalogue.

    Raises:
        CatalogError: one of the files is wrong; every topic needs a schema and every schema a topic.
    """
    streams = load_streams(streams_file)
    types: dict[tuple[str, str], EventType] = {}
    stream_of_topic: dict[str, str] = {}
    for stream_name, stream in streams.items():
        for topic in stream.topics:
            stream_of_topic[topic.name] = stream_name
            for event_type in _types_in(schemas / topic.name, stream_name, stream, topic):
                key = (topic.name, event_type.item_type_name)
                if key in types:
                    raise CatalogError(
                        f"{event_type.file}: type {event_type.item_type_name} of topic {topic.name} "
                        f"is in {types[key].file} too: keep one schema for it"
                    )
                types[key] = event_type
    unclaimed = sorted(d.name for d in schemas.iterdir() if d.is_dir() and d.name not in stream_of_topic)
    if unclaimed:
        raise CatalogError(
            f"{schemas.name}/{unclaimed[0]}: no stream in {streams_file.name} has this topic: "
            "add the topic to a stream with its table, or remove the folder"
        )
    return Catalog(
        MappingProxyType(types),
        MappingProxyType(stream_of_topic),
        tuple(stream.table for stream in streams.values()),
    )


def _types_in(folder: Path, stream_name: str, stream: Stream, topic: Topic) -> Iterator[EventType]:
    files = sorted(folder.glob("*.avsc"))
    if not files:
        raise CatalogError(
            f"schemas/{topic.name}: no .avsc file for this topic of stream {stream_name}: add one"
        )
    for path in files:
        file = f"schemas/{topic.name}/{path.name}"
        for item_type_name, schema in _parse(path, file):
            yield EventType(
                stream=stream_name,
                table=stream.table,
                topic=topic,
                item_type_name=item_type_name,
                file=file,
                schema=schema,
                has_floats=has_floats(schema),
            )


def _parse(path: Path, file: str) -> list[tuple[str, Schema]]:
    """Return the header values that a file is for, each with its parsed schema."""
    try:
        raw = msgspec.json.decode(path.read_bytes(), type=dict[str, object])
        item_types = msgspec.convert(raw.pop("item_types", None), list[str] | None)
    except (OSError, msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise CatalogError(f"{file}: not a JSON object: {error}") from error
    if raw.get("type") != "record":
        raise CatalogError(f"{file}: the schema of an event is a record, this is {raw.get('type')!r}")
    schema = _parsed(raw, file)
    if item_types is None:
        return [(str(schema["name"]), schema)]
    if not item_types or not all(item_types) or len(set(item_types)) < len(item_types):
        raise CatalogError(f"{file}: item_types must list type names, each once, none empty")
    # Each under its own name: a container's schema is named for the type, and must resolve against it.
    return [
        (name, _parsed({**raw, "name": name} if _FULL_NAME.fullmatch(name) else raw, file))
        for name in item_types
    ]


def _parsed(raw: dict[str, object], file: str) -> dict[str, object]:
    try:
        schema = fastavro.parse_schema(raw)
    except (SchemaParseException, UnknownType, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CatalogError(f"{file}: not a valid Avro schema: {type(error).__name__}: {error}") from error
    if not isinstance(schema, dict):
        raise CatalogError(f"{file}: the schema of an event is a record")
    _check_fields(schema, file)
    return schema


def _check_fields(schema: dict[str, object], file: str) -> None:
    fields = msgspec.convert(schema["fields"], list[_Field])
    by_name = {field.name: field.type for field in fields}
    if len(by_name) < len(fields):
        twice = next(f.name for f in fields if [g.name for g in fields].count(f.name) > 1)
        raise CatalogError(f"{file}: field {twice!r} is there twice")
    for name, (physical, logical) in _REQUIRED_FIELDS.items():
        if name not in by_name:
            raise CatalogError(f"{file}: field {name!r} is missing: every event needs one")
        kind = by_name[name]
        declared = kind if isinstance(kind, dict) else {"type": kind}
        if declared.get("type") not in physical or declared.get("logicalType") not in logical:
            wanted = " or ".join(physical if None in logical else [str(each) for each in logical])
            raise CatalogError(f"{file}: field {name!r} must be {wanted} and not null, it is {kind}")
