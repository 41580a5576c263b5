"""Avro values as JSON text that loses nothing.

msgspec writes what fastavro returns: integers whole, decimals as exact strings, bytes as base64,
timestamps, dates and times in RFC 3339, uuids and enums as strings, records and maps in their order.
"""

import math
from collections.abc import Mapping
from typing import Any

import msgspec
from fastavro.types import Schema

# As fastavro returns them; date, time and UUID among them are msgspec's to write.
Value = object

_encoder = msgspec.json.Encoder(decimal_format="string")


def to_json(event: Mapping[str, Value], *, has_floats: bool) -> str:
    """Return the event as JSON text.

    JSON knows no NaN and no infinity. They become the strings "NaN", "Infinity" and "-Infinity", which
    BigQuery's CAST(… AS FLOAT64) reads; `has_floats` says whether the schema can hold any.
    """
    return _encoder.encode(_without_non_finite(event) if has_floats else event).decode()


def has_floats(schema: Schema) -> bool:
    """Return whether any value under this schema can be a float or a double."""
    if isinstance(schema, str):
        return schema in ("float", "double")
    if isinstance(schema, list):
        return any(has_floats(branch) for branch in schema)
    return any(has_floats(part) for part in (schema["type"], *parts_of(schema)))


def parts_of(schema: dict[str, Any]) -> list[Schema]:
    """Return the schemas directly inside one: of a record's fields, an array's items, a map's values."""
    # Any: what a schema's keys hold differs by its type, and fastavro's own alias says no more.
    fields = [field["type"] for field in schema.get("fields", ())]
    return fields + [schema[key] for key in ("items", "values") if key in schema]


def _without_non_finite(value: Value) -> Value:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {name: _without_non_finite(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_non_finite(inner) for inner in value]
    return value
