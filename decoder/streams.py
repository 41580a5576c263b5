"""streams.yaml: which Kafka topics belong to which stream, and the table that a stream fills."""

from pathlib import Path
from typing import Annotated

import msgspec

ROOT = Path(__file__).parent.parent
STREAMS_FILE = ROOT / "streams.yaml"

# https://cloud.google.com/bigquery/docs/tables#table_naming, narrowed to what needs no quoting
TableName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,99}$")]


class CatalogError(ValueError):
    """streams.yaml or a schema is wrong: the text names the file, what is wrong in it and what to do."""


class Topic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Kafka topic: `version` of its events, and whether that is the `current` version of the stream."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=249)]
    version: Annotated[int, msgspec.Meta(ge=0)]
    current: bool


class Stream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stream: the topics that carry it and the table that keeps it."""

    table: TableName
    topics: Annotated[tuple[Topic, ...], msgspec.Meta(min_length=1)]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    streams: Annotated[dict[str, Stream], msgspec.Meta(min_length=1)]


def load_streams(path: Path = STREAMS_FILE) -> dict[str, Stream]:
    """Return the streams by name.

    Raises:
        CatalogError: the file is missing, does not parse, lacks a key, or names a topic or a table twice.
    """
    try:
        streams = msgspec.yaml.decode(path.read_bytes(), type=_File).streams
    except (OSError, msgspec.DecodeError) as error:
        raise CatalogError(f"{path.name}: {error}") from error
    owners: dict[str, str] = {}
    for name, stream in streams.items():
        for thing in (f"table {stream.table}", *(f"topic {topic.name}" for topic in stream.topics)):
            if thing in owners:
                raise CatalogError(
                    f"{path.name}: {thing} is in {owners[thing]} and in {name}: keep it in one"
                )
            owners[thing] = name
    return streams
