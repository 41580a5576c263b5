"""An event's JSON, as in docs/values.md → what Avro writes: records, arrays, maps and unions.

The result is for fastavro and a schema without logical types. The value of a union is a pair with the name of
its branch, so that fastavro does not have to guess the branch.
"""

import struct
from collections.abc import Mapping

import msgspec

from decoder.defaults import Defaults
from decoder.leaves import Node, converted, leaf
from decoder.physical import EncodeError, physical, shown
from decoder.schema_types import IncompatibleError, branch_name, definition, describe, is_ambiguous, kind_of


class JsonReader:
    """Reads the JSON of one type's events."""

    def __init__(self, schema: Node, non_finite: str) -> None:
        self._schema = schema
        self._names: Mapping[str, Node] = schema.get("__named_schemas", {})
        self._non_finite = non_finite
        self._defaults = Defaults(self._names, non_finite)

    def event(self, value: Mapping[str, object]) -> dict[str, object]:
        """Return what fastavro writes for an event's JSON.

        Raises:
            EncodeError: it is not an event of the schema.
        """
        return self._record(self._schema, value)

    def _value(self, schema: Node, value: object) -> object:
        schema = definition(schema, self._names)
        kind = kind_of(schema)
        if kind == "union":
            return self._union(schema, value)
        if kind in ("record", "error"):
            return self._record(schema, value)
        if kind == "array":
            if not isinstance(value, list | tuple):
                raise EncodeError(f"{shown(value)} is not an array")
            return [self._part(schema["items"], item, f"[{index}]") for index, item in enumerate(value)]
        if kind == "map":
            items = _object(value, "a map").items()
            return {key: self._part(schema["values"], item, f"[{key!r}]") for key, item in items}
        return physical(schema, value, self._non_finite)

    def _part(self, schema: Node, value: object, name: str) -> object:
        try:
            return self._value(schema, value)
        except EncodeError as error:
            error.path.insert(0, name)
            raise

    def _record(self, schema: Node, value: object) -> dict[str, object]:
        event = _object(value, describe(schema))
        fields = {field["name"]: field for field in schema["fields"]}
        unknown = [str(name) for name in event if name not in fields]
        if unknown:
            raise EncodeError(
                f"{describe(schema)} has no field {', '.join(unknown)}; it has {', '.join(fields)}"
            )
        return {
            name: self._part(field["type"], event[name], name) if name in event else self._default(field)
            for name, field in fields.items()
        }

    def _default(self, field: Node) -> object:
        name = field["name"]
        if "default" not in field:
            error = EncodeError("missing, and the schema has no default for it")
            error.path = [name]
            raise error
        try:
            default = self._defaults.of_field(field, ())
        except IncompatibleError as problem:
            raise EncodeError(str(problem)) from problem
        return self._part(field["type"], msgspec.to_builtins(default), name)

    def _union(self, schema: Node, value: object) -> object:
        branches = {branch_name(definition(branch, self._names)): branch for branch in schema}
        if value is None and "null" in branches:
            return ("null", None)
        if is_ambiguous(schema, self._names):
            return self._labelled(branches, value)
        others = {name: branch for name, branch in branches.items() if name != "null"}
        failures: list[EncodeError] = []
        inexact: list[tuple[str, object]] = []
        for name, branch in others.items():
            try:
                made = self._value(branch, value)
            except EncodeError as error:
                failures.append(error)
                continue
            if len(others) == 1 or self._is_exact(branch, made, value):
                return (name, made)
            inexact.append((name, made))
        if inexact:
            return inexact[0]
        # The branch that matched furthest has the most useful error.
        furthest = max(failures, key=lambda error: len(error.path), default=None)
        if furthest is not None and (furthest.path or len(failures) == 1):
            raise furthest
        raise EncodeError(f"{shown(value)} matches no branch of {describe(schema)}")

    def _is_exact(self, branch: Node, made: object, value: object) -> bool:
        """Return whether a branch decodes to the same JSON: "2024-02-29" may be a date or a string."""
        branch = definition(branch, self._names)
        kind = kind_of(branch)
        if isinstance(value, str) and kind != "enum":
            return bool(msgspec.to_builtins(converted(made, leaf(branch, self._non_finite))) == value)
        if isinstance(value, float) and kind == "float":
            return bool(struct.unpack("<f", struct.pack("<f", value))[0] == value)
        return kind not in ("float", "double") or isinstance(value, float)

    def _labelled(self, branches: Mapping[str, Node], value: object) -> object:
        labels = [name for name in branches if name != "null"]
        if not isinstance(value, Mapping) or len(value) != 1 or next(iter(value)) not in labels:
            raise EncodeError(
                f'{shown(value)} does not name its branch: write {{"{labels[0]}": …}}, of {", ".join(labels)}'
            )
        ((name, inner),) = value.items()
        return (name, self._part(branches[name], inner, name))


def _object(value: object, what: str) -> Mapping[str, object]:
    if isinstance(value, Mapping):
        return value
    raise EncodeError(f"{shown(value)} is not an object, which {what} needs")
