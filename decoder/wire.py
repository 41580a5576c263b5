"""What bytes of one schema are under another that knows nothing of the first: the same, rejected, or misread.

Bytes without a header of their own do not say which schema they have. The comparison is exact where it says
SAME or REJECTED, and careful otherwise: MISREAD is all that it cannot exclude. It compares what the bytes are
made of, in order. A record is only its fields, so a field that moves into a record is seen too.
https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from itertools import zip_longest

import msgspec

from decoder.leaves import Node, logical_type
from decoder.schema_types import branch_name, definition, is_ambiguous, kind_of
from decoder.wire_parts import RECORDS, Part, apart, parts_of, sizes_of, span_of

_NUMBERS = ("int", "long", "enum", "boolean")
_UUID = ("uuid", 0, 0)
# Unions in a row whose branches are followed one by one.
_SPLITS = 3


class Outcome(IntEnum):
    """What becomes of bytes; of several parts the worst counts."""

    SAME = 0
    REJECTED = 1
    MISREAD = 2


class Comparison(msgspec.Struct, frozen=True):
    """What becomes of a schema's bytes under another; `field` is the first that may be misread."""

    outcome: Outcome
    field: str = ""


def _names(schema: Node) -> Mapping[str, Node]:
    names: Mapping[str, Node] = schema.get("__named_schemas", {})
    return names


def compare(writer: Node, reader: Node, *, strict: bool = False) -> Comparison:
    """Return what becomes of the writer's bytes, as a writer makes them, when read with `reader` alone.

    `strict` is the topic's: whether numbers in more bytes than they need are rejected.
    """
    return _Comparing(writer, reader, strict=strict).of(writer, reader)


class _Comparing:
    def __init__(self, writer: Node, reader: Node, *, strict: bool) -> None:
        self._writers, self._readers = _names(writer), _names(reader)
        self._strict = strict
        # By the types' ids. A record within itself is assumed to be the same while the rest is compared.
        self._found: dict[tuple[int, int], Comparison] = {}

    def of(self, writer: Node, reader: Node, *, ends: bool = True) -> Comparison:
        """Compare two types; `ends` says that nothing follows them, so that their sizes must be equal."""
        parts = list(parts_of(writer, self._writers)), list(parts_of(reader, self._readers))
        return self._sequence(*parts, ends=ends, splits=_SPLITS if ends else 0)

    def _sequence(
        self, old: Sequence[Part], new: Sequence[Part], *, ends: bool, splits: int, changed: str = ""
    ) -> Comparison:
        """Compare parts in a row; `changed` is a field before them that is misread where all is read."""
        worst = Comparison(Outcome.MISREAD, changed) if changed else Comparison(Outcome.SAME)
        for at, (one, other) in enumerate(zip_longest(old, new)):
            found = Comparison(Outcome.MISREAD)
            if one and other and one.path == other.path:
                found = self._part(one.kind, other.kind)
            if found.outcome == Outcome.MISREAD:
                path = ".".join(filter(None, (*(one or other).path, found.field)))
                found = Comparison(Outcome.MISREAD, worst.field or path)
                if not (one and other and self._aligned(one.kind, other.kind)):
                    excluded = ends and self._is_excluded(old[at:], new[at:], splits, worst.field)
                    return Comparison(Outcome.REJECTED) if excluded else found
            worst = max(worst, found, key=lambda each: each.outcome)
        return worst

    def _is_excluded(self, old: Sequence[Part], new: Sequence[Part], splits: int, changed: str) -> bool:
        """Return whether no bytes of these parts are misread, by their sizes: in each branch of a union."""
        if apart(sizes_of(old, self._writers), sizes_of(new, self._readers, overlong=not self._strict)):
            return True
        if not splits or not old or not new or old[0].path != new[0].path:
            return False
        one, other = old[0].kind, new[0].kind
        if not isinstance(one, list) or not isinstance(other, list):
            return False
        if is_ambiguous(one, self._writers) or is_ambiguous(other, self._readers):
            return False
        for branch, another in zip(one, other, strict=False):
            self._found.clear()  # what was assumed before does not count towards this outcome
            found = self._sequence(
                [*parts_of(branch, self._writers, old[0].path), *old[1:]],
                [*parts_of(another, self._readers, new[0].path), *new[1:]],
                ends=True,
                splits=splits - 1,
                changed=changed,
            )
            if found.outcome == Outcome.MISREAD:
                return False
        return True

    def _part(self, old: Node, new: Node) -> Comparison:
        old, new = definition(old, self._writers), definition(new, self._readers)
        if not isinstance(old, dict | list) or not isinstance(new, dict | list):
            return self._type(old, new)
        pair = (id(old), id(new))
        if pair not in self._found:
            self._found[pair] = Comparison(Outcome.SAME)
            self._found[pair] = self._type(old, new)
        return self._found[pair]

    def _type(self, old: Node, new: Node) -> Comparison:  # noqa: PLR0911 - one for each kind of type
        kind = kind_of(old)
        if kind != kind_of(new):
            plain = logical_type(old) is None and logical_type(new) is None
            if plain and (kind, kind_of(new)) in (("int", "long"), ("long", "int")):
                return Comparison(Outcome.SAME if kind == "int" else Outcome.REJECTED)
            return Comparison(Outcome.MISREAD)
        if kind == "union":
            return self._union(old, new)
        if kind in ("array", "map"):
            part = "items" if kind == "array" else "values"
            return self.of(old[part], new[part], ends=False)
        if kind in RECORDS:
            return self._fields(old, new)
        if kind == "enum":
            return Comparison(_symbols(old["symbols"], new["symbols"]))
        return Comparison(_leaf(old, new))

    def _fields(self, old: Node, new: Node) -> Comparison:
        # Without its name, which would make it one part again.
        return self.of(*({"type": "record", "fields": each["fields"]} for each in (old, new)), ends=False)

    def _union(self, old: Node, new: Node) -> Comparison:
        labelled = is_ambiguous(old, self._writers), is_ambiguous(new, self._readers)
        worst = Comparison(Outcome.REJECTED if len(new) < len(old) else Outcome.SAME)
        for branch, other in zip(old, new, strict=False):
            found = self.of(branch, other, ends=False)
            names = (
                branch_name(definition(branch, self._writers)),
                branch_name(definition(other, self._readers)),
            )
            if names[0] != "null" and (
                labelled[0] != labelled[1] or (all(labelled) and names[0] != names[1])
            ):
                found = Comparison(Outcome.MISREAD)
            worst = max(worst, found, key=lambda each: each.outcome)
        return worst

    def _aligned(self, old: Node, new: Node) -> bool:
        """Return whether each value of the old takes the same bytes as the new, or is rejected."""
        old, new = definition(old, self._writers), definition(new, self._readers)
        kind, other = kind_of(old), kind_of(new)
        if kind == other == "union":
            return all(self._all_aligned(branch, another) for branch, another in zip(old, new, strict=False))
        if kind == other and kind in ("array", "map"):
            part = "items" if kind == "array" else "values"
            return self._all_aligned(old[part], new[part])
        if kind in _NUMBERS and other in _NUMBERS:
            return True
        if {kind, other} <= {"fixed", "float", "double"}:
            return span_of(old, self._writers) == span_of(new, self._readers)
        return {kind, other} <= {"bytes", "string"} or kind == other == "null"

    def _all_aligned(self, old: Node, new: Node) -> bool:
        pairs = list(parts_of(old, self._writers)), list(parts_of(new, self._readers))
        return len(pairs[0]) == len(pairs[1]) and all(
            self._aligned(one.kind, other.kind) for one, other in zip(*pairs, strict=True)
        )


def _symbols(old: Sequence[str], new: Sequence[str]) -> Outcome:
    if any(symbol != other for symbol, other in zip(old, new, strict=False)):
        return Outcome.MISREAD
    return Outcome.REJECTED if len(new) < len(old) else Outcome.SAME


def _leaf(old: Node, new: Node) -> Outcome:
    if kind_of(old) == "fixed" and old["size"] != new["size"]:
        return Outcome.MISREAD
    was, now = logical_type(old), logical_type(new)
    if was == now:
        return Outcome.SAME
    if kind_of(old) == "string":  # a UUID is a string's text, in lowercase
        return Outcome.REJECTED if now == _UUID else Outcome.SAME
    if was and now and was[0] == now[0] == "decimal" and was[2] == now[2]:
        return Outcome.SAME if was[1] <= now[1] else Outcome.REJECTED
    return Outcome.MISREAD
