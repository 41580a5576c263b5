"""Defaults of a reader's fields: JSON in a schema → the value that an event has.

https://avro.apache.org/docs/1.12.0/specification/#complex-types (field default values)
"""

from collections.abc import Mapping

from decoder.leaves import Node, converted, leaf
from decoder.schema_types import IncompatibleError, branch_name, definition, describe, is_ambiguous, kind_of

_Path = tuple[str, ...]


class Defaults:
    """The defaults of one reader's schema; `names` are its named types."""

    def __init__(self, names: Mapping[str, Node], non_finite: str) -> None:
        self._names = names
        self._non_finite = non_finite

    def of_field(self, field: Node, path: _Path) -> object:
        """Return what a field has that the writer lacks.

        Raises:
            IncompatibleError: it has no default, or one that is not of its type.
        """
        path = (*path, field["name"])
        if "default" not in field:
            raise IncompatibleError(".".join(path), "the writer has no such field, and it has no default")
        try:
            return self._value(field["type"], field["default"], path)
        except RecursionError as error:
            raise IncompatibleError(
                ".".join(path[:3]), "the default has no end: its type holds itself, with the same default"
            ) from error

    def _value(self, schema: Node, default: object, path: _Path) -> object:
        schema = definition(schema, self._names)
        if isinstance(schema, list):
            return self._branch(schema, default, path)
        if not _fits(schema, default):
            raise IncompatibleError(".".join(path), f"the default {default!r} is no {describe(schema)}")
        if isinstance(default, dict):
            return self._object(schema, default, path)
        if isinstance(default, list):
            return [self._value(schema["items"], value, path) for value in default]
        return self._leaf(schema, default, path)

    def _branch(self, union: Node, default: object, path: _Path) -> object:
        branch = next((b for b in union if _fits(definition(b, self._names), default)), None)
        if branch is None:
            raise IncompatibleError(".".join(path), f"the default {default!r} is of no branch")
        value = self._value(branch, default, path)
        named = default is not None and is_ambiguous(union, self._names)
        return {branch_name(definition(branch, self._names)): value} if named else value

    def _object(self, schema: Node, default: dict[str, object], path: _Path) -> object:
        if kind_of(schema) == "map":
            return {key: self._value(schema["values"], value, path) for key, value in default.items()}
        return {
            field["name"]: self._value(field["type"], default[field["name"]], (*path, field["name"]))
            if field["name"] in default
            else self.of_field(field, path)
            for field in schema["fields"]
        }

    def _leaf(self, schema: Node, default: object, path: _Path) -> object:
        kind = kind_of(schema)
        if kind in ("enum", "boolean", "null"):
            return default
        if isinstance(default, str) and kind in ("bytes", "fixed"):
            default = default.encode("latin-1")
        elif isinstance(default, int) and kind in ("float", "double"):
            default = float(default)
        try:
            return converted(default, leaf(schema, self._non_finite))
        except (ValueError, OverflowError) as error:
            raise IncompatibleError(".".join(path), f"the default {default!r}: {error}") from error


def _fits(schema: Node, default: object) -> bool:
    """Return whether a default in a schema's JSON is of a type."""
    kind, is_number = kind_of(schema), isinstance(default, int | float) and not isinstance(default, bool)
    if kind == "enum":
        return default in schema["symbols"]
    if kind in ("float", "double"):
        return is_number
    if kind in ("int", "long"):
        return is_number and isinstance(default, int) and -(2**63) <= default < 2**63
    types = {"null": type(None), "boolean": bool, "array": list, "map": dict, "record": dict, "error": dict}
    if not isinstance(default, types.get(kind, str)):
        return False
    if kind in ("bytes", "fixed") and isinstance(default, str):
        fixed = kind == "fixed" and len(default) != schema["size"]
        return not fixed and all(ord(character) < 256 for character in default)  # noqa: PLR2004 - a byte
    return True


def count_of(value: object) -> int:
    """Return how many values a default is."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(count_of, parts))
