"""Versions that read each other's bytes: what is misread is an error with an example, of every kind."""

import copy
import re
from collections.abc import Iterator
from random import Random
from typing import Any

import fastavro
import pytest
from fastavro.schema import SchemaParseException, UnknownType
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder import probe as probe_module
from decoder.aliases import with_names_of
from decoder.avro import Writer
from decoder.encode import encode
from decoder.findings import Findings
from decoder.framing import decode
from decoder.misreads import misread_versions
from decoder.probe import probe
from decoder.probe_events import EventMaker
from decoder.schema_types import IncompatibleError
from decoder.streams import Topic
from decoder.values import to_json
from decoder.wire import Outcome, compare
from rejection import RejectedError
from tests.fuzz.schemas import SchemaMaker, bytes_of
from tests.unit.decoder.making import STREAMS, Load, with_fields

_TOPIC = Topic("t", 1, True)


def _f(name: str, kind: object, **more: object) -> dict[str, object]:
    return {"name": name, "type": kind, **more}


def _enum(*symbols: str) -> dict[str, object]:
    return {"type": "enum", "name": "E", "symbols": list(symbols)}


def _decimal(scale: int, precision: int = 9) -> dict[str, object]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


def _fixed(size: int, **more: object) -> dict[str, object]:
    return {"type": "fixed", "name": "F", "size": size, **more}


def _record(*fields: object, name: str = "R") -> dict[str, object]:
    return {"type": "record", "name": name, "fields": list(fields)}


def _list(kind: object) -> dict[str, object]:
    return {"type": "array", "items": kind}


def _map(kind: object) -> dict[str, object]:
    return {"type": "map", "values": kind}


def _tree(value: str) -> dict[str, object]:
    return _record(_f(value, "int"), _f("next", ["null", "R"]))


_MILLIS, _MICROS = ({"type": "long", "logicalType": f"timestamp-{unit}"} for unit in ("millis", "micros"))
_DATE, _UUID = {"type": "int", "logicalType": "date"}, {"type": "string", "logicalType": "uuid"}
_SCALE_2, _SCALE_4 = _f("p", _decimal(2)), _f("p", _decimal(4))
_A, _B, _Z = _f("a", "string"), _f("b", "string"), _f("z", "string")


def _found(load: Load, *versions: list[dict[str, object]], framing: str = "auto", **last: object) -> Findings:
    """Return what is found for versions of these fields, 1 and on."""
    files: dict[str, object] = {
        f"t/A{number}.avsc": with_fields(
            *fields, schema_version=number, **(last if number == len(versions) else {})
        )
        for number, fields in enumerate(versions, 1)
    }
    return misread_versions(
        load(files, STREAMS.replace("current: true", f"current: true, framing: {framing}"))
    )


_MISREAD = pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (_f("s", _enum("SENT", "DONE")), _f("s", _enum("DRAFT", "SENT")), '"DONE" is read as "SENT"'),
        (_f("s", _enum("A", "B", "C")), _f("s", _enum("A", "C")), 's: "B" is read as "C"'),
        (_f("p", _decimal(2)), _f("p", _decimal(4)), r'p: "\d+\.\d\d" is read as "\d*\.\d{4}"'),
        (_f("t", _MICROS), _f("t", _MILLIS), r't: "20\d\d-.*" is read as "1970-'),
        (_f("t", _DATE), _f("t", "int"), r't: "20\d\d-\d\d-\d\d" is read as \d+'),
        (_f("t", "long"), _f("t", _MILLIS), r"t: .* is read as"),
        (_f("u", ["bytes", "string"]), _f("u", ["string", "bytes"]), r"u\.\w+: .* is read as u\.\w+:"),
        (_f("u", ["null", "string"]), _f("u", ["null", "string", "bytes"]), 'is read as {"string":'),
        (_f("u", "string"), _f("u", ["null", "string"]), 'u: "" is read as null|u: null is read as ""'),
        (_f("u", "int"), _f("u", _enum("A", "B")), r'u: \d is read as "\w"|u: "\w" is read as \d'),
        (_f("u", "boolean"), _f("u", _enum("A", "B")), 'u: false is read as "A"'),
        (_f("u", "string"), _f("u", "bytes"), "u: .* is read as"),
        (_f("u", "int"), _f("u", "string"), '(u: 0 is read as ""|u: "" is read as 0)'),
        (_f("u", _MICROS), _f("u", "double"), r'u: "20.*" is read as [-\d.e]+'),
        (_f("u", "float"), _f("u", _fixed(4)), r"u: [\d.]+ is read as"),
        (_f("u", _fixed(16, logicalType="uuid")), _f("u", _fixed(16)), "u: .* is read as"),
        (_f("u", "double"), _f("u", "string"), r'u: "\w{7}" is read as'),
        (_f("u", _list("int")), _f("u", _list(_DATE)), r'u: \d+ is read as "19'),
        (_f("u", _map(_enum("A", "B"))), _f("u", _map(_enum("B", "A"))), 'u.a: "A" is read as "B"'),
        (_f("r", _record(_A, _B)), _f("r", _record(_B, _A)), r"r\.a: .* is read as r\.b"),
        (_f("t", _tree("v")), _f("t", _tree("w")), r"t\.v: \d+ is read as t\.w: \d+"),
    ],
)  # fmt: skip


@_MISREAD
@pytest.mark.parametrize("framing", ["auto", "schemaless"])
def test_what_is_misread_is_named(
    load: Load, framing: str, old: dict[str, object], new: dict[str, object], said: str
) -> None:
    """The error names topic, type, versions and field, with an example of a value and what it is read as."""
    found = _found(load, [old], [new], framing=framing)
    assert found.warnings == []
    (error,) = found.errors
    assert error.startswith("schemas/t/A2.avsc: version ")
    assert "of n.s.A in topic t misreads bytes of version " in error
    assert "do not say which version wrote them: keep what is there" in error
    assert re.search(said, error), error


_MOVED = pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ([_A, _B], [_B, _A], r'a: "(\w+)" is read as b: "\1"\. Bytes'),
        ([_A, _Z], [_B, _Z], r'b: "\w+"\. If b is the same field, give it "aliases": \["a"\]'),
        ([_Z], [_f("n", "int"), _Z], "z: .* is read as n|n: .* is read as z"),
        ([_f("a", _list("int"))], [_f("n", "int"), _f("a", _list("int"))], r"a: \[.*\] is read as n"),
        ([_SCALE_2, _f("u", ["null", "int"])], [_SCALE_4, _f("u", ["null", "double"])], "p: .* is read as"),
        ([_A, _f("b", "int")], [_f("x", _record(_A, _f("b", "int")))], "a: .* is read as x: {"),
        ([_f("u", _fixed(3)), _Z], [_Z, _f("u", _fixed(3))], "u: .* is read as z: "),
        ([_Z, _f("r", _record())], [_Z, _f("q", _record(name="Q"))], "r: {} is read as q: {}"),
        ([_Z, _f("r", _record())], [_f("r", _record()), _Z], "z: .* is read as r: {}"),
    ],
)  # fmt: skip


@_MOVED
def test_fields_that_take_each_others_place_are_named(
    load: Load, old: list[dict[str, object]], new: list[dict[str, object]], said: str
) -> None:
    """So are fields that are swapped, renamed, put in, left out or moved, in both directions."""
    for versions in ((old, new), (new, old)):
        (error,) = _found(load, *versions).errors
        assert re.search(said, error) or versions == (new, old), error


@_MISREAD
def test_comparison_alone_finds_values(old: dict[str, object], new: dict[str, object], said: str) -> None:
    """The comparison of schemas finds each of these without an example."""
    assert said
    assert (
        compare(*(fastavro.parse_schema(with_fields(field)) for field in (old, new))).outcome
        == Outcome.MISREAD
    )


@_MOVED
def test_comparison_alone_finds_fields(
    old: list[dict[str, object]], new: list[dict[str, object]], said: str
) -> None:
    """And each of these."""
    assert said
    assert (
        compare(*(fastavro.parse_schema(with_fields(*fields)) for fields in (old, new))).outcome
        == Outcome.MISREAD
    )


_MANY = tuple(f"C{number:03}" for number in range(249))


@pytest.mark.parametrize(
    ("old", "new", "topic"),
    [
        (
            [_f("c", ["null", _record(_f("s", _enum(*_MANY)), _f("next", ["null", "R"]))])],
            [
                _f(
                    "c",
                    [
                        "null",
                        _record(
                            _f("s", _enum(*_MANY[:192], _MANY[193], _MANY[192], *_MANY[194:])),
                            _f("next", ["null", "R"]),
                        ),
                    ],
                )
            ],
            "framing: auto",
        ),
        ([_f("v", _fixed(2))], [_f("v", _enum("A", "B"))], "framing: schemaless"),
        ([_f("v", _fixed(3))], [_f("v", ["null", "boolean"])], "framing: auto, strict: false"),
    ],
)
def test_what_is_rare_is_found(
    load: Load, old: list[dict[str, object]], new: list[dict[str, object]], topic: str
) -> None:
    """Late symbols in a type that holds itself, numbers in more bytes than they need."""
    files = {"t/A1.avsc": with_fields(*old), "t/A2.avsc": with_fields(*new, schema_version=2)}
    found = misread_versions(load(files, STREAMS.replace("current: true", f"current: true, {topic}")))
    assert len(found.errors) == 1


def test_strict_topics_read_no_overlong_numbers(load: Load) -> None:
    """In a strict topic two bytes are no symbol of two, so that nothing is misread."""
    files = {
        "t/A1.avsc": with_fields(_f("v", _fixed(2))),
        "t/A2.avsc": with_fields(_f("v", _enum("A", "B")), schema_version=2),
    }
    found = misread_versions(load(files, STREAMS.replace("current: true", "current: true, strict: true")))
    assert found.errors == []
    assert len(found.notes) == 2


def test_two_fields_with_one_alias_are_compared(load: Load) -> None:
    """The first of them is the old field; the other is put in."""
    name = _f("name", "string")
    split = [_f("first", "string", aliases=["name"]), _f("last", "string", aliases=["name"], default="")]
    found = _found(load, [name], split)
    assert found.errors == []
    assert len(found.notes) == 2
    assert len(_found(load, [name, _f("n", "int")], [*split, _f("n", "int")]).errors) == 1


def test_types_without_a_namespace_are_checked(load: Load) -> None:
    """A nested type of no namespace is referred to by its name alone; its samples are written."""
    symbol = {**_enum("A"), "namespace": ""}
    inner = {**_record(_f("e", symbol), _f("g", ["null", "E"]), _f("k", ["null", "R"])), "namespace": ""}
    catalog = load({"t/A.avsc": with_fields(_f("x", ["null", inner]))})
    event_type = catalog.types["t", "n.s.A"]
    event = {"id": "1", "timestamp": "2024-01-01T00:00:00Z", "x": {"e": "A", "g": "A", "k": None}}
    assert decode(encode(event, event_type), event_type)["x"] == event["x"]


def test_what_is_excluded_is_probed_with_few_events(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of events are read where one may be misread; where none can be, a few in each direction."""
    made: list[int] = []
    event = EventMaker.event

    def counted(self: EventMaker, number: int) -> bytes:
        made.append(number)
        return event(self, number)

    monkeypatch.setattr(EventMaker, "event", counted)
    assert _found(load, [_Z], [_Z, _f("n", "int")]).errors == []
    assert len(made) < 100
    assert _found(load, [_f("u", "double")], [_f("u", "string")]).errors != []
    assert len(made) > 100


def test_events_of_types_that_hold_themselves_end() -> None:
    """With many references to itself, or only records in its union, an event has a few hundred values."""
    many = _record(*(_f(f"n{number}", ["null", "R"]) for number in range(10)))
    only = _record(_f("n", ["R", _record(_f("v", "int"), name="S")]))
    for schema in (many, only):
        making = EventMaker(fastavro.parse_schema(schema))
        assert max(len(making.event(number)) for number in range(200)) < 10_000


def test_types_used_in_many_places_are_compared_once() -> None:
    """Thirty types, each of which holds the next twice: their uses are more than a billion."""
    schema: Any = "int"
    for number in range(30):
        inner = [_f("a", _list(schema)), *([_f("b", _list(f"R{number - 1}"))] if number else [])]
        schema = _record(*inner, name=f"R{number}")
    parsed: Any = fastavro.parse_schema(schema)
    assert compare(parsed, copy.deepcopy(parsed)).outcome == Outcome.SAME


def test_misread_without_an_example_is_found(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no sample shows and nothing excludes is an error too, and says so."""
    monkeypatch.setattr(probe_module, "SAMPLES", 0)
    (error,) = _found(load, [_f("u", "double")], [_f("u", "string")]).errors
    assert "version 1 (schemas/t/A1.avsc): from field u on, its bytes can be read as other values" in error


_UNTIL, _ONCE = (
    "until version 2 of n.s.A in topic t is deployed, ",
    "once version 2 of n.s.A in topic t is deployed, ",
)


@pytest.mark.parametrize(
    ("old", "new", "notes"),
    [
        ([_Z], [_Z], ()),
        ([_Z], [_f("z", "string", default="x", doc="y")], ()),
        ([_A, _Z], [_f("b", "string", aliases=["a"]), _Z], ()),
        ([_f("t", _tree("v"))], [_f("t", _tree("v"))], ()),
        ([_f("r", _record(_A))], [_f("r", _record(_A, name="Q"))], ()),
        ([_f("s", _enum("A", "B"))], [_f("s", _enum("A", "B", "C"))], (_UNTIL,)),
        ([_f("s", _enum("A", "B"))], [_f("s", _enum("A"))], (_ONCE,)),
        ([_f("u", ["null", "long"])], [_f("u", ["null", "long", "string"])], (_UNTIL,)),
        ([_f("n", "int"), _Z], [_f("n", "long"), _Z], (_UNTIL,)),
        ([_f("u", ["int", "long"]), _Z], [_f("u", ["long", "int"]), _Z], (_ONCE, _UNTIL)),
        ([_f("n", "long"), _Z], [_f("n", "int"), _Z], (_ONCE,)),
        ([_f("p", _decimal(2))], [_f("p", _decimal(2, 12))], (_UNTIL,)),
        ([_f("p", _decimal(2))], [_f("p", _decimal(2, 5))], (_ONCE,)),
        ([_f("s", _UUID)], [_f("s", "string")], (_UNTIL,)),
        ([_Z], [_Z, _f("n", "int")], (_ONCE, _UNTIL)),
        ([_Z, _f("n", "int")], [_Z], (_ONCE, _UNTIL)),
        ([_f("r", _record(_A))], [_f("r", _record(_A, _B))], (_ONCE, _UNTIL)),
        ([_f("n", "float")], [_f("n", "double")], (_ONCE, _UNTIL)),
        ([_f("s", _enum("A", "B"))], [_f("s", _enum("B", "A")), _f("n", "int")], (_ONCE, _UNTIL)),
        ([_f("u", ["null", "string"])], [_f("u", ["string", "null"])], (_ONCE, _UNTIL)),
    ],
)
def test_what_is_not_misread_passes(
    load: Load, old: list[dict[str, object]], new: list[dict[str, object]], notes: tuple[str, ...]
) -> None:
    """Bytes that are read right, or rejected, are no error; of those that are rejected a note tells when."""
    found = _found(load, old, new)
    assert (found.errors, found.warnings) == ([], [])
    assert len(found.notes) == len(notes)
    for note, said in zip(found.notes, notes, strict=True):
        assert note.startswith(f"schemas/t/A2.avsc: {said}")


def test_every_older_version_is_compared_with_the_newest(load: Load) -> None:
    """Version 3 adds what version 1 had and version 2 had not: only bytes of version 1 are misread."""
    found = _found(load, [_Z, _f("n", "int")], [_Z], [_Z, _f("m", "int")])
    (error,) = found.errors
    assert "version 3 of n.s.A in topic t misreads bytes of version 1" in error
    assert all("version 3" in note for note in found.notes)


def test_a_misread_can_be_accepted(load: Load) -> None:
    """With accept in the version that misreads, or in one between, it is a warning; in the older not."""
    versions = [_f("s", _enum("A", "B"))], [_f("s", _enum("B", "A"))]
    found = _found(load, *versions, accept=["misread"])
    assert found.errors == []
    assert found.warnings[0].endswith("The file accepts that")
    older = with_fields(*versions[0], accept=["misread"])
    newer = with_fields(*versions[1], schema_version=2)
    assert misread_versions(load({"t/A1.avsc": older, "t/A2.avsc": newer})).errors != []
    third = with_fields(*versions[1], _Z, schema_version=3)
    files = {
        "t/A1.avsc": with_fields(*versions[0]),
        "t/A2.avsc": with_fields(schema_version=2, accept=["misread"]),
    }
    assert misread_versions(load({**files, "t/A3.avsc": third})).errors == []


@pytest.mark.parametrize("framing", ["container", "single_object", "confluent"])
def test_framings_with_a_version_misread_nothing(load: Load, framing: str) -> None:
    """Where bytes name their version, each is read with its own."""
    versions = [_f("s", _enum("A", "B"))], [_f("s", _enum("B", "A"))]
    assert _found(load, *versions, framing=framing) == Findings()


def test_fingerprint_without_logical_types_is_one_version(load: Load) -> None:
    """Schemas that differ in a logical type have one fingerprint, so single objects can be misread too."""
    (error,) = _found(load, [_f("p", _decimal(2))], [_f("p", _decimal(4))], framing="single_object").errors
    assert "Both versions have one fingerprint, which has no logical types: use a new type name" in error
    for framing in ("container", "confluent"):
        assert _found(load, [_f("p", _decimal(2))], [_f("p", _decimal(4))], framing=framing) == Findings()


def test_schema_id_of_two_versions_is_one_version(load: Load) -> None:
    """An id that two versions have reads the bytes of both with the later one."""
    old = with_fields(_f("s", _enum("A", "B")), schema_id=7)
    new = with_fields(_f("s", _enum("B", "A")), schema_id=7, schema_version=2)
    streams = STREAMS.replace("current: true", "current: true, framing: confluent")
    (error,) = misread_versions(load({"t/A.avsc": old, "t/A2.avsc": new}, streams)).errors
    assert "Both versions have one schema_id or schema_guid: give each its own" in error


def _edited(schema: Any, rng: Random) -> Any:  # noqa: ANN401 - a schema's JSON
    """Return a schema with one or two changes, of any kind, at any depth."""
    raw = {name: copy.deepcopy(part) for name, part in schema.items() if not name.startswith("__")}
    for _ in range(rng.randint(1, 2)):
        _edit(rng.choice(list(_types(raw))), rng)
    return fastavro.parse_schema(raw)


def _types(node: Any) -> Iterator[Any]:  # noqa: ANN401 - a schema's JSON
    if isinstance(node, list | dict):
        yield node
    for branch in node if isinstance(node, list) else ():
        yield from _types(branch)
    if isinstance(node, dict):
        for part in (
            *(field["type"] for field in node.get("fields", ())),
            node.get("items"),
            node.get("values"),
        ):
            yield from _types(part)


def _edit(node: Any, rng: Random) -> None:  # noqa: ANN401 - a schema's JSON
    if isinstance(node, list):
        _edit_list(node, rng, [_new_type(rng)])
    elif node["type"] == "enum":
        _edit_list(node["symbols"], rng, ["Z"])
    elif node["type"] == "fixed":
        node["size"] = rng.randint(0, 9)
    elif "precision" in node:
        node["scale"] = rng.randint(0, node["precision"])
    elif node["type"] in ("array", "map"):
        node["items" if node["type"] == "array" else "values"] = _new_type(rng)
    elif node["type"] == "record":
        field = rng.choice(node["fields"] or [{}])
        way = rng.randrange(4)
        if way == 0 and field:
            field["name"] = f"h{rng.getrandbits(32)}"
        elif way == 1 and field:
            field["type"] = _new_type(rng)
        elif way == 2 and field and not isinstance(field["type"], list):
            field["type"] = ["null", field["type"]]
        else:
            _edit_list(node["fields"], rng, [{"name": f"g{rng.getrandbits(32)}", "type": _new_type(rng)}])


def _edit_list(parts: list[Any], rng: Random, more: list[Any]) -> None:
    way = rng.randrange(3)
    if way == 0:
        rng.shuffle(parts)
    elif way == 1 or len(parts) < 2:
        parts[rng.randint(0, len(parts)) : 0] = more
    else:
        parts.pop(rng.randrange(len(parts)))


def _new_type(rng: Random) -> object:
    name = f"X{rng.getrandbits(48):x}"
    return rng.choice(
        (
            *("null", "boolean", "int", "long", "float", "double", "bytes", "string", ["null", "string"]),
            *(
                _MILLIS,
                _MICROS,
                _DATE,
                _UUID,
                _decimal(2),
                _decimal(4),
                _list("int"),
                ["null", "int", "string"],
            ),
            {"type": "enum", "name": name, "symbols": ["A", "B"]},
            {"type": "fixed", "name": name, "size": rng.randint(0, 9)},
        )
    )


@settings(max_examples=150)
@given(st.integers(0, 2**32))
def test_whatever_decodes_differently_is_found(seed: int) -> None:
    """For schemas and edits made at random, no value that reads as another one goes unnoticed."""
    rng = Random(seed)
    try:
        old = SchemaMaker(rng).record()
        new = _edited(old, rng)
        wrote, reads = Writer(_TOPIC, old), Writer(_TOPIC, new)
    except (IncompatibleError, SchemaParseException, UnknownType):
        return  # the edit made a schema that no catalog takes
    compared, probed = compare(old, new), probe(old, new, _TOPIC)
    found = compared.outcome == Outcome.MISREAD
    assert found or probed.example is None
    making = EventMaker(old)
    for number in range(100):
        value = bytes_of(old, rng) if number % 2 else making.event(rng.randrange(1_000))
        try:
            was = to_json(wrote.decode(value))
        except RejectedError:
            continue
        try:
            now = to_json(reads.decode(value))
        except RejectedError:
            assert compared.outcome != Outcome.SAME
        else:
            assert found or now == was


def test_aliases_are_names_at_any_depth() -> None:
    """A field's alias counts in records, arrays, maps, unions and types that hold themselves."""

    def schema(name: str, **more: object) -> Any:  # noqa: ANN401 - a schema
        inner = _record(_f(name, "int", **more), _f("next", ["null", "R"]))
        fields = [_f("l", _list(inner)), _f("m", {"type": "map", "values": ["null", "R"]})]
        return fastavro.parse_schema(_record(*fields, name="Outer"))

    old, new = schema("v"), schema("w", aliases=["v"])
    assert compare(old, new).outcome == Outcome.MISREAD
    assert compare(old, with_names_of(old, new)).outcome == Outcome.SAME
    assert new["fields"][0]["type"]["items"]["fields"][0]["name"] == "w"
