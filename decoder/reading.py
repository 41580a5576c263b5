"""A writer's schema, and a reader's → the reading schema: with it fastavro reads exactly or refuses.

A reading schema describes the writer's bytes, so it is an Avro schema too, but its parts refuse what
fastavro lets pass (a negative index finds nothing in a dictionary) and turn each value into the reader's. So
resolution and guards cost no second pass. A recursive type is a dictionary that holds itself.
https://avro.apache.org/docs/1.12.0/specification/#schema-resolution
"""

import copy
from collections.abc import Callable, Mapping, Sequence

from decoder.defaults import Defaults, count_of
from decoder.leaves import Node, converted, leaf, logical_type
from decoder.limits import MAX_PRECISION, MAX_SCHEMA_DEPTH, MAX_SCHEMA_NODES
from decoder.schema_types import (
    NAMED,
    IncompatibleError,
    branch_name,
    definition,
    describe,
    field_of,
    is_ambiguous,
    kind_of,
    logical_words,
    same_name,
)

_PROMOTIONS: Mapping[tuple[str, str], tuple[Callable[..., object], ...]] = {
    ("int", "long"): (),
    ("int", "float"): (float,),
    ("int", "double"): (float,),
    ("long", "float"): (float,),
    ("long", "double"): (float,),
    ("float", "double"): (),
    ("string", "bytes"): (str.encode,),
    ("bytes", "string"): (bytes.decode,),
}


class Reading:
    """The reading schema of bytes that `writer` wrote, as `reader` would have them (as written, where None).

    `root` is for fastavro; `problems` says what a writer's value can be that the reader has nothing for.
    `non_finite` is `text` or `refuse`. With `keep_extra` a record keeps the fields that the reader lacks, as
    they were written, behind its own; without, it drops them, as the specification says.

    Raises:
        IncompatibleError: no value of the writer can be the reader's.
    """

    def __init__(
        self, writer: Node, reader: Node | None = None, *, non_finite: str = "text", keep_extra: bool = False
    ) -> None:
        self.problems: list[str] = []
        self._non_finite = non_finite
        self._keep_extra = keep_extra
        self._writers = dict(writer.get("__named_schemas", {}))
        self._readers = dict((reader or {}).get("__named_schemas", {}))
        self._defaults = Defaults(self._readers, non_finite)
        self._records: dict[tuple[str, str | None], Node] = {}
        self._nodes = 0
        self.root: Node = self._resolve(writer, reader, ())
        self.root |= {"__fastavro_parsed": True, "__named_schemas": {}}

    def _resolve(self, writer: Node, reader: Node | None, path: tuple[str, ...]) -> Node:
        self._nodes += 1
        if len(path) > MAX_SCHEMA_DEPTH or self._nodes > MAX_SCHEMA_NODES:
            raise IncompatibleError(
                ".".join(path[:3]),
                f"a schema is at most {MAX_SCHEMA_DEPTH} deep and has {MAX_SCHEMA_NODES} parts",
            )
        writer = definition(writer, self._writers)
        if isinstance(writer, list):
            named = reader is None and is_ambiguous(writer, self._writers)
            branches = [self._branch(branch, reader, path) for branch in writer]
            labels = [branch_name(branch) for branch in writer]
            return _union(
                [_labelled(*each) if named else each[1] for each in zip(labels, branches, strict=True)]
            )
        if isinstance(reader, str | list):
            union = definition(reader, self._readers)
            reader = self._match(writer, union, path)
            if isinstance(union, list) and is_ambiguous(union, self._readers):
                return _labelled(branch_name(reader), self._resolve_one(writer, reader, path))
        elif reader is not None:
            reader = self._match(writer, reader, path)
        return self._resolve_one(writer, reader, path)

    def _resolve_one(self, writer: Node, reader: Node | None, path: tuple[str, ...]) -> Node:
        kind = kind_of(writer)
        if kind in ("record", "error"):
            return self._record(writer, reader, path)
        if kind == "enum":
            return self._enum(writer, reader, path)
        if kind == "array":
            items = self._resolve(writer["items"], reader and reader["items"], (*path, "[]"))
            return {"type": "array", "items": items}
        if kind == "map":
            value = self._resolve(writer["values"], reader and reader["values"], (*path, "{}"))
            fields = [{"name": "key", "type": "string"}, {"name": "value", "type": value}]
            entry = {"type": "record", "fields": fields}
            return {"type": "array", "logicalType": "entries", "items": entry}
        return self._leaf(writer, reader, path)

    def _branch(self, branch: Node, reader: Node | None, path: tuple[str, ...]) -> Node:
        """Resolve a branch of the writer's union: one that the reader lacks is refused when it comes."""
        records = dict(self._records)
        try:
            return self._resolve(branch, reader, path)
        except IncompatibleError as error:
            if reader is None:
                raise
            self._records = records  # those that came with it are unfinished, or hold one that is
            self.problems.append(str(error))
            return {"type": "null", "logicalType": "steps", "steps": (_refusing(str(error)),)}

    def _match(self, writer: Node, reader: Node, path: tuple[str, ...]) -> Node:
        """Return the reader's type that the writer's is: of a union the first that matches.

        A branch of the same type comes before one that it is promoted to, as in Avro's own readers: bytes
        are not made text while the reader has bytes.
        """
        branches = [definition(b, self._readers) for b in (reader if isinstance(reader, list) else [reader])]
        # Sorting keeps the order among equals.
        for candidate in sorted(branches, key=lambda branch: kind_of(branch) != kind_of(writer)):
            if self._matches(writer, candidate):
                return candidate
        raise IncompatibleError(".".join(path), f"{describe(writer)} cannot be read as {describe(reader)}")

    def _matches(self, writer: Node, reader: Node) -> bool:
        writer, reader = definition(writer, self._writers), definition(reader, self._readers)
        if isinstance(writer, list) or isinstance(reader, list):
            return True
        kind = kind_of(writer)
        if kind != kind_of(reader):
            return (kind, kind_of(reader)) in _PROMOTIONS
        if kind == "array":
            return self._matches(writer["items"], reader["items"])
        if kind == "map":
            return self._matches(writer["values"], reader["values"])
        if kind in NAMED:
            same_size = kind != "fixed" or writer["size"] == reader["size"]
            return same_size and same_name(writer, reader)
        return True

    def _record(self, writer: Node, reader: Node | None, path: tuple[str, ...]) -> Node:
        key = (writer["name"], reader and reader["name"])
        if key in self._records:
            return self._records[key]
        names = [field["name"] for field in writer["fields"]]
        if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
            raise IncompatibleError(
                ".".join(path), f"{describe(writer)} has a field twice, or one without a name"
            )
        node: Node = {"type": "record", "name": writer["name"], "fields": []}
        self._records[key] = node
        if reader is None:
            for field in writer["fields"]:
                kind = self._resolve(field["type"], None, (*path, field["name"]))
                node["fields"].append({"name": field["name"], "type": kind})
            return node
        read: set[str] = set()  # the reader's fields that the writer has
        extra: list[str] = []  # none has the name of a field of the reader's: it would be read as that
        for field in writer["fields"]:
            own = field_of(reader, field["name"], names)
            kept = own if own and own["name"] not in read else None
            name = kept["name"] if kept else field["name"] + ("" if self._keep_extra else " (not read)")
            kind = self._resolve(field["type"], kept and kept["type"], (*path, field["name"]))
            node["fields"].append({"name": name, "type": kind})
            if kept:
                read.add(name)
            elif self._keep_extra:
                extra.append(name)
        wanted = {field["name"]: field for field in reader["fields"]}
        order = [*wanted, *extra]
        defaults = {n: self._defaults.of_field(wanted[n], path) for n in wanted if n not in read}
        if defaults or order != [field["name"] for field in node["fields"]]:
            node["logicalType"] = "steps"
            node["steps"] = (
                lambda event: {n: event[n] if n in event else copy.deepcopy(defaults[n]) for n in order},
            )
            node["defaults"] = count_of(defaults)
        return node

    def _enum(self, writer: Node, reader: Node | None, path: tuple[str, ...]) -> Node:
        symbols = dict(enumerate(writer["symbols"]))
        if reader is not None:
            known, other = set(reader["symbols"]), reader.get("default")
            lost = [symbol for symbol in symbols.values() if symbol not in known]
            if lost and other is None:
                self.problems.append(f"{'.'.join(path)}: the reader's enum has no {lost[0]} and no default")
            symbols = {
                index: symbol if symbol in known else other
                for index, symbol in symbols.items()
                if symbol in known or other is not None
            }
        return {"type": "enum", "name": writer["name"], "symbols": symbols}

    def _leaf(self, writer: Node, reader: Node | None, path: tuple[str, ...]) -> Node:
        if kind_of(writer) == "fixed" and (type(writer["size"]) is not int or writer["size"] < 0):
            raise IncompatibleError(".".join(path), f"a fixed of {writer['size']!r} bytes")
        written, wanted = logical_type(writer), logical_type(reader)
        for logical in (written, wanted):
            if logical and logical[0] == "decimal" and logical[1] > MAX_PRECISION:
                raise IncompatibleError(
                    ".".join(path), f"a decimal of {logical[1]} digits, {MAX_PRECISION:,} are taken"
                )
        if reader is None:
            return leaf(writer, self._non_finite)
        if written and wanted and written != wanted:
            raise IncompatibleError(
                ".".join(path), f"{logical_words(written)} cannot be read as {logical_words(wanted)}"
            )
        own = leaf(reader, self._non_finite)
        if kind_of(writer) == kind_of(reader):
            return own
        plain = leaf(kind_of(writer), "text" if kind_of(writer) == "float" else self._non_finite)
        promoted = _PROMOTIONS[kind_of(writer), kind_of(reader)]
        first = (
            () if isinstance(plain, str) or kind_of(writer) == "float" else (lambda v: converted(v, plain),)
        )
        last = () if isinstance(own, str) else (lambda v: converted(v, own),)
        return {"type": kind_of(writer), "logicalType": "steps", "steps": (*first, *promoted, *last)}


def _union(branches: Sequence[Node]) -> list[Node]:
    """Return the branches of a union, of which an index finds one, and a negative index none."""
    # A class for each, since a dictionary's own methods are the cheapest things that C can ask. fastavro's
    # reader adds the length to a negative index before it asks, so that is none.
    methods = {"__getitem__": dict(enumerate(branches)).__getitem__, "__len__": {}.__len__}
    union: list[Node] = type("Union", (list,), methods)(branches)
    return union


def _labelled(label: str, node: Node) -> Node:
    """Return a reading schema of the value under its branch's name: a record of one takes no byte more."""
    return (
        node
        if label == "null"
        else {"type": "record", "name": label, "fields": [{"name": label, "type": node}]}
    )


def _refusing(said: str) -> Callable[[object], object]:
    def refuse(_: object) -> object:
        raise ValueError(said)

    return refuse
