"""The exact walk: bytes under a reading schema, held to the specification and to limits; no event is made.

It is slow (docs/performance.md), so it is for what fastavro's reader cannot be trusted with
(docs/security.md) and for telling where bytes that fastavro refused are wrong.
https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
"""

import struct
from collections.abc import Callable, Mapping

from fastavro.read import LOGICAL_READERS

from decoder.binary import WalkError, read_bytes, read_long, read_sized, read_text
from decoder.leaves import Node
from decoder.limits import Limits
from decoder.shape import Shape, Shapes

_SIZES = {"float": 4, "double": 8}


class _State:
    """What is left of the limits."""

    __slots__ = ("depth", "limits", "values")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.values = limits.values
        self.depth = 0

    def take(self, values: int, at: int) -> None:
        self.values -= values
        if self.values < 0:
            raise WalkError(at, f"the event has more than {self.limits.values:,} values", over=True)

    def enter(self, at: int) -> None:
        self.depth += 1
        if self.depth > self.limits.depth:
            raise WalkError(at, f"the event is nested more than {self.limits.depth} deep", over=True)


# (bytes, where a value begins, state) → where it ends
_Walk = Callable[[bytes, int, _State], int]


class Walker:
    """The walk under one reading schema."""

    def __init__(self, root: Node, shapes: Shapes) -> None:
        self._shapes = shapes
        self._records: dict[int, _Walk] = {}
        self._root = self._walk(root)

    def __call__(self, data: bytes, at: int, limits: Limits) -> int:
        """Return where the event ends that begins at byte `at`.

        Raises:
            WalkError: there is none, or it is over a limit.
        """
        return self._root(data, at, _State(limits))

    def _walk(self, node: Node) -> _Walk:
        if isinstance(node, list):
            return _union([self._walk(branch) for branch in node])
        kind = node["type"] if isinstance(node, dict) else node
        if kind == "record":
            return self._records.get(id(node)) or self._record(node)
        if kind == "array":
            item = self._shapes.of(node["items"])
            if node.get("logicalType") == "entries":
                return _map(self._walk(node["items"]["fields"][1]["type"]), item)
            return _array(self._walk(node["items"]), item)
        return _leaf(node, kind)

    def _record(self, node: Node) -> _Walk:
        fields: list[tuple[str, _Walk]] = []
        shape = self._shapes.of(node)
        values = shape.values if shape.recursive else 0

        def walk(data: bytes, at: int, state: _State) -> int:
            state.enter(at)
            if values:
                state.take(values, at)
            name = ""
            try:
                for name, field in fields:  # noqa: B007 - for the error's path
                    at = field(data, at, state)
            except WalkError as error:
                error.path.insert(0, name)
                raise
            state.depth -= 1
            return at

        self._records[id(node)] = walk  # before its fields: one of them may be the record itself
        fields += [(field["name"], self._walk(field["type"])) for field in node["fields"]]
        return walk


def _array(item: _Walk, shape: Shape) -> _Walk:
    def walk(data: bytes, at: int, state: _State) -> int:
        state.enter(at)
        index = -1
        count, at, end = _block(data, at)
        while count:
            _take(state, count, shape, data, at)
            try:
                for _ in range(count):
                    index += 1
                    at = item(data, at, state)
            except WalkError as error:
                error.path.insert(0, f"[{index}]")
                raise
            _check_end(at, end)
            count, at, end = _block(data, at)
        state.depth -= 1
        return at

    return walk


def _map(value: _Walk, shape: Shape) -> _Walk:
    def walk(data: bytes, at: int, state: _State) -> int:
        state.enter(at)
        keys: set[str] = set()
        count, at, end = _block(data, at)
        while count:
            _take(state, count, shape, data, at)
            for _ in range(count):
                start = at
                key, at = read_text(data, at)
                if key in keys:
                    raise WalkError(start, f"the key {key[:50]!r} of the map is there twice")
                keys.add(key)
                try:
                    at = value(data, at, state)
                except WalkError as error:
                    error.path.insert(0, f"[{key[:50]!r}]")
                    raise
            _check_end(at, end)
            count, at, end = _block(data, at)
        state.depth -= 1
        return at

    return walk


def _take(state: _State, count: int, shape: Shape, data: bytes, at: int) -> None:
    if count * min(shape.bytes, 2) > len(data) - at:  # a type inside itself is of unknown size, two at least
        raise WalkError(at, f"{count} items are to follow, {len(data) - at} bytes do")
    state.take(1 + count * shape.values, at)


def _block(data: bytes, at: int) -> tuple[int, int, int | None]:
    """Return how many items the block has, where they begin, and where they end where it says so."""
    count, at = read_long(data, at)
    if count >= 0:
        return count, at, None
    size, at = read_long(data, at)
    if size < 0:
        raise WalkError(at, f"a block of {size} bytes")
    return -count, at, at + size


def _check_end(at: int, end: int | None) -> None:
    if end is not None and at != end:
        raise WalkError(at, f"a block ends here and says that it ends at byte {end}")


def _union(branches: list[_Walk]) -> _Walk:
    def walk(data: bytes, at: int, state: _State) -> int:
        index, start = read_long(data, at)
        if not 0 <= index < len(branches):
            raise WalkError(at, f"branch {index} of a union that has {len(branches)}")
        return branches[index](data, start, state)

    return walk


def _leaf(node: Node, kind: str) -> _Walk:
    """Return the walk of a value without parts; what it is converted with is what checks it."""
    if kind == "enum":
        return _enum(node["symbols"])
    size = node["size"] if kind == "fixed" else _SIZES.get(kind, 0)
    read = _READS.get(kind) or (lambda data, at: read_sized(data, at, size))
    logical = f"{kind}-{node.get('logicalType')}" if isinstance(node, dict) else ""
    convert = LOGICAL_READERS.get(logical)

    def walk(data: bytes, at: int, _: _State) -> int:
        value, end = read(data, at)
        if convert is not None:
            if kind in _SIZES:
                value = _number(data[at:end])
            try:
                convert(value, node, None)
            except OverflowError as error:
                raise WalkError(at, f"{value!r} is no {node['logicalType']}") from error
            except ValueError as error:
                raise WalkError(at, str(error)) from error
        return end

    return walk


def _enum(symbols: Mapping[int, str]) -> _Walk:
    def walk(data: bytes, at: int, _: _State) -> int:
        index, end = read_long(data, at)
        if index not in symbols:
            raise WalkError(at, f"symbol {index} of an enum, which its reader does not have")
        return end

    return walk


def _number(data: bytes) -> float:
    number: float = struct.unpack("<f" if len(data) == _SIZES["float"] else "<d", data)[0]
    return number


_READS: Mapping[str, Callable[[bytes, int], tuple[object, int]]] = {
    "int": read_long,
    "long": read_long,
    "string": read_text,
    "bytes": read_bytes,
    "null": lambda _, at: (None, at),
}
