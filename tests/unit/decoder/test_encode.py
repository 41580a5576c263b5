"""JSON → bytes is decoding the other way round: for every schema, every value and every framing."""

import math
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from decoder.catalog import EventType
from decoder.encode import EncodeError, encode, framing_problem, parse_event
from decoder.framing import decode
from decoder.schema_types import IncompatibleError
from decoder.values import to_json
from rejection import RejectedError
from tests.fuzz.schemas import SchemaMaker, bytes_of
from tests.unit.decoder.making import STREAMS, Load, event_type, record, with_fields

_GUID = bytes(range(16))
_FRAMINGS = ("auto", "schemaless", "container", "single_object", "confluent")
_DOCK = {"type": "record", "name": "a.Dock", "fields": [{"name": "x", "type": "int"}]}
_BIN = {"type": "record", "name": "a.Bin", "fields": [{"name": "y", "type": "int"}]}


def _logical(kind: str, logical: str, **more: object) -> dict[str, object]:
    return {"type": kind, "logicalType": logical, **more}


_MONEY = _logical("bytes", "decimal", precision=5, scale=2)
_STAMP = _logical("long", "timestamp-millis")


def _framed(schema: Any, framing: str, key: int | bytes = 7) -> EventType:  # noqa: ANN401 - a schema's content
    made = event_type(schema, keys={key: 0}, topic={"framing": framing})
    return msgspec.structs.replace(made, versions=(msgspec.structs.replace(made.versions[0], keys=(key,)),))


def _again(text: str, of: EventType) -> str:
    return to_json(decode(encode(parse_event(text.encode()), of), of))


@settings(max_examples=300)
@given(seed=st.integers(0, 2**32), framing=st.sampled_from(_FRAMINGS), key=st.sampled_from((7, _GUID)))
def test_any_event_is_the_same_again(seed: int, framing: str, key: int | bytes) -> None:
    """Whatever bytes decode to is encoded to bytes that decode to the same JSON, digit by digit."""
    rng = Random(seed)
    schema = SchemaMaker(rng).record()
    try:
        event = decode(bytes_of(schema, rng), event_type(schema))
    except (IncompatibleError, RejectedError):
        assume(False)
    assert _again(to_json(event), _framed(schema, framing, key)) == to_json(event)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("null", "null"),
        ("boolean", "true"),
        ("int", "-2147483648"),
        ("long", "9223372036854775807"),
        ("long", "-9007199254740993"),
        ("float", "0.5"),
        ("float", '"NaN"'),
        ("double", "0.1"),
        ("double", '"-Infinity"'),
        ("bytes", '"AP/+"'),
        ("bytes", '""'),
        ("string", '"ünï\\n😀"'),
        ({"type": "fixed", "name": "F", "size": 2}, '"/wA="'),
        ({"type": "enum", "name": "E", "symbols": ["VAN", "CAR"]}, '"CAR"'),
        ({"type": "array", "items": "int"}, "[1,2]"),
        ({"type": "map", "values": "int"}, '{"a key":1}'),
        (_DOCK, '{"x":1}'),
        (["null", "long"], "null"),
        (["null", "long"], "5"),
        ([_BIN, _DOCK], '{"a.Dock":{"x":1}}'),
        (["null", _BIN, _DOCK], "null"),
        (["null", "string", "bytes"], '{"bytes":"AP/+"}'),
        (["int", "string", "bytes"], '{"int":3}'),
        (["float", "long"], "5"),
        (["int", "long"], "4611686018427387904"),
        (["float", "double"], "0.1"),
        (["double", "string"], '"Infinity"'),
        ([_logical("int", "date"), "string"], '"2024-02-29"'),
        ([_STAMP, "string"], '"2024-02-29T23:59:59.1Z"'),
        (["string", {"type": "array", "items": ["null", _DOCK]}], '[null,{"x":3}]'),
        (_logical("bytes", "decimal", precision=38, scale=3), '"-1234567890.125"'),
        (_logical("bytes", "decimal", precision=76, scale=5), '"0.00001"'),
        (
            _logical("bytes", "decimal", precision=41, scale=1),
            '"1234567890123456789012345678901234567890.5"',
        ),
        (_logical("fixed", "decimal", name="D", size=3, precision=4, scale=0), '"-1024"'),
        (_logical("string", "uuid"), '"6d6d2c1e-5d1c-4b0a-9d55-0d7a4f0c2b11"'),
        (_logical("fixed", "uuid", name="U", size=16), '"6d6d2c1e-5d1c-4b0a-9d55-0d7a4f0c2b11"'),
        (_logical("int", "date"), '"0001-01-01"'),
        (_logical("int", "time-millis"), '"23:59:59.987000"'),
        (_logical("long", "time-micros"), '"00:00:00"'),
        (_STAMP, '"2024-02-29T23:59:59.987000Z"'),
        (_logical("long", "timestamp-micros"), '"1969-12-31T23:59:59.999999Z"'),
        (_logical("long", "timestamp-nanos"), '"2024-02-29T23:59:59.987654321Z"'),
        (_logical("long", "timestamp-nanos"), '"1677-09-21T00:12:43.145224192Z"'),
        (_logical("long", "local-timestamp-millis"), '"9999-12-31T23:59:59.987000"'),
        (_logical("long", "local-timestamp-micros"), '"0001-01-01T00:00:00"'),
        (_logical("long", "local-timestamp-nanos"), '"2024-02-29T23:59:59.987654321"'),
        (_logical("fixed", "duration", name="P", size=12), '"AQAAAAIAAAADAAAA"'),
    ],
    ids=str,
)
def test_each_row_of_the_values_comes_back(kind: object, text: str) -> None:
    """The JSON that docs/values.md gives for a type is encoded to what is decoded to that JSON."""
    assert _again(f'{{"x":{text}}}', event_type(record(x=kind))) == f'{{"x":{text}}}'


@pytest.mark.parametrize(
    ("kind", "text", "exact"),
    [
        (_STAMP, '"2024-02-29T23:59:59.987Z"', '"2024-02-29T23:59:59.987000Z"'),
        (_STAMP, '"2024-03-01T00:59:59+01:00"', '"2024-02-29T23:59:59Z"'),
        (_logical("long", "timestamp-nanos"), '"2024-02-29T23:59:59Z"', '"2024-02-29T23:59:59.000000000Z"'),
        (["null", "double"], "5", "5.0"),
        ("float", "0.1", "0.10000000149011612"),
        (_logical("string", "uuid"), '"6D6D2C1E-5D1C-4B0A-9D55-0D7A4F0C2B11"', None),
    ],
)
def test_json_by_hand_may_be_shorter(kind: object, text: str, exact: str | None) -> None:
    """A fraction of a second of any length, an offset, a whole number for a double are understood."""
    exact = exact or text.lower()
    assert _again(f'{{"x":{text}}}', event_type(record(x=kind))) == f'{{"x":{exact}}}'


_LINK = {
    "type": "record",
    "name": "a.Link",
    "fields": [
        {"name": "n", "type": "int"},
        {"name": "next", "type": ["null", "a.Link"], "default": None},
        {"name": "side", "type": ["null", "a.Link", {"type": "map", "values": "a.Link"}], "default": None},
    ],
}


def test_types_that_hold_themselves() -> None:
    """A record in itself, bare and under its name, comes back."""
    inner = '{"n":2,"next":null,"side":null}'
    text = f'{{"x":{{"n":1,"next":{inner},"side":{{"map":{{"k":{inner}}}}}}}}}'
    assert _again(text, event_type(record(x=_LINK))) == text


@pytest.mark.parametrize(
    ("kind", "default", "text"),
    [
        (_MONEY, "\x04\xd2", '"12.34"'),
        (["null", _MONEY], None, "null"),
        ({"type": "array", "items": "bytes"}, ["ÿ"], '["/w=="]'),
        ([_DOCK, _BIN], {"x": 4}, '{"a.Dock":{"x":4}}'),
        (_logical("int", "date"), 1, '"1970-01-02"'),
    ],
)
def test_missing_field_has_its_default(kind: object, default: object, text: str) -> None:
    """What is left out is what the schema says, at any depth."""
    inner = {
        "type": "record",
        "name": "a.I",
        "fields": [{"name": "y", "type": kind, "default": default}],
    }
    assert _again('{"x":{}}', event_type(record(x=inner))) == f'{{"x":{{"y":{text}}}}}'


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("int", "2147483648", "x: 2147483648 is not in the range of int"),
        ("long", "9223372036854775808", "x: 9223372036854775808 is not in the range of long"),
        ("long", "1.0", "x: 1.0 is not a whole number, which long needs"),
        ("long", "true", "x: true is not a whole number, which long needs"),
        ("float", "1e300", "x: 1e+300: float too large to pack with f format"),
        ("double", '"nan"', 'x: "nan" is not a number'),
        (
            "double",
            "9007199254740993",
            "x: 9007199254740993 is a whole number that no double is, the nearest is 9007199254740992",
        ),
        ("float", "16777217", "x: 16777217 is a whole number that no float is, the nearest is 16777216"),
        (["long", "double"], "9223372036854775809", "x: 9223372036854775809 matches no branch of [long, do"),
        (
            [{"type": "array", "items": "int"}, {"type": "array", "items": "string"}],
            '["a"]',
            "cannot be written: TypeError: an integer is required",
        ),
        ("string", "1", "x: 1 is not a string, which string needs"),
        ("bytes", '"A"', 'x: "A" is not base64'),
        ({"type": "fixed", "name": "F", "size": 2}, '"AP/+"', "x: a.F has 2 bytes, this has 3"),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, '"C"', 'x: "C" is not a symbol of a.E: A, B'),
        (_MONEY, '"1234.50"', 'x: "1234.50" has more digits than decimal(5, 2)'),
        (_MONEY, '"1.5"', 'x: "1.5" has 1 digits after the decimal point, decimal(5, 2) has 2'),
        (_MONEY, '"1,50"', 'x: "1,50" is not a decimal(5, 2): write its digits as text, like 0.00'),
        (_MONEY, "1.50", "x: 1.5 is not a string, which decimal needs"),
        (
            _logical("fixed", "decimal", name="D", size=1, precision=2, scale=0),
            '"-129"',
            'x: "-129" has more digits than decimal(2, 0)',
        ),
        (_logical("string", "uuid"), '"{6d}"', 'x: "{6d}" is not a UUID'),
        (_logical("int", "date"), '"2023-02-29"', 'x: "2023-02-29": day is out of range for month'),
        (_logical("int", "date"), '"20240229"', 'x: "20240229" is not a date like 2024-02-29'),
        (_logical("int", "time-millis"), '"24:00:00"', 'x: "24:00:00": hour must be in 0..23'),
        (
            _logical("int", "time-millis"),
            '"00:00:00.0001"',
            'x: "00:00:00.0001" has more digits than a time-millis holds',
        ),
        (_STAMP, '"2024-02-29T23:59:59"', 'x: "2024-02-29T23:59:59" is not a timestamp-millis like '),
        (_logical("long", "local-timestamp-micros"), '"2024-02-29T23:59:59Z"', "is not a local-timestamp-"),
        (
            _logical("long", "timestamp-nanos"),
            '"2262-04-12T00:00:00Z"',
            "is not in the range of timestamp-nanos",
        ),
        ({"type": "array", "items": _DOCK}, '[{"x":1},{"x":"1"}]', 'x[1].x: "1" is not a whole number'),
        ({"type": "map", "values": "int"}, '{"k":null}', "x['k']: null is not a whole number"),
        ({"type": "map", "values": "int"}, "[]", "x: [] is not an object, which a map needs"),
        (_DOCK, '{"x":1,"y":2,"z":3}', "x: record a.Dock has no field y, z; it has x"),
        (_DOCK, "{}", "x.x: missing, and the schema has no default for it"),
        (
            [_BIN, _DOCK],
            '{"x":1}',
            'x: {"x": 1} does not name its branch: write {"a.Bin": …}, of a.Bin, a.Dock',
        ),
        ([_BIN, _DOCK], '{"a.Dock":{"x":"1"}}', 'x.a.Dock.x: "1" is not a whole number'),
        (["null", _DOCK], '{"x":"1"}', 'x.x: "1" is not a whole number'),
        (["null", "long"], '"1"', 'x: "1" is not a whole number, which long needs'),
        (["long", "boolean"], '"1"', 'x: "1" matches no branch of [long, boolean]'),
    ],
)
def test_what_is_no_value_is_told_by_its_field(kind: object, text: str, said: str) -> None:
    """The error leads to the field and says what it is and what it should be."""
    with pytest.raises(EncodeError) as raised:
        _again(f'{{"x":{text}}}', event_type(record(x=kind)))
    assert said in str(raised.value)


def test_event_that_is_nested_too_deep_is_told() -> None:
    """It is an error like the others, whether JSON, the encoder or Avro's writer is in its way."""
    schema = record(x=_LINK)
    for depth in (300, 3_000):
        text = '{"n":1,"side":null,"next":' * depth + "null" + "}" * depth
        with pytest.raises(EncodeError, match=r"nested too deep|not a JSON object"):
            _again(f'{{"x":{text}}}', event_type(schema))


@pytest.mark.parametrize("text", ["", "[]", '{"x":NaN}', '{"x":1', "\xff"])
def test_text_that_is_no_json_object(text: str) -> None:
    """What cannot be read as JSON is an error of the whole."""
    with pytest.raises(EncodeError, match="not a JSON object: "):
        parse_event(text.encode("latin-1"))


def test_numbers_that_are_not_finite_are_for_topics_that_take_them() -> None:
    """Where the topic refuses them, so does encoding; a number that JSON would not write is an error, too."""
    with pytest.raises(EncodeError, match="x: NaN is not finite, and non_finite of the topic is refuse"):
        _again('{"x":"NaN"}', event_type(record(x="double"), topic={"non_finite": "refuse"}))
    with pytest.raises(EncodeError, match="x: nan is not valid in JSON"):
        encode({"x": math.nan}, event_type(record(x="double")))


def test_confluent_needs_an_id(load: Load) -> None:
    """A version that the registry alone knows cannot be framed: the text names its file; id and GUID can."""
    streams = STREAMS.replace("current: true", "current: true, framing: confluent")
    event: dict[str, object] = {"id": "a", "timestamp": "1970-01-01T00:00:00Z"}
    keyed: list[tuple[dict[str, object], bytes | None]] = [
        ({}, None),
        ({"schema_id": 258}, b"\0\0\0\1\2"),
        ({"schema_guid": "00010203-0405-0607-0809-0a0b0c0d0e0f"}, b"\1" + _GUID),
    ]
    for keys, header in keyed:
        of = load({"t/A.avsc": with_fields(**keys)}, streams).types["t", "n.s.A"]
        if header is not None:
            assert framing_problem(of) is None
            assert encode(event, of) == header + b"\2a\0"
            continue
        assert "schemas/t/A.avsc: " in str(framing_problem(of))
        with pytest.raises(EncodeError, match=r"schemas/t/A\.avsc: .* add it to the file as schema_id"):
            encode(event, of)


def test_the_newest_version_is_written(load: Load) -> None:
    """A field that only the newest version has is known, and its default written."""
    newer = with_fields({"name": "level", "type": "int", "default": 3}, schema_version=2)
    of = load({"t/A.avsc": with_fields(), "t/A2.avsc": newer}).types["t", "n.s.A"]
    assert _again('{"id":"a","timestamp":"1970-01-01T00:00:00Z"}', of).endswith('"level":3}')
