"""A schema without logical types: fastavro writes values with it without converting them."""

import fastavro
from fastavro.types import Schema

from decoder.leaves import Node

_DROPPED = ("logicalType", "precision", "scale", "__fastavro_parsed", "__named_schemas")


def plain_schema(schema: Node) -> Schema:
    """Return a parsed schema without its logical types."""
    return fastavro.parse_schema(_plain(schema))


def _plain(schema: Node) -> Node:
    if isinstance(schema, list):
        return [_plain(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    copy = {key: part for key, part in schema.items() if key not in _DROPPED}
    if "." not in copy.get("name", "."):
        copy["namespace"] = ""  # its name is a full one, wherever it stands
    for key in ("items", "values"):
        if key in copy:
            copy[key] = _plain(copy[key])
    if "fields" in copy:
        copy["fields"] = [{**field, "type": _plain(field["type"])} for field in copy["fields"]]
    return copy
