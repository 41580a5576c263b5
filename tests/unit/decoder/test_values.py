"""Avro values as JSON text: nothing lost, nothing that is not JSON."""

import io
import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder.values import to_json
from rejection import RejectedError
from tests.unit.decoder.making import decode

_FLOATS = [float("nan"), float("inf"), float("-inf"), 1.5]
_AS_TEXT = ["NaN", "Infinity", "-Infinity", 1.5]
_UUID = "6d6d2c1e-5d1c-4b0a-9d55-0d7a4f0c2b11"


def _schema(kind: object) -> dict[str, object]:
    return {"type": "record", "name": "R", "fields": [{"name": "x", "type": kind}]}


def _json_of(kind: object, value: object) -> str:
    """Return the JSON text of a value that went through Avro."""
    schema = fastavro.parse_schema(_schema(kind))
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, schema, {"x": value})
    return to_json(decode(buffer.getvalue(), schema))


def _logical(kind: str, logical: str, **more: object) -> dict[str, object]:
    return {"type": kind, "logicalType": logical, **more}


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("null", None, "null"),
        ("boolean", True, "true"),
        ("int", -(2**31), "-2147483648"),
        ("long", 2**63 - 1, "9223372036854775807"),
        ("long", -(2**63), "-9223372036854775808"),
        ("long", 2**53 + 1, "9007199254740993"),
        ("double", 0.1, "0.1"),
        ("double", 1e300, "1e300"),
        ("float", 0.5, "0.5"),
        ("string", 'ünï "q" \\ \n\x00😀', '"ünï \\"q\\" \\\\ \\n\\u0000😀"'),
        ("bytes", b"\x00\xff\xfe", '"AP/+"'),
        ("bytes", b"", '""'),
        ({"type": "fixed", "name": "F", "size": 2}, b"\xff\x00", '"/wA="'),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", '"B"'),
        (["null", "long"], None, "null"),
        (["null", "long"], 5, "5"),
        ({"type": "array", "items": "long"}, [2**62, 0], "[4611686018427387904,0]"),
        (_logical("string", "uuid"), UUID(_UUID), f'"{_UUID}"'),
        (_logical("int", "date"), date(2024, 2, 29), '"2024-02-29"'),
        (_logical("int", "date"), date(1, 1, 1), '"0001-01-01"'),
        (_logical("int", "time-millis"), time(23, 59, 59, 987_000), '"23:59:59.987000"'),
        (_logical("long", "time-micros"), time(0, 0, 0, 1), '"00:00:00.000001"'),
        (
            _logical("long", "timestamp-millis"),
            datetime(2024, 2, 29, 23, 59, 59, 987_000, UTC),
            '"2024-02-29T23:59:59.987000Z"',
        ),
        (
            _logical("long", "timestamp-micros"),
            datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
            '"1969-12-31T23:59:59.999999Z"',
        ),
        (
            _logical("long", "local-timestamp-micros"),
            datetime(2024, 2, 29, 1, 2, 3, 4),  # noqa: DTZ001 - it has no zone
            '"2024-02-29T01:02:03.000004"',
        ),
    ],
    ids=str,
)
def test_value_as_json(kind: object, value: object, text: str) -> None:
    """Each Avro type has one text, with all of its digits."""
    assert _json_of(kind, value) == f'{{"x":{text}}}'


@pytest.mark.parametrize(
    "text", ["12345678901234567890.123456789", "-0.000000001", "0.000000000", "2.500000000"]
)
def test_decimal_is_exact(text: str) -> None:
    """A decimal is a string that gives the same number back, with its scale."""
    kind = _logical("bytes", "decimal", precision=38, scale=9)
    written = json.loads(_json_of(kind, Decimal(text)))["x"]
    assert isinstance(written, str)
    assert Decimal(written).as_tuple() == Decimal(text).as_tuple()


@settings(max_examples=80)
@given(st.integers(-(10**38) + 1, 10**38 - 1))
def test_any_decimal_is_exact(unscaled: int) -> None:
    """As above, every decimal of the widest precision of a NUMERIC's scale."""
    kind = _logical("bytes", "decimal", precision=38, scale=9)
    value = Decimal(f"{unscaled}e-9")
    assert Decimal(json.loads(_json_of(kind, value))["x"]) == value


def test_decimal_beyond_its_precision_is_not_rounded() -> None:
    """More digits than the schema allows are kept exactly, or refused: never rounded in silence."""
    schema = fastavro.parse_schema(_schema(_logical("bytes", "decimal", precision=4, scale=2)))
    unscaled = 123_456_789
    raw = unscaled.to_bytes(4, "big")
    try:
        event = decode(bytes([len(raw) * 2]) + raw, schema)
    except RejectedError:
        return
    assert Decimal(json.loads(to_json(event))["x"]) == Decimal(unscaled) / 100


def test_order_is_kept() -> None:
    """Fields stand in the schema's order, a map's entries in the producer's."""
    fields = [{"name": name, "type": "int"} for name in "zay"]
    kind = {"type": "record", "name": "Inner", "fields": fields}
    assert _json_of(kind, {"a": 2, "y": 3, "z": 1}) == '{"x":{"z":1,"a":2,"y":3}}'
    assert _json_of({"type": "map", "values": "int"}, {"b": 1, "": 2, "a": 3}) == '{"x":{"b":1,"":2,"a":3}}'


_HOLDERS = {
    "array": ({"type": "array", "items": "double"}, _FLOATS, _AS_TEXT),
    "map": (
        {"type": "map", "values": "float"},
        dict(zip("abcd", _FLOATS, strict=True)),
        dict(zip("abcd", _AS_TEXT, strict=True)),
    ),
    "union": (["null", "double"], _FLOATS[0], _AS_TEXT[0]),
    "record": (
        {"type": "record", "name": "I", "fields": [{"name": "f", "type": "float"}]},
        {"f": _FLOATS[2]},
        {"f": _AS_TEXT[2]},
    ),
    "all": (
        {
            "type": "array",
            "items": [
                "null",
                {
                    "type": "map",
                    "values": {
                        "type": "record",
                        "name": "I",
                        "fields": [{"name": "f", "type": ["null", {"type": "array", "items": "double"}]}],
                    },
                },
            ],
        },
        [None, {"k": {"f": _FLOATS}}, {"k": {"f": None}}],
        [None, {"k": {"f": _AS_TEXT}}, {"k": {"f": None}}],
    ),
}


@pytest.mark.parametrize("holder", _HOLDERS)
def test_non_finite_numbers_are_text_wherever_they_stand(holder: str) -> None:
    """NaN and the infinities become the strings that BigQuery casts, at any depth; other floats stay."""
    kind, value, expected = _HOLDERS[holder]
    text = _json_of(kind, value)
    assert json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON")) == {"x": expected}
