"""streams.yaml: which Kafka topics belong to which stream, and the table that a stream fills."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
import yaml

from decoder.event_fields import DEFAULT_FIELDS, FieldPath
from decoder.limits import DEFAULT_LIMITS, Limits

ROOT = Path(__file__).parent.parent
# The variable that names another catalog: a folder with a streams.yaml and a folder `schemas`.
CATALOG = "CATALOG"

# https://cloud.google.com/bigquery/docs/tables#table_naming, narrowed to what needs no quoting
TableName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,99}$")]


# Filled by the function, whatever the stream.
DEAD_LETTERS = "dead_letters"
# The view of a table that shows each record once: <table>_unique.
UNIQUE = "_unique"


class CatalogError(ValueError):
    """streams.yaml or a schema is wrong: the text names the file, what is wrong in it and what to do."""


class CatalogFiles(NamedTuple):
    """Where the catalog is: streams.yaml, and the folder with a folder of schemas for each topic."""

    streams: Path
    schemas: Path


def catalog_files(environ: Mapping[str, str] = os.environ) -> CatalogFiles:
    """Return the files of the folder that CATALOG names, else streams.yaml and decoder/schemas."""
    folder = environ.get(CATALOG)
    if folder:
        return CatalogFiles(Path(folder) / "streams.yaml", Path(folder) / "schemas")
    return CatalogFiles(ROOT / "streams.yaml", ROOT / "decoder" / "schemas")


class Topic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Kafka topic: `version` of its events, whether that is the stream's `current` one, and how it is read.

    docs/event-types.md has the framings, what `strict` adds, what becomes of a `non_finite` number, the
    limits, and the paths of the fields that are an event's `id` and `timestamp`.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=249)]
    version: Annotated[int, msgspec.Meta(ge=0)]
    current: bool
    framing: Literal["auto", "schemaless", "container", "single_object", "confluent"] = "auto"
    strict: bool = False
    non_finite: Literal["text", "refuse"] = "text"
    limits: Limits = DEFAULT_LIMITS
    id: FieldPath = DEFAULT_FIELDS.id
    timestamp: FieldPath = DEFAULT_FIELDS.timestamp


class Stream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stream: the topics that carry it and the table that keeps it."""

    table: TableName
    topics: Annotated[tuple[Topic, ...], msgspec.Meta(min_length=1)]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    streams: Annotated[dict[str, Stream], msgspec.Meta(min_length=1)]


class _NoRepeats(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML would keep the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:  # noqa: FBT001, FBT002 - PyYAML's signature
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} is there twice", node.start_mark
                )
        mapping: dict[object, object] = super().construct_mapping(node, deep)
        return mapping


def load_streams(path: Path | None = None) -> dict[str, Stream]:
    """Return the streams of a file, by default the catalog's, by name.

    Raises:
        CatalogError: the file is missing, does not parse, lacks a key, names a topic or a table twice, or
            names a table like another's view.
    """
    path = path or catalog_files().streams
    try:
        content = yaml.load(path.read_bytes(), _NoRepeats)  # noqa: S506 - a SafeLoader
    except (OSError, yaml.YAMLError, RecursionError) as error:
        raise CatalogError(f"{path.name}: {error}") from error
    try:
        streams = msgspec.convert(content, _File).streams
    except (msgspec.ValidationError, RecursionError) as error:
        raise CatalogError(f"{path.name}: {_located(content, error)}") from error
    owners = {f"table {DEAD_LETTERS}": "the dead letters"}
    views = {
        f"{table}{UNIQUE}": table for table in (DEAD_LETTERS, *(each.table for each in streams.values()))
    }
    for name, stream in streams.items():
        for thing in (f"table {stream.table}", *(f"topic {topic.name}" for topic in stream.topics)):
            if thing in owners:
                raise CatalogError(
                    f"{path.name}: {thing} is in {owners[thing]} and in {name}: keep it in one"
                )
            owners[thing] = name
        if stream.table in views:
            raise CatalogError(
                f"{path.name}: stream {name}: table {stream.table} has the name of a view, the one of the "
                f"table {views[stream.table]}: use another name"
            )
    return streams


def _located(content: object, error: Exception) -> str:
    """Return an error of the file with its stream and topic, which the error's own path does not name."""
    streams = content.get("streams") if isinstance(content, dict) else None
    for name, stream in streams.items() if isinstance(streams, dict) else ():
        topics = stream.get("topics") if isinstance(stream, dict) else None
        for number, topic in enumerate(topics if isinstance(topics, list) else (), 1):
            said = _error_of(topic, Topic)
            if said:
                of = topic.get("name") if isinstance(topic, dict) else None
                return (
                    f"stream {name}, topic {of if isinstance(of, str) and of else f'number {number}'}: {said}"
                )
        said = _error_of(stream, Stream)
        if said:
            return f"stream {name}: {said}"
    return str(error)


def _error_of(content: object, kind: type[Topic | Stream]) -> str | None:
    try:
        msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        said, _, path = str(error).partition(" - at `$")
        return f"{path.strip('.`')}: {said}" if path else said
    except RecursionError as error:
        return str(error)
    return None
