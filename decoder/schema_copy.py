"""A parsed schema as JSON that stands alone, with each named type defined where it is first used."""

from collections.abc import Mapping

import fastavro
from fastavro.types import Schema

from decoder.leaves import Node
from decoder.schema_types import definition


def self_contained(schema: Node, *, logical_types: bool = True) -> Schema:
    """Return a schema with each named type defined where it first stands, perhaps without logical types."""
    return fastavro.parse_schema(_copied(schema, schema.get("__named_schemas", {}), set(), logical_types))


def _copied(schema: Node, names: Mapping[str, Node], defined: set[str], logical_types: bool) -> Node:  # noqa: FBT001 - of self_contained
    if isinstance(schema, list):
        return [_copied(branch, names, defined, logical_types) for branch in schema]
    whole = definition(schema, names)
    if not isinstance(whole, dict):
        return whole
    if "name" in whole and whole["name"] in defined:
        return whole["name"]
    defined |= {whole["name"]} if "name" in whole else set()
    dropped = () if logical_types else ("logicalType", "precision", "scale")
    copy = {key: part for key, part in whole.items() if not key.startswith("__") and key not in dropped}
    for key in ("items", "values"):
        if key in copy:
            copy[key] = _copied(copy[key], names, defined, logical_types)
    if "fields" in copy:
        copy["fields"] = [
            {**field, "type": _copied(field["type"], names, defined, logical_types)}
            for field in copy["fields"]
        ]
    return copy
