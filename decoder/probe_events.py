"""Events of a schema made at random, as bytes; the seed is always the same.

Plausible values come first, so that an example looks like an event. Short and odd ones follow: the bytes of
another schema are valid as those more often.
"""

import struct
from collections.abc import Callable, Mapping
from random import Random
from string import ascii_lowercase
from uuid import UUID

from decoder.leaves import Node, logical_type
from decoder.sample_values import height_of, heights_of
from decoder.schema_types import definition, kind_of

PLAUSIBLE = 100
_DEPTH = 5
# Records, items and entries of one event; past them arrays are empty and unions end what holds itself.
_BUDGET = 200
_UUID_BYTES = 16
# Of each type of number the most bits; of dates and times the plausible values, and the first past the last.
_BITS = {"int": 31, "long": 63}
_DAYS = range(18_262, 20_454)  # 2020 to 2025
_DAY_S = 86_400
_RANGES: Mapping[str, tuple[range, int]] = {
    "date": (_DAYS, 2**21),
    "time-millis": (range(_DAY_S * 10**3), _DAY_S * 10**3),
    "time-micros": (range(_DAY_S * 10**6), _DAY_S * 10**6),
    **{
        f"{zone}timestamp-{unit}": (range(_DAYS.start * _DAY_S * second, _DAYS.stop * _DAY_S * second), end)
        for zone in ("", "local-")
        for unit, second, end in (("millis", 10**3, 2**47), ("micros", 10**6, 2**57), ("nanos", 10**9, 2**63))
    },
}


class EventMaker:
    """Makes the bytes of events of one schema; `event(n)` draws the nth symbol of each enum, now and then."""

    def __init__(self, schema: Node) -> None:
        self._schema = schema
        self._names: Mapping[str, Node] = schema.get("__named_schemas", {})
        self._heights = heights_of(schema, self._names)
        self._rng = Random(0)  # noqa: S311 - samples, not secrets
        self._number = 0
        self._left = _BUDGET

    def event(self, number: int) -> bytes:
        """Return the bytes of one event."""
        self._number, self._left = number, _BUDGET
        return self._value(self._schema, 0)

    def _chance(self, of_one: float) -> bool:
        return self._rng.random() < of_one

    @property
    def _is_plausible(self) -> bool:
        return self._number < PLAUSIBLE

    def _value(self, node: Node, depth: int) -> bytes:
        node = definition(node, self._names)
        kind = kind_of(node)
        if kind == "union":
            index = self._shallow(node) if self._is_deep(depth) else self._index(len(node))
            return _long(index) + self._value(node[index], depth)
        if kind in ("record", "error"):
            self._left -= 1
            return b"".join(self._value(field["type"], depth + 1) for field in node["fields"])
        if kind in ("array", "map"):
            return self._block(node, depth)
        return self._leaf(node, kind)

    def _index(self, count: int) -> int:
        return self._number % count if self._chance(0.5) else self._rng.randrange(count)

    def _is_deep(self, depth: int) -> bool:
        return depth >= _DEPTH or self._left <= 0

    def _shallow(self, union: Node) -> int:
        heights = [height_of(branch, self._names, self._heights) for branch in union]
        return heights.index(min(heights))

    def _block(self, node: Node, depth: int) -> bytes:
        count = 0 if self._is_deep(depth) else self._rng.randrange(4)
        if not count:
            return b"\0"
        self._left -= count
        part = node["items"] if kind_of(node) == "array" else node["values"]
        keys = [_sized(bytes([ord("a") + n])) if kind_of(node) == "map" else b"" for n in range(count)]
        return _long(count) + b"".join(key + self._value(part, depth + 1) for key in keys) + b"\0"

    def _leaf(self, node: Node, kind: str) -> bytes:
        logical = logical_type(node)
        if logical and logical[0] == "decimal":
            return self._decimal(node, kind, logical[1])
        if logical and kind == "string":
            return _sized(str(UUID(bytes=self._rng.randbytes(_UUID_BYTES))).encode())
        if kind in _BITS:
            return _long(self._moment(*_RANGES[logical[0]]) if logical else self._integer(kind))
        if kind == "fixed":
            return self._rng.randbytes(node["size"])
        makes: Mapping[str, Callable[[], bytes]] = {
            "null": lambda: b"",
            "boolean": lambda: bytes([self._index(2)]),
            "enum": lambda: _long(self._index(max(1, len(node["symbols"])))),  # no symbol is in none
            "float": lambda: self._number_of("<f"),
            "double": lambda: self._number_of("<d"),
            "string": lambda: _sized(self._text()),
            "bytes": lambda: _sized(self._text()),
        }
        return makes[kind]()

    def _moment(self, plausible: range, end: int) -> int:
        if self._is_plausible or self._chance(0.3):
            return self._rng.choice(plausible)
        return self._rng.randrange(end if self._chance(0.5) else 64)

    def _integer(self, kind: str) -> int:
        rng = self._rng
        if self._is_plausible:
            return rng.randrange(1, 1_000)
        if self._chance(0.5):
            return rng.randrange(-3, 20)
        size = rng.getrandbits(rng.randint(1, _BITS[kind]))
        return size if self._chance(0.8) else -size

    def _number_of(self, form: str) -> bytes:
        if self._is_plausible or self._chance(0.2):
            return struct.pack(form, self._rng.randrange(1, 1_000) / 4)
        return self._rng.randbytes(struct.calcsize(form))

    def _text(self) -> bytes:
        letters = ascii_lowercase if self._is_plausible or self._chance(0.3) else "".join(map(chr, range(32)))
        size = (
            self._rng.randint(1, 10)
            if self._is_plausible
            else self._rng.choice((0, 1, 1, 2, 2, 3, 4, 7, 8, 15, 16))
        )
        return "".join(self._rng.choice(letters) for _ in range(size)).encode()

    def _decimal(self, node: Node, kind: str, precision: int) -> bytes:
        unscaled = self._rng.randrange(10 ** (precision if self._chance(0.3) else min(precision, 6)))
        if kind == "fixed":
            limit = 2 ** (8 * node["size"] - 1)
            return int(unscaled % limit).to_bytes(node["size"], "big", signed=True) if node["size"] else b""
        return _sized(unscaled.to_bytes(unscaled.bit_length() // 8 + 1, "big", signed=True))


def _sized(content: bytes) -> bytes:
    return _long(len(content)) + content


def _long(number: int) -> bytes:
    left = ((number << 1) ^ (number >> 63)) & (2**64 - 1)
    out = bytearray()
    while left > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*out, left])
