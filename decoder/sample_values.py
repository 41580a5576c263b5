"""A schema → the JSON of a random event, as in docs/values.md: in time every branch and every symbol.

Numbers, dates and strings have plausible sizes. Recursive types end at a depth.
"""

import base64
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from math import inf
from random import Random
from uuid import UUID

from decoder.leaves import Node, logical_type
from decoder.physical import EncodeError
from decoder.schema_types import NAMED, branch_name, definition, is_ambiguous, kind_of

_WORDS = ("blue", "café", "express", "north", "Θάλεια", "small", "two words", "")
_NON_FINITE_SHARE = 0.005
_DURATION_BYTES = 12
# Most decimals have up to this many digits before the point: prices and weights.
_WHOLE_DIGITS = 4


class ValueMaker:
    """Makes events of one schema; below `depth`, arrays and maps are empty and unions end recursion."""

    def __init__(self, root: Node, non_finite: str, depth: int) -> None:
        self._root = root
        self._names: Mapping[str, Node] = root.get("__named_schemas", {})
        self._with_nan = non_finite == "text"
        self._depth = depth
        self._heights = heights_of(root, self._names)

    def event(self, rng: Random, now: datetime) -> dict[str, object]:
        """Return an event's JSON; dates and times are within weeks of `now`, which is in UTC.

        Raises:
            EncodeError: there is none, since an enum has no symbols.
        """
        return self._record(self._root, rng, now, 0)

    def _record(self, schema: Node, rng: Random, now: datetime, depth: int) -> dict[str, object]:
        return {
            field["name"]: self._value(field["type"], rng, now, field["name"], depth + 1)
            for field in schema["fields"]
        }

    def _value(self, schema: Node, rng: Random, now: datetime, name: str, depth: int) -> object:
        schema = definition(schema, self._names)
        kind = kind_of(schema)
        if kind == "union":
            return self._branch(schema, rng, now, name, depth)
        if kind in ("record", "error"):
            return self._record(schema, rng, now, depth)
        if kind in ("array", "map"):
            count = 0 if depth >= self._depth else rng.randint(0, 3)
            part = schema["items" if kind == "array" else "values"]
            values = [self._value(part, rng, now, name, depth + 1) for _ in range(count)]
            if kind == "array":
                return values
            return {f"{name or 'key'}-{number}": value for number, value in enumerate(values, 1)}
        return self._leaf(schema, kind, rng, now, name)

    def _branch(self, union: Node, rng: Random, now: datetime, name: str, depth: int) -> object:
        branches = list(union)
        if depth >= self._depth:
            least = min(self._height(branch) for branch in branches)
            branches = [branch for branch in branches if self._height(branch) == least]
        branch = definition(rng.choice(branches), self._names)
        value = self._value(branch, rng, now, name, depth)
        if value is None or not is_ambiguous(union, self._names):
            return value
        return {branch_name(branch): value}

    def _height(self, schema: Node) -> float:
        return height_of(schema, self._names, self._heights)

    def _leaf(self, schema: Node, kind: str, rng: Random, now: datetime, name: str) -> object:
        logical = logical_type(schema)
        if logical is not None:
            return logical_value(schema, rng, _some_time(rng, now))
        if kind in ("float", "double"):
            if self._with_nan and rng.random() < _NON_FINITE_SHARE:
                return rng.choice(("NaN", "Infinity", "-Infinity"))
            return rng.randint(-40, 4_000) / 4 if kind == "float" else round(rng.uniform(-10, 1_000), 3)
        if kind == "fixed":
            return _base64(_duration(rng) if _is_duration(schema) else rng.randbytes(schema["size"]))
        if kind == "enum" and not schema["symbols"]:
            raise EncodeError(f"{schema['name']} has no symbols, so it has no value")
        if kind == "enum":
            return rng.choice(list(schema["symbols"]))
        return _PLAIN[kind](rng, name)


_PLAIN: Mapping[str, Callable[[Random, str], object]] = {
    "null": lambda _rng, _name: None,
    "boolean": lambda rng, _name: rng.random() < 0.5,  # noqa: PLR2004 - a coin
    "int": lambda rng, _name: rng.randint(-9, 1_000),
    "long": lambda rng, _name: rng.randint(-9, rng.choice((1_000, 10**6, 10**10))),
    "bytes": lambda rng, _name: _base64(rng.randbytes(rng.randint(0, 24))),
    "string": lambda rng, name: f"{name}-{rng.randint(1, 99)}" if rng.random() < 0.7 else rng.choice(_WORDS),  # noqa: PLR2004 - most
}


def logical_value(schema: Node, rng: Random, moment: datetime) -> str:
    """Return the JSON of a logical type's value; dates and times are those of `moment`, in UTC."""
    name = schema["logicalType"]
    if name == "decimal":
        return _decimal(schema, rng)
    if name == "uuid":
        return str(UUID(int=rng.getrandbits(128), version=4))
    if name == "date":
        return moment.date().isoformat()
    unit = name.rpartition("-")[2]
    micros = moment.microsecond // 1_000 * 1_000 if unit == "millis" else moment.microsecond
    moment = moment.replace(microsecond=micros)
    if name.startswith("time-"):
        return moment.time().isoformat()
    zone = "" if name.startswith("local-") else "Z"
    text = moment.replace(tzinfo=None).isoformat()
    if unit == "nanos":
        text = f"{text[:19]}.{micros:06}{rng.randrange(1_000):03}"
    return text + zone


def _decimal(schema: Node, rng: Random) -> str:
    precision, scale = schema["precision"], schema.get("scale", 0)
    digits = precision if rng.random() < 0.05 else min(precision, scale + _WHOLE_DIGITS)  # noqa: PLR2004 - a few
    limit = 10**digits
    if kind_of(schema) == "fixed":
        limit = min(limit, 1 << max(8 * schema["size"] - 1, 0))
    unscaled = str(rng.randrange(limit)).zfill(scale + 1)
    sign = "-" if rng.random() < 0.1 and unscaled.strip("0") else ""  # noqa: PLR2004 - a few
    return f"{sign}{unscaled[:-scale]}.{unscaled[-scale:]}" if scale else sign + unscaled


def _is_duration(schema: Node) -> bool:
    return bool(schema.get("logicalType") == "duration" and schema["size"] == _DURATION_BYTES)


def _duration(rng: Random) -> bytes:
    """Return months, days and milliseconds: https://avro.apache.org/docs/1.12.0/specification/#duration."""
    parts = (rng.randint(0, 24), rng.randint(0, 30), rng.randint(0, 86_400_000))
    return b"".join(part.to_bytes(4, "little") for part in parts)


def _some_time(rng: Random, now: datetime) -> datetime:
    """Return a time within weeks of now."""
    return now + timedelta(seconds=rng.randint(-30 * 86_400, 10 * 86_400))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def heights_of(root: Node, names: Mapping[str, Node]) -> dict[str, float]:
    """Return the least nesting depth of records for each named type."""
    records = {root["name"]: root, **{n: each for n, each in names.items() if kind_of(each) in NAMED}}
    heights = dict.fromkeys(records, inf)
    while True:
        before = dict(heights)
        for name, record in records.items():
            parts = [height_of(field["type"], names, heights) for field in record.get("fields", ())]
            heights[name] = 1 + max(parts, default=0)
        if heights == before:
            return heights


def height_of(schema: Node, names: Mapping[str, Node], heights: Mapping[str, float]) -> float:
    """Return the least nesting depth of records of a type, with those that `heights_of` returns."""
    schema = definition(schema, names)
    kind = kind_of(schema)
    if kind == "union":
        return min(height_of(branch, names, heights) for branch in schema)
    return heights[schema["name"]] if kind in ("record", "error") else 0
