"""The frozen catalogue: (topic, item_type_name) → the schema that decodes, the table that keeps.

It is read once from streams.yaml and schemas/<topic>/*.avsc. Nothing in a message can add to it.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec
from fastavro.types import Schema

from decoder.avro import Writer
from decoder.event_fields import EventFields, event_problem
from decoder.schema_file import SchemaKey, Version, versions_of
from decoder.schema_types import IncompatibleError
from decoder.shared_types import TYPES, shared_types
from decoder.streams import CatalogError, Stream, Topic, catalog_files, load_streams


class EventType(msgspec.Struct, frozen=True, eq=False):
    """What is known of one type of event in one topic before any of it arrives.

    `schema` is the newest version: bytes without a header of their own are written with it. `reader` is the
    version that every event is resolved to, None where each is kept as it was written. `writers` are all
    versions, by what a framing's header says: the fingerprint's 8 bytes, the registry's id, or the GUID's 16
    bytes.
    """

    stream: str
    table: str
    topic: Topic
    item_type_name: str
    file: str
    schema: Schema
    reader: Schema | None
    versions: tuple[Version, ...]
    writer: Writer
    writers: Mapping[SchemaKey, Writer]

    @property
    def fields(self) -> EventFields:
        """Where events that are resolved to the type's schema have their id and their timestamp."""
        readers = (version for version in self.versions if version.is_reader)
        return next(readers, self.versions[-1]).fields

    @property
    def name(self) -> str:
        """The last part of the type's name: the column event_type."""
        return self.item_type_name.rpartition(".")[2]


class Catalog(msgspec.Struct, frozen=True):
    """All event types by topic and header value, and the stream of each topic.

    `named_by` gives the type of a topic that a framing's header names; a schema that several share names
    none.
    """

    types: Mapping[tuple[str, str], EventType]
    named_by: Mapping[tuple[str, SchemaKey], EventType]
    stream_of_topic: Mapping[str, str]
    topics: Mapping[str, Topic]
    tables: tuple[str, ...]

    def types_of(self, topic: str) -> list[str]:
        """Return the header values that the topic has schemas for, sorted."""
        return sorted(name for of_topic, name in self.types if of_topic == topic)


def load_catalog(streams_file: Path | None = None, schemas: Path | None = None) -> Catalog:
    """Return the catalogue of these files, by default those of `catalog_files`.

    Raises:
        CatalogError: one of the files is wrong; every topic needs a schema and every schema a topic.
    """
    files = catalog_files()
    streams_file, schemas = streams_file or files.streams, schemas or files.schemas
    streams = load_streams(streams_file)
    types: dict[tuple[str, str], EventType] = {}
    stream_of_topic: dict[str, str] = {}
    for stream_name, stream in streams.items():
        for topic in stream.topics:
            if topic.name == TYPES:
                raise CatalogError(
                    f"{streams_file.name}: stream {stream_name}, topic {TYPES}: {schemas.name}/{TYPES} has "
                    "the types that schemas of all topics share, so no topic can have this name"
                )
            stream_of_topic[topic.name] = stream_name
            for item_type_name, versions in _versions_in(schemas, stream_name, topic).items():
                types[topic.name, item_type_name] = _event_type(stream_name, stream, topic, versions)
    claimed = {*stream_of_topic, TYPES}
    unclaimed = sorted(d.name for d in schemas.iterdir() if d.is_dir() and d.name not in claimed)
    if unclaimed:
        raise CatalogError(
            f"{schemas.name}/{unclaimed[0]}: no stream in {streams_file.name} has this topic: "
            "add the topic to a stream with its table, or remove the folder"
        )
    return Catalog(
        MappingProxyType(types),
        MappingProxyType(_named_by(types.values())),
        MappingProxyType(stream_of_topic),
        MappingProxyType({topic.name: topic for stream in streams.values() for topic in stream.topics}),
        tuple(stream.table for stream in streams.values()),
    )


def _versions_in(schemas: Path, stream_name: str, topic: Topic) -> dict[str, list[Version]]:
    """Return the versions of each type, oldest first."""
    files = sorted((schemas / topic.name).glob("*.avsc"))
    if not files:
        raise CatalogError(
            f"schemas/{topic.name}: no .avsc file for this topic of stream {stream_name}: add one"
        )
    shared = shared_types(schemas, topic.name)
    types: dict[str, list[Version]] = {}
    for path in files:
        for version in versions_of(path, f"schemas/{topic.name}/{path.name}", topic, shared):
            others = types.setdefault(version.item_type_name, [])
            same = next((other for other in others if other.number == version.number), None)
            if same is not None:
                raise CatalogError(
                    f"{version.file}: type {version.item_type_name} of topic {topic.name} "
                    f"is in {same.file} too: keep one schema for it, or give each a schema_version"
                )
            others.append(version)
            others.sort(key=lambda each: each.number)
    return types


def _event_type(stream_name: str, stream: Stream, topic: Topic, versions: list[Version]) -> EventType:
    newest = versions[-1]
    readers = [version for version in versions if version.is_reader]
    if len(readers) > 1:
        raise CatalogError(
            f"{readers[1].file}: {readers[0].file} is the reader_schema of the type too: keep one"
        )
    reader = readers[0].schema if readers else None
    writers: dict[SchemaKey, Writer] = {}
    for version in versions:
        events = readers[0] if readers else version
        problem = event_problem(version.schema, version.fields) if events is version else None
        if problem:
            raise CatalogError(f"{version.file}: {problem}")
        try:
            resolved = None if version.is_reader else reader
            writer = Writer(topic, version.schema, resolved, fields=events.fields)
        except IncompatibleError as error:
            raise CatalogError(f"{version.file}: {version.item_type_name} cannot be read: {error}") from error
        writers |= dict.fromkeys(version.keys, writer)
    return EventType(
        stream=stream_name,
        table=stream.table,
        topic=topic,
        item_type_name=newest.item_type_name,
        file=newest.file,
        schema=newest.schema,
        reader=reader,
        versions=tuple(versions),
        writer=writer,
        writers=MappingProxyType(writers),
    )


def _named_by(types: Iterable[EventType]) -> dict[tuple[str, SchemaKey], EventType]:
    named: dict[tuple[str, SchemaKey], EventType] = {}
    shared: set[tuple[str, SchemaKey]] = set()
    for event_type in types:
        for key in event_type.writers:
            place = (event_type.topic.name, key)
            if place in named:
                shared.add(place)
            named[place] = event_type
    return {place: event_type for place, event_type in named.items() if place not in shared}
