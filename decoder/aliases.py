"""A schema with the names of another that it has as aliases: what has a new name only is no difference."""

import copy
from collections.abc import Mapping

from decoder.leaves import Node
from decoder.schema_types import definition


def with_names_of(writer: Node, reader: Node) -> Node:
    """Return the reader with its fields named as the writer's where it has those names as aliases."""
    made = copy.deepcopy(reader)
    _rename(writer, made, writer.get("__named_schemas", {}), made.get("__named_schemas", {}), set())
    return made


def _rename(
    old: Node, new: Node, writers: Mapping[str, Node], readers: Mapping[str, Node], seen: set[tuple[int, int]]
) -> None:
    old, new = definition(old, writers), definition(new, readers)
    if isinstance(old, list) and isinstance(new, list):
        for one, other in zip(old, new, strict=False):
            _rename(one, other, writers, readers, seen)
    if not isinstance(old, dict) or not isinstance(new, dict) or (id(old), id(new)) in seen:
        return
    seen.add((id(old), id(new)))
    for part in ("items", "values"):
        if part in old and part in new:
            _rename(old[part], new[part], writers, readers, seen)
    fields = {field["name"]: field for field in old.get("fields", ())}
    taken = {field["name"] for field in new.get("fields", ())}
    for field in new.get("fields", ()):
        if field["name"] not in fields:
            aliases = (alias for alias in field.get("aliases", ()) if alias in fields and alias not in taken)
            field["name"] = next(aliases, field["name"])
            taken.add(field["name"])
        if field["name"] in fields:
            _rename(fields[field["name"]]["type"], field["type"], writers, readers, seen)
