"""Values without parts: how each is read exactly, and refused where fastavro would let it pass.

A reading schema (decoder/reading.py) names these functions as its logical types, so that fastavro's C reader
calls them where one is needed and nothing else is slower. Types whose every encoding is a value have none.
https://fastavro.readthedocs.io/en/latest/logical_types.html#custom-logical-types
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import isfinite, isnan
from typing import Any
from uuid import UUID

from fastavro.read import LOGICAL_READERS

# What fastavro's alias says of a schema's content. A reading schema is one too.
Node = Any
# A logical type's name, and of a decimal precision and scale.
Logical = tuple[str, int, int]

_INT_MIN, _INT_MAX = -(2**31), 2**31 - 1
_DAY_MILLIS, _DAY_MICROS = 86_400_000, 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BOOLEANS = {b"\x00": False, b"\x01": True}
# https://www.rfc-editor.org/rfc/rfc9562#section-4
_is_small_uuid = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_is_uuid = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch
_time_millis, _time_micros = LOGICAL_READERS["int-time-millis"], LOGICAL_READERS["long-time-micros"]


def _int(data: int, _schema: Node, _: object = None) -> int:
    if _INT_MIN <= data <= _INT_MAX:
        return data
    raise ValueError(f"{data} is not in the range of an int")


def _boolean(data: bytes, _schema: Node, _: object = None) -> bool:
    try:
        return _BOOLEANS[data]
    except KeyError:
        raise ValueError(f"a boolean is 0 or 1, this is {data[0]}") from None


def _float_or_text(data: float, _schema: Node, _: object = None) -> float | str:
    """JSON knows no NaN and no infinity: they become the strings that BigQuery's CAST(… AS FLOAT64) reads."""
    if isfinite(data):
        return data
    return "NaN" if isnan(data) else "Infinity" if data > 0 else "-Infinity"


def _finite(data: float, _schema: Node, _: object = None) -> float:
    if isfinite(data):
        return data
    raise ValueError(f"{data} is not finite, and non_finite of the topic is refuse")


def _decimal(data: bytes, schema: Node, _: object = None) -> str:
    """Keep a decimal as text with all its digits: fastavro's own reader rounds in silence."""
    if not data:
        raise ValueError("a decimal of no bytes")
    unscaled = int.from_bytes(data, "big", signed=True) if len(data) <= schema["bytes"] else schema["limit"]
    if abs(unscaled) >= schema["limit"]:
        raise ValueError(
            f"a decimal of {len(data)} bytes has more than the schema's {schema['precision']} digits"
        )
    scale = schema["scale"]
    if not scale:
        return str(unscaled)
    digits = str(abs(unscaled)).zfill(scale + 1)
    return f"{'-' if unscaled < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"


def _uuid(data: str, _schema: Node, _: object = None) -> str:
    """Keep a UUID as text, small letters: what UUID() takes besides (braces, no hyphens) is none."""
    if _is_small_uuid(data):
        return data
    if _is_uuid(data) is None:
        raise ValueError(f"{data[:50]!r} is not a UUID")
    return data.lower()


def _uuid_of_bytes(data: bytes, _schema: Node, _: object = None) -> str:
    return str(UUID(bytes=data))


def _checked_time_millis(data: int, schema: Node, _: object = None) -> object:
    if 0 <= data < _DAY_MILLIS:
        return _time_millis(data, schema, None)
    raise ValueError(f"{data} ms is not a time of day")


def _checked_time_micros(data: int, schema: Node, _: object = None) -> object:
    if 0 <= data < _DAY_MICROS:
        return _time_micros(data, schema, None)
    raise ValueError(f"{data} µs is not a time of day")


def _nanos(data: int, schema: Node, _: object = None) -> str:
    """Write nanoseconds as text: a datetime has none. An int64 of them reaches from 1677 to 2262."""
    seconds, nanos = divmod(data, 1_000_000_000)
    moment = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{nanos:09}{schema['zone']}"


def _steps(data: object, schema: Node, _: object = None) -> object:
    """Apply a reading schema's own functions, one after the other."""
    for step in schema["steps"]:
        data = step(data)
    return data


def _map(data: list[dict[str, object]], _schema: Node, _: object = None) -> dict[str, object]:
    """Make a map of its entries: fastavro's reader keeps the last of a repeated key in silence."""
    entries = {entry["key"]: entry["value"] for entry in data}
    if len(entries) < len(data):
        raise ValueError("a key of the map is there twice")
    return entries  # type: ignore[return-value] # the reading schema says that key is a string


_WIRE_TYPES = ("null", "int", "long", "float", "double", "bytes", "string", "fixed", "enum", "record")
LOGICAL_READERS.update(
    {
        "int-exact": _int,
        "fixed-boolean": _boolean,
        **{f"{kind}-text": _float_or_text for kind in ("float", "double")},
        **{f"{kind}-refuse": _finite for kind in ("float", "double")},
        **{f"{kind}-exact-decimal": _decimal for kind in ("bytes", "fixed")},
        "string-exact-uuid": _uuid,
        "fixed-exact-uuid": _uuid_of_bytes,
        "int-exact-time": _checked_time_millis,
        "long-exact-time": _checked_time_micros,
        "long-nanos": _nanos,
        "array-entries": _map,
        **{f"{kind}-steps": _steps for kind in _WIRE_TYPES},
    }
)

# (type, logical type) → the reading schema's logical type and what it needs beside; a logical type that is
# not here is ignored, as the specification asks.
# https://avro.apache.org/docs/1.12.0/specification/#logical-types
_LOGICAL: Mapping[tuple[str, str], dict[str, object]] = {
    ("int", "date"): {"logicalType": "date"},
    ("int", "time-millis"): {"logicalType": "exact-time"},
    ("long", "time-micros"): {"logicalType": "exact-time"},
    **{
        ("long", name): {"logicalType": name}
        for name in (
            "timestamp-millis",
            "timestamp-micros",
            "local-timestamp-millis",
            "local-timestamp-micros",
        )
    },
    ("long", "timestamp-nanos"): {"logicalType": "nanos", "zone": "Z"},
    ("long", "local-timestamp-nanos"): {"logicalType": "nanos", "zone": ""},
    ("string", "uuid"): {"logicalType": "exact-uuid"},
    ("fixed", "uuid"): {"logicalType": "exact-uuid"},
    ("bytes", "decimal"): {"logicalType": "exact-decimal"},
    ("fixed", "decimal"): {"logicalType": "exact-decimal"},
}
_UUID_BYTES = 16
# For people: of each logical type the types that it is for.
LOGICAL_TYPES: dict[str, list[str]] = {"duration": ["a fixed of 12 bytes"]}
for _kind, _name in _LOGICAL:
    LOGICAL_TYPES.setdefault(_name, []).append(_kind)


def logical_type(schema: Node) -> Logical | None:
    """Return a type's logical type, a decimal's with its digits, where it is one that is known."""
    if not isinstance(schema, dict) or not isinstance(schema.get("logicalType"), str):
        return None
    key = (schema["type"], schema["logicalType"])
    if key not in _LOGICAL or (key == ("fixed", "uuid") and schema["size"] != _UUID_BYTES):
        return None
    if key[1] == "decimal":
        precision, scale = schema.get("precision"), schema.get("scale", 0)
        if not isinstance(precision, int) or not isinstance(scale, int) or not 0 <= scale <= precision:
            return None
        return ("decimal", precision, scale)
    return (key[1], 0, 0)


def leaf(schema: Node, non_finite: str) -> Node:
    """Return the reading schema of a primitive type or a fixed; `non_finite` is `text` or `refuse`."""
    kind = schema["type"] if isinstance(schema, dict) else schema
    size = {"size": schema["size"]} if kind == "fixed" else {}
    logical = logical_type(schema)
    if logical is None:
        plain = {
            "int": {"type": "int", "logicalType": "exact"},
            "boolean": {"type": "fixed", "size": 1, "logicalType": "boolean"},
            "float": {"type": "float", "logicalType": non_finite},
            "double": {"type": "double", "logicalType": non_finite},
            "fixed": {"type": "fixed", **size},
        }
        return plain.get(kind, kind)
    node = {"type": kind, **size, **_LOGICAL[kind, schema["logicalType"]]}
    if logical[0] == "decimal":
        precision = schema["precision"]
        limit = 10**precision
        node |= {"precision": precision, "scale": schema.get("scale", 0), "limit": limit}
        # A fixed has its size; sign-extended bytes are a decimal too, up to a size that is no attack.
        node["bytes"] = size.get("size", (limit.bit_length() + 8) // 8 + _UUID_BYTES)
    return node


def converted(value: object, node: Node) -> object:
    """Return what a reading schema of a primitive type or a fixed makes of a value."""
    if isinstance(node, str) or "logicalType" not in node:
        return value
    return LOGICAL_READERS[f"{node['type']}-{node['logicalType']}"](value, node, None)
