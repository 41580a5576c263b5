"""Named types that are no events: schemas/types/ and schemas/<topic>/types/, for schemas to refer to.

A schema that refers to them is made self-contained: a definition stands where its name is first used, as in
Avro's parsing canonical form, so the schema and its fingerprint are those of the schema written in one piece.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fastavro
import msgspec
from fastavro.schema import SchemaParseException, UnknownType

from decoder.leaves import Node
from decoder.schema_types import NAMED
from decoder.streams import CatalogError

# The folder of shared types: of all topics next to the topics' folders, of one topic inside its folder.
TYPES = "types"

_PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
# What fastavro raises for a schema that is not valid, depending on what is wrong with it.
SCHEMA_ERRORS = (SchemaParseException, UnknownType, KeyError, TypeError, ValueError, RecursionError)


class SharedType(msgspec.Struct, frozen=True, eq=False):
    """A definition, the namespace that it stands in, and its file."""

    definition: dict[str, Any]
    namespace: str
    file: str


SharedTypes = Mapping[str, SharedType]


def shared_types(schemas: Path, topic: str) -> SharedTypes:
    """Return the shared types that schemas of a topic can refer to, by full name.

    Raises:
        CatalogError: a file is not a named type, refers to a type that is not shared, or two define one name.
    """
    of_all = _types_in(schemas / TYPES, f"{schemas.name}/{TYPES}", {})
    return _types_in(schemas / topic / TYPES, f"{schemas.name}/{topic}/{TYPES}", of_all)


def self_contained(raw: dict[str, Any], shared: SharedTypes, file: str) -> dict[str, Any]:
    """Return a schema's content with the shared types that it refers to.

    Raises:
        CatalogError: a name has no definition, or the schema and a shared type mean different ones by it.
    """
    own: dict[str, SharedType] = {}
    _collect(raw, "", file, own)
    content: dict[str, Any] = _Inlining(own, shared, file).type_of(raw, "", None)
    return content


def _types_in(folder: Path, label: str, of_all: SharedTypes) -> SharedTypes:
    types = dict(of_all)
    roots: list[tuple[str, dict[str, Any]]] = []
    for path in sorted(folder.glob("*.avsc")):
        file = f"{label}/{path.name}"
        try:
            raw = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise CatalogError(f"{file}: not a JSON object: {error}") from error
        if raw.get("type") not in NAMED or not isinstance(raw.get("name"), str):
            raise CatalogError(f"{file}: a shared type is a record, enum or fixed with a name")
        found: dict[str, SharedType] = {}
        _collect(raw, "", file, found)
        for name, shared in found.items():
            if name in types:
                raise CatalogError(f"{file}: the type {name} is in {types[name].file} too: keep one of them")
            types[name] = shared
        roots.append((file, raw))
    for file, raw in roots:
        try:
            fastavro.parse_schema(_Inlining({}, types, file).type_of(raw, "", file))
        except CatalogError:
            raise
        except SCHEMA_ERRORS as error:
            raise CatalogError(
                f"{file}: not a valid Avro schema: {type(error).__name__}: {str(error)[:200]}"
            ) from error
    return types


class _Inlining:
    """One pass over a schema, which puts each shared type where its name is first used.

    `own` are the names that the schema itself defines.
    """

    def __init__(self, own: SharedTypes, shared: SharedTypes, file: str) -> None:
        self._own, self._shared, self._file = own, shared, file
        self._defined: set[str] = set()

    def type_of(self, node: Node, namespace: str, inside: str | None) -> Node:
        """Return a type; `inside` is the file of the shared type that it is a part of."""
        if isinstance(node, str):
            return node if node in _PRIMITIVES else self._named(node, namespace, inside)
        if isinstance(node, list):
            return [self.type_of(branch, namespace, inside) for branch in node]
        if not isinstance(node, dict):
            return node
        kind = node.get("type")
        if kind in NAMED and isinstance(node.get("name"), str):
            return self._definition(node, namespace, inside)
        part = {"array": "items", "map": "values"}.get(kind) if isinstance(kind, str) else None
        if part:
            return {**node, part: self.type_of(node.get(part), namespace, inside)}
        return node

    def _named(self, name: str, namespace: str, inside: str | None) -> Node:
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        shared = self._shared.get(full)
        if full in self._own:
            if inside and shared:
                raise CatalogError(
                    f"{self._file}: it defines {full}, and {inside}, which it refers to, means that of "
                    f"{shared.file}: give one of them another name"
                )
            return name
        if shared is None:
            own_file = full.rpartition(".")[2]
            folders = [f"schemas/{TYPES}"]
            if (parts := self._file.split("/"))[1] != TYPES:
                folders.insert(0, f"schemas/{parts[1]}/{TYPES}")
            places = " or ".join(f"{folder}/{own_file}.avsc" for folder in folders)
            raise CatalogError(
                f"{self._file}: not a valid Avro schema: there is no type {full}: define it here where it is "
                f"first used, or in {places}"
            )
        return self._definition(shared.definition, shared.namespace, shared.file)

    def _definition(self, node: dict[str, Any], namespace: str, inside: str | None) -> Node:
        full, namespace = _full_name(node, namespace)
        if inside:
            if full in self._defined:
                return full
            if full in self._own:
                raise CatalogError(
                    f"{self._file}: it defines {full}, and so does {inside}, which it refers to: "
                    "give one of them another name"
                )
            # Wherever it stands now, it keeps its name.
            node = {**node, "name": full, "namespace": namespace}
        self._defined.add(full)
        fields = node.get("fields")
        if node["type"] in ("enum", "fixed") or not isinstance(fields, list):
            return node
        return {**node, "fields": [self._field(field, namespace, inside) for field in fields]}

    def _field(self, field: Node, namespace: str, inside: str | None) -> Node:
        if not isinstance(field, dict) or "type" not in field:
            return field
        return {**field, "type": self.type_of(field["type"], namespace, inside)}


def _full_name(node: dict[str, Any], namespace: str) -> tuple[str, str]:
    """Return a definition's full name and the namespace of what it holds.

    https://avro.apache.org/docs/1.12.0/specification/#names
    """
    name = node["name"]
    if "." in name:
        return name, name.rpartition(".")[0]
    own = node.get("namespace")
    namespace = own if isinstance(own, str) else namespace
    return (f"{namespace}.{name}" if namespace else name), namespace


def _collect(node: Node, namespace: str, file: str, found: dict[str, SharedType]) -> None:
    """Add the definitions in a type; of one that is there twice fastavro says so."""
    if isinstance(node, list):
        for branch in node:
            _collect(branch, namespace, file, found)
    if not isinstance(node, dict):
        return
    if node.get("type") in NAMED and isinstance(node.get("name"), str):
        full, inner = _full_name(node, namespace)
        found.setdefault(full, SharedType(node, namespace, file))
        namespace = inner
    fields = node.get("fields")
    for field in fields if isinstance(fields, list) else ():
        _collect(field.get("type") if isinstance(field, dict) else None, namespace, file, found)
    for part in ("items", "values"):
        _collect(node.get(part), namespace, file, found)
