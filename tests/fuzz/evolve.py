"""A later version of a schema made at random, as producers make them, and often one that is none.

avro knows no aliases of fields and takes a default of bytes as UTF-8, so these are in test_reading.py.
"""

from collections.abc import Sequence
from random import Random

import fastavro
from fastavro.types import Schema

_WIDER = {
    "int": ("long", "float", "double", "string"),
    "long": ("float", "double", "int"),
    "float": ("double", "long"),
    "string": ("bytes",),
    "bytes": ("string",),
}
_NEW: Sequence[tuple[object, object]] = (
    ("int", 5),
    ("string", "x"),
    ("bytes", "y"),
    ("double", 1.5),
    (["null", "long"], None),
    ({"type": "array", "items": "long"}, [1, 2]),
    ({"type": "map", "values": "boolean"}, {"k": True}),
)


def evolved(schema: Schema, rng: Random) -> Schema:
    """Return a reader's schema for the writer's: fields widened, nullable, new, gone, in another order."""
    raw = dict(schema)  # type: ignore[arg-type] # a record
    fields = [_changed(dict(field), rng) for field in raw["fields"] if rng.random() < 0.9]
    for index in range(rng.randint(0, 2)):
        kind, default = rng.choice(_NEW)
        more = {"default": default} if rng.random() < 0.9 else {}
        fields.append({"name": f"new{index}", "type": kind, **more})
    if rng.random() < 0.5:
        rng.shuffle(fields)
    return fastavro.parse_schema({"type": "record", "name": raw["name"], "fields": fields})


def extended(reader: Schema, writer: Schema) -> Schema:
    """Return the reader with the fields that only the writer has: what keeps these must read as it does."""
    raw = dict(reader)  # type: ignore[arg-type] # a record
    known = {field["name"] for field in raw["fields"]}
    extra = [field for field in dict(writer)["fields"] if field["name"] not in known]  # type: ignore[arg-type] # as above
    return fastavro.parse_schema({"type": "record", "name": raw["name"], "fields": [*raw["fields"], *extra]})


def _changed(field: dict[str, object], rng: Random) -> dict[str, object]:
    kind = field["type"]
    if isinstance(kind, str) and kind in _WIDER and rng.random() < 0.5:
        field["type"] = rng.choice(_WIDER[kind])
    elif isinstance(kind, list) and rng.random() < 0.5:
        field["type"] = [*kind[1:], kind[0]] if rng.random() < 0.5 else kind[0]
    elif not isinstance(kind, list) and kind != "null" and rng.random() < 0.3:
        field["type"] = ["null", kind]
    return field
