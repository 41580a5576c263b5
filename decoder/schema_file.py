"""An .avsc file of the catalogue: the types that it is for, and by what a framing's header names its schema.

Besides Avro's own keys the file may have `item_types`, `schema_version`, `reader_schema`, `schema_id`,
`schema_guid`, `id_field`, `timestamp_field` and `accept`: docs/event-types.md.
"""

import copy
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import fastavro
import msgspec
from fastavro.schema import fingerprint, to_parsing_canonical_form
from fastavro.types import Schema

from decoder.event_fields import DEFAULT_FIELDS, EventFields, FieldPath
from decoder.leaves import Node
from decoder.shared_types import SCHEMA_ERRORS, SharedTypes, self_contained
from decoder.streams import CatalogError, Topic

# What names a writer schema: a fingerprint (8 bytes), a registry's id, or a GUID (16 bytes).
SchemaKey = int | bytes

# https://avro.apache.org/docs/1.12.0/specification/#names
_FULL_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)

# What `python -m decoder check` finds and a file can accept.
Finding = Literal["misread", "own_name"]


class _Own(msgspec.Struct, frozen=True):
    """The file's keys that are not Avro's."""

    item_types: list[str] | None = None
    schema_version: Annotated[int, msgspec.Meta(ge=0)] = 1
    reader_schema: bool = False
    schema_id: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] | None = None
    schema_guid: (
        Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")] | None
    ) = None
    id_field: FieldPath | None = None
    timestamp_field: FieldPath | None = None
    accept: tuple[Finding, ...] = ()


class Version(msgspec.Struct, frozen=True, eq=False):
    """One version of a type: its schema, named for the type, and what names it in a framing's header.

    The schema is self-contained, `fields` is where its events have id and timestamp, and `accept` are the
    findings of `python -m decoder check` that its file accepts.
    """

    item_type_name: str
    own_name: str
    number: int
    file: str
    schema: Schema
    is_reader: bool
    keys: tuple[SchemaKey, ...]
    fields: EventFields = DEFAULT_FIELDS
    accept: tuple[Finding, ...] = ()


def versions_of(path: Path, file: str, topic: Topic, shared: SharedTypes) -> list[Version]:
    """Return what a file of a topic holds: a version of each type that it is for.

    Raises:
        CatalogError: it is not the schema of a record, or refers to a type that `shared` does not have.
    """
    try:
        raw = msgspec.json.decode(path.read_bytes(), type=dict[str, object])
        own = msgspec.convert(raw, _Own)
    except (OSError, msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise CatalogError(f"{file}: not a JSON object: {error}") from error
    raw = {key: value for key, value in raw.items() if key not in _Own.__struct_fields__}
    if raw.get("type") != "record":
        raise CatalogError(f"{file}: the schema of an event is a record, this is {raw.get('type')!r}")
    raw = _self_contained(raw, shared, file)
    schema = _parsed(raw, file)
    names = own.item_types
    if names is not None and (not names or not all(names) or len(set(names)) < len(names)):
        raise CatalogError(f"{file}: item_types must list type names, each once, none empty")
    keys: list[SchemaKey] = [schema_fingerprint(schema)]
    keys += [] if own.schema_id is None else [own.schema_id]
    keys += [] if own.schema_guid is None else [bytes.fromhex(own.schema_guid.replace("-", ""))]
    fields = EventFields(own.id_field or topic.id, own.timestamp_field or topic.timestamp)
    space = raw.get("namespace")
    versions = []
    for name in [str(schema["name"])] if names is None else names:
        # Each under its own name: a container's schema is named for the type, and must resolve against it.
        full = f"{space}.{name}" if space and "." not in name else name
        named = _renamed(schema, full, file) if names and _FULL_NAME.fullmatch(name) else schema
        all_keys = tuple(dict.fromkeys((*keys, schema_fingerprint(named))))
        versions.append(
            Version(
                item_type_name=name,
                own_name=str(schema["name"]),
                number=own.schema_version,
                file=file,
                schema=named,
                is_reader=own.reader_schema,
                keys=all_keys,
                fields=fields,
                accept=own.accept,
            )
        )
    return versions


def _renamed(schema: dict[str, Any], name: str, file: str) -> dict[str, Any]:
    """Return a parsed schema under another full name; the types in it keep theirs."""
    old = schema["name"]
    if name == old:
        return schema
    if name in schema["__named_schemas"]:
        raise CatalogError(
            f"{file}: item_types: {name} is the name of a type in the schema: use another name"
        )
    made = copy.deepcopy(schema)
    made["name"] = name
    made["fields"] = [{**each, "type": _referring(each["type"], old, name)} for each in made["fields"]]
    named = made["__named_schemas"]
    del named[old]
    # Without the names themselves, as fastavro has it: a schema that held itself could not be compared.
    named[name] = {key: part for key, part in made.items() if not key.startswith("__")}
    return made


def _referring(node: Node, old: str, new: str) -> Node:
    """Return a type that refers to `new` where it referred to `old`, changed in place."""
    if isinstance(node, list):
        node[:] = [_referring(branch, old, new) for branch in node]
    elif isinstance(node, dict):
        for part in ("items", "values"):
            if part in node:
                node[part] = _referring(node[part], old, new)
        for field in node.get("fields", ()):
            field["type"] = _referring(field["type"], old, new)
    return new if node == old else node


def schema_fingerprint(schema: Schema) -> bytes:
    """Return the 8 bytes that stand for a schema in single-object encoding.

    https://avro.apache.org/docs/1.12.0/specification/#schema-fingerprints
    """
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))


def _self_contained(raw: dict[str, object], shared: SharedTypes, file: str) -> dict[str, object]:
    try:
        return self_contained(raw, shared, file)
    except RecursionError as error:
        raise CatalogError(f"{file}: not a valid Avro schema: {error}") from error


def _parsed(raw: dict[str, object], file: str) -> dict[str, Any]:
    # Any: what a schema's keys hold differs by its type.
    try:
        schema = fastavro.parse_schema(raw)
    except SCHEMA_ERRORS as error:
        raise CatalogError(f"{file}: not a valid Avro schema: {type(error).__name__}: {error}") from error
    if not isinstance(schema, dict):
        raise CatalogError(f"{file}: the schema of an event is a record")
    return schema
