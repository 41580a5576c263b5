"""Schemas made at random, and values of them as bytes: valid, spoiled, and of no schema at all."""

import copy
import io
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import fastavro
from fastavro.types import Schema

_PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
_LOGICAL = (
    ("int", "date"),
    ("int", "time-millis"),
    ("long", "time-micros"),
    ("long", "timestamp-millis"),
    ("long", "timestamp-micros"),
    ("long", "local-timestamp-micros"),
    ("string", "uuid"),
)
_LONGS = (0, 1, -1, 63, 64, -64, -65, 2**31 - 1, -(2**31), 2**31, 2**53 + 1, 2**63 - 1, -(2**63))
_DEPTH = 4
# What stands where it should not in a schema that is spoiled.
_KEYS = (
    *("type", "name", "fields", "items", "values", "symbols", "size", "default", "aliases", "logicalType"),
    *("precision", "scale", "__fastavro_parsed", "__named_schemas"),
)
_JUNK: tuple[object, ...] = (
    *(None, 0, -1, 1.5, True, 10**30, "", "x", "1a", "a.b", "N0", "N1", [], {}, [[]], [{}], ["null", "null"]),
    *("record", "enum", "array", "map", "fixed", "union", "error", "int", "decimal", {"type": ["null"]}),
    *({"type": kind} for kind in ("record", "enum", {"type": "int"})),
    {"type": "fixed", "name": "F", "size": 2**70},
    {"type": "bytes", "logicalType": "decimal", "precision": -1},
    {"type": "int", "logicalType": {}},
    {"type": "array", "items": []},
)


class SchemaMaker:
    """Makes a record of some fields; names are never used twice."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._names: list[str] = []

    def record(self) -> Schema:
        """Return a parsed record."""
        return fastavro.parse_schema(self._record(0))

    def _record(self, depth: int) -> dict[str, object]:
        name = self._name()
        count = self._rng.randint(1, 5 if depth == 0 else 3)
        fields = [{"name": f"f{n}", "type": self._type(depth + 1)} for n in range(count)]
        self._names.append(name)
        return {"type": "record", "name": name, "fields": fields}

    def _type(self, depth: int) -> object:
        rng = self._rng
        if depth >= _DEPTH or rng.random() < 0.4:
            return rng.choice((*_PRIMITIVES, self._logical(), self._decimal()))
        kinds: tuple[Callable[[int], object], ...] = (self._array, self._map, self._union, self._record)
        kinds += (self._enum, self._fixed, self._named)
        return rng.choice(kinds)(depth)

    def _logical(self) -> dict[str, object]:
        kind, logical = self._rng.choice(_LOGICAL)
        return {"type": kind, "logicalType": logical}

    def _decimal(self) -> dict[str, object]:
        precision = self._rng.randint(1, 40)
        scale = self._rng.randint(0, precision)
        return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}

    def _array(self, depth: int) -> dict[str, object]:
        return {"type": "array", "items": self._type(depth + 1)}

    def _map(self, depth: int) -> dict[str, object]:
        return {"type": "map", "values": self._type(depth + 1)}

    def _union(self, depth: int) -> list[object]:
        branches: list[object] = self._rng.sample(_PRIMITIVES, self._rng.randint(1, 3))
        return [*branches, self._record(depth)] if self._rng.random() < 0.5 else branches

    def _enum(self, _: int) -> dict[str, object]:
        return {"type": "enum", "name": self._name(), "symbols": ["A", "B", "C"]}

    def _fixed(self, _: int) -> dict[str, object]:
        return {"type": "fixed", "name": self._name(), "size": self._rng.randint(0, 9)}

    def _named(self, depth: int) -> object:
        return self._rng.choice(self._names) if self._names else self._type(depth)

    def _name(self) -> str:
        return f"N{self._rng.getrandbits(48):x}"


def bytes_of(schema: Schema, rng: Random) -> bytes:
    """Return the bytes of a value, made by walking the schema; strings may be no UTF-8, dates no dates."""
    out = io.BytesIO()
    names = schema.get("__named_schemas", {}) if isinstance(schema, dict) else {}
    _write(schema, rng, out, names, 0)
    return out.getvalue()


def spoiled(value: bytes, rng: Random) -> bytes:
    """Return the bytes with something changed, put in or left out, or more behind them."""
    data = bytearray(value)
    for _ in range(rng.randint(0, 3)):
        at = rng.randrange(len(data) + 1)
        junk = rng.choice(
            (rng.randbytes(rng.randint(1, 4)), b"\x80\x00", b"\xff" * rng.randint(1, 12), b"\x01")
        )
        data[at : at + rng.choice((0, len(junk)))] = junk
    return bytes(data[: rng.randrange(len(data) + 1)] if data and rng.random() < 0.1 else data)


def spoiled_schema(schema: Schema, rng: Random) -> object:
    """Return a schema's JSON with parts of it changed, put in or left out: mostly it is none any more."""
    made: object = {name: part for name, part in dict(schema).items() if not name.startswith("__")}  # type: ignore[arg-type] # a record
    made = copy.deepcopy(made)
    for _ in range(rng.randint(1, 3)):
        place, key = rng.choice(list(_places(made)))
        way = rng.random()
        if isinstance(place, dict) and way < 0.3:
            place[rng.choice(_KEYS)] = copy.deepcopy(rng.choice(_JUNK))
        elif way < 0.8:
            place[key] = copy.deepcopy(rng.choice(_JUNK))
        else:
            del place[key]
    return made


def _places(part: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 - JSON
    """Yield what holds something, and under which key or index, at every depth."""
    for key in list(part) if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ():
        yield part, key
        yield from _places(part[key])


def long(number: int) -> bytes:
    """Return a number as Avro writes it."""
    left = ((number << 1) ^ (number >> 63)) & (2**64 - 1)
    out = bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*out, left])


def _write(schema: Schema, rng: Random, out: io.BytesIO, names: dict[str, Schema], depth: int) -> None:
    if isinstance(schema, str) and schema in names:
        schema = names[schema]
    if isinstance(schema, list):
        branch = rng.randrange(len(schema))
        out.write(long(branch))
        _write(schema[branch], rng, out, names, depth)
        return
    kind = schema["type"] if isinstance(schema, dict) else schema
    if isinstance(schema, dict) and kind == "record":
        for field in schema["fields"]:
            _write(field["type"], rng, out, names, depth + 1)
    elif isinstance(schema, dict) and kind in ("array", "map"):
        for _ in range(rng.randint(0, 2)):
            count = rng.randint(1, 3 if depth < _DEPTH else 1)
            out.write(long(count))
            for _ in range(count):
                if kind == "map":
                    out.write(_text(rng))
                _write(schema["items" if kind == "array" else "values"], rng, out, names, depth + 1)
        out.write(long(0))
    else:
        out.write(_leaf(kind, schema, rng))


def _leaf(kind: str, schema: Schema, rng: Random) -> bytes:
    if isinstance(schema, dict) and kind == "fixed":
        return rng.randbytes(schema["size"])
    if isinstance(schema, dict) and schema.get("logicalType") == "uuid" and rng.random() < 0.9:
        return long(36) + b"6d6d2c1e-5d1c-4b0a-9d55-0d7a4f0c2b11"
    if kind in ("int", "long") and isinstance(schema, dict) and rng.random() < 0.9:
        return long(rng.randrange(80_000))
    if kind == "int":
        return long(rng.choice(_LONGS[:9]))
    sized = {"null": 0, "float": 4, "double": 8}
    ways: dict[str, Callable[[], bytes]] = {
        "boolean": lambda: bytes([rng.randrange(2)]),
        "long": lambda: long(rng.choice(_LONGS)),
        "bytes": lambda: _sized(rng.randbytes(rng.randint(0, 9))),
        "string": lambda: _text(rng),
        "enum": lambda: long(rng.randrange(3)),
    }
    return ways[kind]() if kind in ways else rng.randbytes(sized[kind])


def _text(rng: Random) -> bytes:
    return _sized(
        rng.choice((b"", b"a", b"k\xc3\xb6ln", "Θάλεια".encode(), "配送先住所".encode(), b"x" * 70))
    )


def _sized(content: bytes) -> bytes:
    return long(len(content)) + content
