"""A writer schema that is not in the catalogue: a container's own, or a registry's.

A container's sender chose it, so it is held to the limits of every schema (decoder/limits.py) before a byte
is read.
"""

from functools import lru_cache

import fastavro
import msgspec

from decoder.avro import Writer
from decoder.catalog import EventType
from decoder.event_fields import event_problem
from decoder.leaves import Node
from decoder.schema_types import IncompatibleError
from rejection import Reason, RejectedError

# Senders of containers have few schemas; one that is made to be large takes up to a megabyte.
MAX_CONTAINERS = 32
# Nobody who writes records makes these; one of six fields takes some 16 KB.
MAX_REGISTERED = 256


@lru_cache(MAX_CONTAINERS)
def container_writer(text: bytes, event_type: EventType) -> Writer:
    """Return the writer of a schema's JSON text.

    Events become the reader schema's, and where the type has none, the newest version's, with what that lacks
    kept: nobody asked for a field to be dropped.

    Raises:
        RejectedError: undecodable, the schema is none, is unsafe to read with, or is not of the type.
    """
    return _writer((text,), event_type, event_type.reader or event_type.schema)


@lru_cache(MAX_REGISTERED)
def registered_writer(texts: tuple[bytes, ...], event_type: EventType) -> Writer:
    """Return the writer of a schema's JSON text, the last; before it stand those that it refers to.

    Events become the reader schema's, and where the type has none, they are kept as they were written. Raises
    as container_writer.
    """
    return _writer(texts, event_type, event_type.reader)


def _writer(texts: tuple[bytes, ...], event_type: EventType, reader: Node | None) -> Writer:
    name = event_type.item_type_name
    named: dict[str, dict[str, object]] = {}
    schema: object = None
    try:
        for text in texts:
            schema = _parsed(text, named)
    # fastavro raises whatever a schema that is none makes it: KeyError, TypeError, AttributeError, …
    except Exception as error:
        raise _refused(
            f"the writer's own schema is none: {type(error).__name__}: {str(error)[:200]}"
        ) from error
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise _refused("the writer's own schema is no record")
    try:
        writer = Writer(
            event_type.topic,
            schema,
            reader,
            keep_extra=event_type.reader is None,
            fields=event_type.fields,
        )
    except IncompatibleError as error:
        raise _refused(f"the writer's own schema is not of the type {name}, or unsafe: {error}") from error
    if reader is None:
        names = {name, *(version.own_name for version in event_type.versions)}
        if schema["name"].rpartition(".")[2] not in {each.rpartition(".")[2] for each in names}:
            raise _refused(f"the writer's own schema is of {schema['name'][:200]}, the type is {name}")
        problem = event_problem(schema, event_type.fields)
        if problem:
            raise _refused(f"the writer's own schema: {problem}")
    return writer


def _parsed(text: bytes, named: dict[str, dict[str, object]]) -> object:
    """Return a schema's content, and add the types that it defines to those `named` so far."""
    raw = msgspec.json.decode(text)
    if isinstance(raw, dict):
        # fastavro believes a schema that says that it was parsed already.
        raw = {key: value for key, value in raw.items() if not key.startswith("__")}
    before = dict(named)
    schema = fastavro.parse_schema(raw, named)
    twice = next((name for name in before if named[name] is not before[name]), None)
    if twice is not None:
        raise ValueError(f"{twice} is defined twice")
    return schema


def _refused(said: str) -> RejectedError:
    return RejectedError(Reason.UNDECODABLE, said)
