"""What a reading schema's values can cost at most, known before any bytes: the lint of every schema."""

from math import inf

import msgspec

from decoder.leaves import Node
from decoder.limits import MAX_SCHEMA_VALUES, Limits
from decoder.schema_types import IncompatibleError

_LEAST = {"null": 0, "float": 4, "double": 8, "record": 0, "array": 1}


class Shape(msgspec.Struct, frozen=True):
    """What a type's values take.

    The fewest `bytes`, the most `values` beside those in arrays and maps, the most `per_byte` in those, and
    whether one can hold another of its own type.
    """

    bytes: float
    values: int
    per_byte: float
    recursive: bool

    def safe_bytes(self, limits: Limits) -> int:
        """Return the size up to which no value can be over the limits; deeper than a schema none is."""
        if self.recursive or self.values > limits.values:
            return 0
        return int((limits.values - self.values) / self.per_byte) if self.per_byte else limits.bytes


class Shapes:
    """The shapes in one reading schema.

    Raises:
        IncompatibleError: from `of`, a schema that is unsafe to read bytes with: a record that must hold
        itself,     items without bytes (ten bytes would claim any number of them), a decimal of too many
        digits.
    """

    def __init__(self) -> None:
        self._records: dict[int, Shape | None] = {}

    def of(self, node: Node) -> Shape:
        """Return a type's shape."""
        if isinstance(node, list):
            return self._union([self.of(branch) for branch in node])
        kind = node["type"] if isinstance(node, dict) else node
        if kind == "record":
            return self._record(node)
        if kind == "array":
            return self._array(node)
        if kind == "fixed":
            return Shape(node["size"], 1, 0, recursive=False)
        return Shape(_LEAST.get(kind, 1), 1, 0, recursive=False)

    def _union(self, branches: list[Shape]) -> Shape:
        if not branches:
            raise IncompatibleError("", "a union of nothing")
        return Shape(
            1 + min(branch.bytes for branch in branches),
            max(branch.values for branch in branches),
            max(branch.per_byte for branch in branches),
            recursive=any(branch.recursive for branch in branches),
        )

    def _record(self, node: Node) -> Shape:
        if id(node) in self._records:
            # None: the record is inside itself, and the walk counts it.
            return self._records[id(node)] or Shape(inf, 0, 0, recursive=True)
        self._records[id(node)] = None
        fields = [self.of(field["type"]) for field in node["fields"]]
        shape = Shape(
            sum(field.bytes for field in fields),
            1 + node.get("defaults", 0) + sum(field.values for field in fields),
            max((field.per_byte for field in fields), default=0),
            recursive=any(field.recursive for field in fields),
        )
        del self._records[id(node)]
        if shape.values > MAX_SCHEMA_VALUES:
            raise IncompatibleError("", f"a record of more than {MAX_SCHEMA_VALUES:,} values")
        if shape.bytes < inf:  # otherwise it was measured inside itself
            self._records[id(node)] = shape
        elif not any(other is None for other in self._records.values()):
            raise IncompatibleError("", f"a {node['name']} that must hold another has no end")
        return shape

    def _array(self, node: Node) -> Shape:
        item = self.of(node["items"])
        if item.bytes == 0:
            raise IncompatibleError("", "an array of items that take no bytes")
        return Shape(1, 1, max(item.per_byte, item.values / max(item.bytes, 1)), recursive=item.recursive)
