"""An .avsc file of the catalogue: the types that it is for, and by what a framing's header names its schema.

Beside Avro's own keys the file may have `item_types`, `schema_version`, `reader_schema`, `schema_id` and
`schema_guid`: docs/event-types.md.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import fastavro
import msgspec
from fastavro.schema import SchemaParseException, UnknownType, fingerprint, to_parsing_canonical_form
from fastavro.types import Schema

from decoder.streams import CatalogError

# What names a writer schema: a fingerprint (8 bytes), a registry's id, or a GUID (16 bytes).
SchemaKey = int | bytes

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


class _Own(msgspec.Struct, frozen=True):
    """The file's keys that are not Avro's."""

    item_types: list[str] | None = None
    schema_version: Annotated[int, msgspec.Meta(ge=0)] = 1
    reader_schema: bool = False
    schema_id: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] | None = None
    schema_guid: (
        Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")] | None
    ) = None


class Version(msgspec.Struct, frozen=True, eq=False):
    """One version of a type: its schema, named for the type, and what names it in a framing's header."""

    item_type_name: str
    own_name: str
    number: int
    file: str
    schema: Schema
    is_reader: bool
    keys: tuple[SchemaKey, ...]


def versions_of(path: Path, file: str) -> list[Version]:
    """Return what a file holds: a version of each type that it is for.

    Raises:
        CatalogError: it is no schema of an event.
    """
    try:
        raw = msgspec.json.decode(path.read_bytes(), type=dict[str, object])
        own = msgspec.convert(raw, _Own)
    except (OSError, msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise CatalogError(f"{file}: not a JSON object: {error}") from error
    raw = {key: value for key, value in raw.items() if key not in _Own.__struct_fields__}
    if raw.get("type") != "record":
        raise CatalogError(f"{file}: the schema of an event is a record, this is {raw.get('type')!r}")
    schema = _parsed(raw, file)
    names = own.item_types
    if names is not None and (not names or not all(names) or len(set(names)) < len(names)):
        raise CatalogError(f"{file}: item_types must list type names, each once, none empty")
    keys: list[SchemaKey] = [schema_fingerprint(schema)]
    keys += [] if own.schema_id is None else [own.schema_id]
    keys += [] if own.schema_guid is None else [bytes.fromhex(own.schema_guid.replace("-", ""))]
    versions = []
    for name in [str(schema["name"])] if names is None else names:
        # Each under its own name: a container's schema is named for the type, and must resolve against it.
        named = _parsed({**raw, "name": name}, file) if names and _FULL_NAME.fullmatch(name) else schema
        all_keys = tuple(dict.fromkeys((*keys, schema_fingerprint(named))))
        versions.append(
            Version(name, str(schema["name"]), own.schema_version, file, named, own.reader_schema, all_keys)
        )
    return versions


def schema_fingerprint(schema: Schema) -> bytes:
    """Return the 8 bytes that stand for a schema in single-object encoding.

    https://avro.apache.org/docs/1.12.0/specification/#schema-fingerprints
    """
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))


def event_problem(schema: Any) -> str | None:  # noqa: ANN401 - a schema's content
    """Return what a record lacks to be an event, None where it lacks nothing."""
    fields = msgspec.convert(schema["fields"], list[_Field])
    by_name = {field.name: field.type for field in fields}
    if len(by_name) < len(fields):
        twice = next(f.name for f in fields if [g.name for g in fields].count(f.name) > 1)
        return f"field {twice!r} is there twice"
    for name, (physical, logical) in _REQUIRED_FIELDS.items():
        if name not in by_name:
            return f"field {name!r} is missing: every event needs one"
        kind = by_name[name]
        declared = kind if isinstance(kind, dict) else {"type": kind}
        if declared.get("type") not in physical or declared.get("logicalType") not in logical:
            wanted = " or ".join(physical if None in logical else [str(each) for each in logical])
            return f"field {name!r} must be {wanted} and not null, it is {kind}"
    return None


def _parsed(raw: dict[str, object], file: str) -> dict[str, Any]:
    # Any: what a schema's keys hold differs by its type.
    try:
        schema = fastavro.parse_schema(raw)
    except (SchemaParseException, UnknownType, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CatalogError(f"{file}: not a valid Avro schema: {type(error).__name__}: {error}") from error
    if not isinstance(schema, dict):
        raise CatalogError(f"{file}: the schema of an event is a record")
    problem = event_problem(schema)
    if problem:
        raise CatalogError(f"{file}: {problem}")
    return schema
