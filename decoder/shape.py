"""What a reading schema's values can cost at most, known before any bytes: the lint of every schema."""

from math import inf

import msgspec

from decoder.leaves import Node
from decoder.limits import MAX_SCHEMA_VALUES, Limits
from decoder.schema_types import IncompatibleError

_LEAST = {"null": 0, "float": 4, "double": 8, "array": 1}
# Records are measured from the inside out, so few schemas need a third pass.
_MAX_PASSES = 20


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
    """The shapes of all types in one reading schema.

    Raises:
        IncompatibleError: a schema that is unsafe to read bytes with. A record must hold another of itself,
            items take no bytes (ten would claim any number of them), or its values are too many.
    """

    def __init__(self, root: Node) -> None:
        self._least: dict[int, float] = {}
        self._records: dict[int, Shape | None] = {}
        self._measure(root)
        self.root = self.of(root)

    def of(self, node: Node) -> Shape:
        """Return a type's shape."""
        if isinstance(node, list):
            branches = [self.of(branch) for branch in node]
            return self._shape(node, max((branch.values for branch in branches), default=0), branches)
        kind = node["type"] if isinstance(node, dict) else node
        if kind == "record":
            return self._record(node)
        if kind == "array":
            item = self.of(node["items"])
            if item.bytes == 0:
                raise IncompatibleError("", "an array of items that take no bytes")
            shape = self._shape(node, 1, [item])
            return msgspec.structs.replace(shape, per_byte=max(shape.per_byte, item.values / item.bytes))
        return self._shape(node, 1, [])

    def _record(self, node: Node) -> Shape:
        if id(node) in self._records:
            # None: the record is inside itself, and the walk counts it.
            return self._records[id(node)] or Shape(self._bytes(node), 0, 0, recursive=True)
        self._records[id(node)] = None
        fields = [self.of(field["type"]) for field in node["fields"]]
        values = 1 + node.get("defaults", 0) + sum(field.values for field in fields)
        if values > MAX_SCHEMA_VALUES:
            raise IncompatibleError("", f"a record of more than {MAX_SCHEMA_VALUES:,} values")
        shape = self._records[id(node)] = self._shape(node, values, fields)
        return shape

    def _shape(self, node: Node, values: int, parts: list[Shape]) -> Shape:
        return Shape(
            self._bytes(node),
            values,
            max((part.per_byte for part in parts), default=0),
            recursive=any(part.recursive for part in parts),
        )

    def _measure(self, root: Node) -> None:
        """Find the fewest bytes of each record: no number at first, and less with each pass."""
        records: list[Node] = []
        _collect(root, records, set())
        self._least = {id(record): inf for record in records}
        for _ in range(_MAX_PASSES):
            before = dict(self._least)
            for record in records:
                self._least[id(record)] = sum(self._bytes(field["type"]) for field in record["fields"])
            if self._least == before:
                break
        else:
            raise IncompatibleError("", "its types hold one another in too many ways")
        if self._least[id(root)] == inf:
            endless = next(record for record in records if self._least[id(record)] == inf)
            raise IncompatibleError("", f"a {endless['name']} that must hold another has no end")

    def _bytes(self, node: Node) -> float:
        if isinstance(node, list):
            if not list.__len__(node):
                raise IncompatibleError("", "a union of nothing")
            return 1 + min(self._bytes(branch) for branch in node)
        kind = node["type"] if isinstance(node, dict) else node
        if kind == "record":
            return self._least[id(node)]
        return float(node["size"]) if kind == "fixed" else _LEAST.get(kind, 1)


def _collect(node: Node, records: list[Node], seen: set[int]) -> None:
    """List the records of a schema, those inside others before them."""
    if isinstance(node, list):
        for branch in node:
            _collect(branch, records, seen)
    elif isinstance(node, dict) and node["type"] == "array":
        _collect(node["items"], records, seen)
    elif isinstance(node, dict) and node["type"] == "record" and id(node) not in seen:
        seen.add(id(node))
        for field in node["fields"]:
            _collect(field["type"], records, seen)
        records.append(node)
