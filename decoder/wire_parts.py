"""What the bytes of a type are made of, in order, and how many there can be.

https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
"""

from collections.abc import Iterator, Mapping, Sequence
from math import inf

import msgspec

from decoder.leaves import Node, logical_type
from decoder.schema_types import definition, kind_of

RECORDS = ("record", "error")

_SPANS: Mapping[str, tuple[float, float]] = {
    "null": (0, 0),
    "boolean": (1, 1),
    "int": (1, 5),
    "long": (1, 10),
    "float": (4, 4),
    "double": (8, 8),
    "record": (0, inf),  # only one that holds itself is a part, or has no field
    "error": (0, inf),
}
_UUID_BYTES = 36
_ONE_BYTE = 64  # so many indexes of an enum or a union take one byte
_MAX_NUMBER = 10


class Part(msgspec.Struct, frozen=True):
    """A type that takes bytes of its own, and the names of the fields that lead to it."""

    path: tuple[str, ...]
    kind: Node


def parts_of(node: Node, names: Mapping[str, Node], path: tuple[str, ...] = ()) -> Iterator[Part]:
    """Yield what the bytes of a type are made of, in order; a record that can hold itself is one part.

    So is a field of a record without fields: it takes no byte, and is in the event.
    """
    node = definition(node, names)
    if kind_of(node) not in RECORDS or ("name" in node and _is_recursive(node, names)):
        yield Part(path, node)
        return
    if not node["fields"] and path:
        yield Part(path, node)
    for field in node["fields"]:
        yield from parts_of(field["type"], names, (*path, field["name"]))


def _is_recursive(record: Node, names: Mapping[str, Node]) -> bool:
    seen: set[str] = set()

    def holds(node: Node) -> bool:
        node = definition(node, names)
        if isinstance(node, list):
            return any(map(holds, node))
        kind = kind_of(node)
        if kind in ("array", "map"):
            return holds(node["items" if kind == "array" else "values"])
        if kind not in RECORDS or node["name"] in seen:
            return kind in RECORDS and node["name"] == record["name"]
        seen.add(node["name"])
        return any(holds(field["type"]) for field in node["fields"])

    return holds(record)


def sizes_of(
    parts: Sequence[Part], names: Mapping[str, Node], *, overlong: bool = False
) -> tuple[float, float]:
    """Return the fewest and the most bytes of parts in a row; `overlong` as in span_of."""
    spans = [span_of(part.kind, names, overlong=overlong) for part in parts]
    return sum(span[0] for span in spans), sum(span[1] for span in spans)


def apart(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Return whether no size is in both."""
    return one[1] < other[0] or other[1] < one[0]


def span_of(  # noqa: PLR0911 - one for each kind of type
    node: Node, names: Mapping[str, Node], *, overlong: bool = False
) -> tuple[float, float]:
    """Return the fewest and the most bytes of a value, as a writer makes them.

    With `overlong` numbers can have more bytes than they need, which only a strict topic rejects.
    """
    if isinstance(node, list):
        spans = [sizes_of(list(parts_of(branch, names)), names, overlong=overlong) for branch in node]
        most = _most(1 if len(node) <= _ONE_BYTE else 2, overlong)
        return 1 + min(span[0] for span in spans), most + max(span[1] for span in spans)
    kind = kind_of(node)
    if kind == "fixed":
        return node["size"], node["size"]
    if kind == "enum":
        return 1, _most(1 if len(node["symbols"]) <= _ONE_BYTE else _MAX_NUMBER, overlong)
    if kind == "int":
        return 1, _most(_SPANS["int"][1], overlong)
    if kind == "string" and logical_type(node) is not None:
        return 1 + _UUID_BYTES, _most(1, overlong) + _UUID_BYTES
    if kind in RECORDS and not node["fields"]:
        return 0, 0
    return _SPANS.get(kind, (1, inf))


def _most(most: float, overlong: bool) -> float:  # noqa: FBT001 - as above
    """Return the most bytes of a number that takes up to `most` where it is written as it should be."""
    return _MAX_NUMBER if overlong else most
