"""Resolution: what a writer's value is under a reader's schema, as the Avro specification says."""

from datetime import UTC, date, datetime

import fastavro
import pytest

from decoder.avro import Writer
from decoder.reading import Reading
from decoder.schema_types import IncompatibleError
from decoder.streams import Topic
from rejection import RejectedError
from tests.unit.decoder.making import record, schemaless

_TOPIC = Topic("t", 1, True)
_DATE = {"type": "int", "logicalType": "date"}
_MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
_A = {"type": "record", "name": "A", "fields": [{"name": "x", "type": "int"}]}
_B = {"type": "record", "name": "B", "fields": [{"name": "x", "type": "int"}]}


def _enum(*symbols: str, **more: object) -> dict[str, object]:
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


@pytest.mark.parametrize(
    ("writer", "value", "reader", "expected"),
    [
        ("int", 5, "long", 5),
        ("int", 5, "double", 5.0),
        ("long", 2**53, "float", float(2**53)),
        ("float", 0.5, "double", 0.5),
        ("string", "ü", "bytes", "ü".encode()),
        ("bytes", "ü".encode(), "string", "ü"),
        ("int", 19_000, _DATE, date(2022, 1, 8)),
        (
            "int",
            5,
            {"type": "long", "logicalType": "timestamp-millis"},
            datetime(1970, 1, 1, 0, 0, 0, 5000, UTC),
        ),
        (["null", "int"], 5, ["null", "long"], 5),
        (["null", "int"], 5, "double", 5.0),
        ("int", 5, ["null", "string", "double"], 5.0),
        (_enum("A", "B"), "B", _enum("B"), "B"),
        (_enum("A", "B"), "A", _enum("B", default="B"), "B"),
        ({"type": "array", "items": "int"}, [1, 2], {"type": "array", "items": "double"}, [1.0, 2.0]),
        ({"type": "map", "values": "int"}, {"k": 1}, {"type": "map", "values": "long"}, {"k": 1}),
        (_A, {"x": 1}, {**_B, "aliases": ["a.A"]}, {"x": 1}),
        (_A, {"x": 1}, [_B, _A], {"a.A": {"x": 1}}),
        ([_B, _A], ("a.A", {"x": 1}), _A, {"x": 1}),
        ("bytes", b"x", ["string", "bytes"], {"bytes": b"x"}),
    ],
    ids=str,
)
def test_resolution(writer: object, value: object, reader: object, expected: object) -> None:
    """Promotions, unions on either side, enum defaults, aliases and items are resolved."""
    written = record(f=writer)
    event = Writer(_TOPIC, written, record(f=reader)).decode(schemaless({"f": value}, written))
    assert event == {"f": expected}
    assert type(event["f"]) is type(expected)


@pytest.mark.parametrize(
    ("writer", "reader"),
    [
        ("long", "int"),
        ("string", "int"),
        ("double", "float"),
        (_A, _B),
        ({"type": "fixed", "name": "F", "size": 2}, {"type": "fixed", "name": "F", "size": 3}),
        ({"type": "array", "items": "string"}, {"type": "array", "items": "int"}),
        (_MONEY, {**_MONEY, "scale": 3}),
        (
            {"type": "long", "logicalType": "timestamp-millis"},
            {"type": "long", "logicalType": "timestamp-micros"},
        ),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_known_before_any_bytes(writer: object, reader: object) -> None:
    """Types that do not match are an error of the schemas; a unit or a scale is never reinterpreted."""
    with pytest.raises(IncompatibleError, match=r"^f"):
        Reading(record(f=writer), record(f=reader))


@pytest.mark.parametrize(
    ("writer", "value", "reader"),
    [(["null", "string"], "a", ["null", "int"]), (_enum("A", "B"), "A", _enum("B"))],
    ids=str,
)
def test_what_some_values_cannot_be(writer: object, value: object, reader: object) -> None:
    """A branch or a symbol that the reader lacks is a problem of the schemas, and refused when it comes."""
    written, wanted = record(f=writer), record(f=reader)
    assert len(Reading(written, wanted).problems) == 1
    with pytest.raises(RejectedError, match="field f"):
        Writer(_TOPIC, written, wanted).decode(schemaless({"f": value}, written))


@pytest.mark.parametrize(
    ("kind", "default", "expected"),
    [
        ("string", "x", "x"),
        ("bytes", "\u00ff\u0000", b"\xff\x00"),
        ("double", 1, 1.0),
        (_DATE, 19_000, date(2022, 1, 8)),
        (_MONEY, "\u0001\u0000", "2.56"),
        (["null", "string"], None, None),
        (["string", "null"], "x", "x"),
        ({"type": "array", "items": _DATE}, [0], [date(1970, 1, 1)]),
        ({"type": "map", "values": "long"}, {"k": 1}, {"k": 1}),
        ({**_A, "fields": [{"name": "x", "type": "int", "default": 4}]}, {}, {"x": 4}),
        (_enum("A", "B"), "B", "B"),
    ],
    ids=str,
)
def test_defaults_are_values_of_their_type(kind: object, default: object, expected: object) -> None:
    """A field that the writer lacks has its default, as the value that the type has in an event."""
    written = record(id="string")
    fields = [{"name": "id", "type": "string"}, {"name": "f", "type": kind, "default": default}]
    wanted = fastavro.parse_schema({"type": "record", "name": "a.R", "fields": fields})
    writer = Writer(_TOPIC, written, wanted)
    first, second = (writer.decode(schemaless({"id": "a"}, written)) for _ in range(2))
    assert first == {"id": "a", "f": expected}
    assert first["f"] is not second["f"] or not isinstance(expected, list | dict)


def test_fields_are_the_readers() -> None:
    """Fields are by name or alias, in the reader's order; what the reader lacks is left out."""
    written = record(a="int", gone={"type": "array", "items": "string"}, old="string")
    wanted = fastavro.parse_schema(
        {
            "type": "record",
            "name": "a.R",
            "fields": [{"name": "new", "type": "string", "aliases": ["old"]}, {"name": "a", "type": "long"}],
        }
    )
    event = Writer(_TOPIC, written, wanted).decode(schemaless({"a": 1, "gone": ["x"], "old": "o"}, written))
    assert list(event.items()) == [("new", "o"), ("a", 1)]


def test_own_name_comes_before_an_alias() -> None:
    """A writer that has both the old and the new field means the new one."""
    written = record(old="int", new="int")
    fields = [{"name": "new", "type": "int", "aliases": ["old"]}]
    wanted = fastavro.parse_schema({"type": "record", "name": "a.R", "fields": fields})
    assert Writer(_TOPIC, written, wanted).decode(schemaless({"old": 1, "new": 2}, written)) == {"new": 2}


def test_field_that_is_there_twice_is_refused() -> None:
    """Of two fields of one name one would be lost, at any depth."""
    twice = [{"name": "x", "type": "int"}, {"name": "x", "type": "int"}]
    with pytest.raises(IncompatibleError, match=r"^r: record a.D has a field twice"):
        Reading(record(r={"type": "record", "name": "D", "fields": twice}))


def test_branch_that_failed_leaves_nothing_behind() -> None:
    """A record that a branch could not be resolved to is refused wherever it comes again."""
    inner = {"type": "record", "name": "I", "fields": [{"name": "x", "type": "string"}]}
    wanted = {"type": "record", "name": "I", "fields": [{"name": "x", "type": "int"}]}
    written = record(a=["null", inner], b=["null", "I"])
    reading = Reading(written, record(a=["null", wanted], b=["null", "I"]))
    assert [problem.partition(":")[0] for problem in reading.problems] == ["a.x", "b.x"]


def test_recursive_types_are_read() -> None:
    """A type that may hold itself is read to the depth that the topic allows."""
    node = {
        "type": "record",
        "name": "T",
        "fields": [{"name": "v", "type": "int"}, {"name": "n", "type": ["null", "T"]}],
    }
    schema = record(t=node)
    event = {"t": {"v": 1, "n": {"v": 2, "n": None}}}
    assert Writer(_TOPIC, schema).decode(schemaless(event, schema)) == event
