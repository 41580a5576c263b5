"""docs/values.md, row by row: an Avro value through the decoder, and read by BigQuery's emulator."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import pytest
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery as bq

from decoder.values import to_json
from local import bigquery
from local.processes import accepts, free_port
from tests.unit.decoder.making import decode, record, schemaless

_DOC = Path(__file__).parents[2] / "docs" / "values.md"
_DOCK = {"type": "record", "name": "a.Dock", "fields": [{"name": "x", "type": "int"}]}
_BIN = {"type": "record", "name": "a.Bin", "fields": [{"name": "y", "type": "int"}]}
_MOMENT = datetime(2024, 2, 29, 23, 59, 59, 987_654)  # noqa: DTZ001 - of no zone
_NANOS = 1_709_251_199_987_654_321
_NUMERIC = Decimal("12345678901234567890123456789.123456789")
_BIGNUMERIC = Decimal("1234567890123456789012345678.0123456789")


def _logical(kind: str, name: str) -> dict[str, object]:
    return {"type": kind, "logicalType": name}


def _decimal(precision: int, scale: int) -> dict[str, object]:
    return {**_logical("bytes", "decimal"), "precision": precision, "scale": scale}


# The table's first column → the field's type, a value that fastavro writes, and what BigQuery answers.
_VALUES: dict[str, tuple[object, object, object]] = {
    "null": ("null", None, True),
    "boolean": ("boolean", True, True),
    "int": ("int", -(2**31), -(2**31)),
    "long": ("long", 2**63 - 1, 2**63 - 1),
    "float": ("float", 0.5, 0.5),
    "double": ("double", 0.1, 0.1),
    "double, not finite": ("double", float("-inf"), float("-inf")),
    "bytes": ("bytes", b"\x00\xff\xfe", b"\x00\xff\xfe"),
    "string": ("string", "ünï\n😀", "ünï\n😀"),
    "fixed": ({"type": "fixed", "name": "F", "size": 2}, b"\xff\x00", b"\xff\x00"),
    "enum": ({"type": "enum", "name": "E", "symbols": ["VAN", "CAR"]}, "CAR", "CAR"),
    "array": ({"type": "array", "items": "int"}, [1, 2], 2),
    "array of records": ({"type": "array", "items": _DOCK}, [{"x": 1}, {"x": 2}], [1, 2]),
    "array of arrays": ({"type": "array", "items": {"type": "array", "items": "int"}}, [[1, 2], [3]], 3),
    "array of decimals": (
        {"type": "array", "items": _decimal(38, 9)},
        [Decimal("1.000000001"), Decimal("-0.5")],
        [Decimal("1.000000001"), Decimal("-0.5")],
    ),
    "map": ({"type": "map", "values": "int"}, {"a key": 1}, 1),
    "map of records": ({"type": "map", "values": _DOCK}, {"a key": {"x": 1}}, 1),
    "record": (_DOCK, {"x": 1}, 1),
    "union with null": (["null", "long"], None, True),
    "union of several": ([_BIN, _DOCK], ("a.Dock", {"x": 1}), 1),
    "decimal up to (38, 9)": (_decimal(38, 9), _NUMERIC, _NUMERIC),
    # All that the emulator's BIGNUMERIC holds; see the test of more digits below.
    "decimal up to (76, 38)": (_decimal(76, 10), _BIGNUMERIC, _BIGNUMERIC),
    "decimal, wider": (
        _decimal(41, 1),
        Decimal("1234567890123456789012345678901234567890.5"),
        "1234567890123456789012345678901234567890.5",
    ),
    "uuid": (
        _logical("string", "uuid"),
        "6D6D2C1E-5D1C-4B0A-9D55-0D7A4F0C2B11",
        "6d6d2c1e-5d1c-4b0a-9d55-0d7a4f0c2b11",
    ),
    "date": (_logical("int", "date"), date(2024, 2, 29), date(2024, 2, 29)),
    "time-millis": (_logical("int", "time-millis"), time(23, 59, 59, 987_000), time(23, 59, 59, 987_000)),
    "time-micros": (_logical("long", "time-micros"), time(23, 59, 59, 987_654), time(23, 59, 59, 987_654)),
    "timestamp-millis": (
        _logical("long", "timestamp-millis"),
        datetime(2024, 2, 29, 23, 59, 59, 987_000, UTC),
        datetime(2024, 2, 29, 23, 59, 59, 987_000, UTC),
    ),
    "timestamp-millis, whole seconds": (
        _logical("long", "timestamp-millis"),
        datetime(2024, 2, 29, 23, 59, 59, 0, UTC),
        datetime(2024, 2, 29, 23, 59, 59, 0, UTC),
    ),
    "timestamp-micros": (
        _logical("long", "timestamp-micros"),
        -1,
        datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
    ),
    "timestamp-nanos": (_logical("long", "timestamp-nanos"), _NANOS, _MOMENT.replace(tzinfo=UTC)),
    "local-timestamp-millis": (
        _logical("long", "local-timestamp-millis"),
        _MOMENT.replace(microsecond=987_000),
        _MOMENT.replace(microsecond=987_000),
    ),
    "local-timestamp-micros": (_logical("long", "local-timestamp-micros"), _MOMENT, _MOMENT),
    "local-timestamp-nanos": (_logical("long", "local-timestamp-nanos"), _NANOS, _MOMENT),
    "duration": (
        {"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"},
        b"\x01\0\0\0\x02\0\0\0\x03\0\0\0",
        b"\x01\0\0\0\x02\0\0\0\x03\0\0\0",
    ),
}


def _table() -> list[tuple[str, str, str]]:
    """Return the rows of the document's table: the Avro type, its JSON, the expression."""
    rows = re.findall(r"^\| ([^|`]+) \| `(.+?)` \| `(.+?)` \|$", _DOC.read_text(), re.MULTILINE)
    return [(name, text, expression) for name, text, expression in rows]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bq.Client]:
    """Give a client of a running emulator."""
    folder = tmp_path_factory.mktemp("bigquery")
    port = free_port()
    process = bigquery.start(port, free_port(), folder, folder / "bigquery.log")
    try:
        process.await_ready(lambda: accepts(port))
        yield bigquery.connect(port, "local")
    finally:
        process.stop()


def test_every_type_has_a_row() -> None:
    """The document's table and the values that are tested are the same."""
    assert [name for name, _, _ in _table()] == list(_VALUES)


@pytest.mark.parametrize(("name", "text", "expression"), _table(), ids=[name for name, _, _ in _table()])
def test_row_of_the_table(client: bq.Client, name: str, text: str, expression: str) -> None:
    """The value is the JSON that the table shows, and BigQuery reads it as the table says."""
    kind, value, expected = _VALUES[name]
    event_json = _event_json(kind, value)
    assert event_json == f'{{"f":{text}}}'
    assert _ask(client, event_json, expression) == expected


@pytest.mark.parametrize(
    "digits",
    [
        "0.000000001",
        "-0.123456789",
        "-99999999999999999999999999999.999999999",
    ],
)
def test_a_numeric_is_exact(client: bq.Client, digits: str) -> None:
    """Nine digits behind the point and 29 before it arrive as they were sent, as the table reads them."""
    (expression,) = [expression for name, _, expression in _table() if name == "decimal up to (38, 9)"]
    event_json = _event_json(_decimal(38, 9), Decimal(digits))
    assert event_json == f'{{"f":"{digits}"}}'
    assert _ask(client, event_json, expression) == Decimal(digits)


@pytest.mark.parametrize(
    "digits",
    [
        "0.00000000000000000000000000000000000001",
        "12345678901234567890123456789012345678.12345678901234567890123456789012345678",
    ],
)
def test_a_bignumeric_is_whole_in_the_json_and_not_in_the_emulator(client: bq.Client, digits: str) -> None:
    """All 38 and 38 digits are in event_json; the emulator's type is too narrow, as the page says."""
    event_json = _event_json(_decimal(76, 38), Decimal(digits))
    assert event_json == f'{{"f":"{digits}"}}'
    assert _ask(client, event_json, "v") == digits
    try:
        answer = _ask(client, event_json, "PARSE_BIGNUMERIC(v)")
    except BadRequest:
        answer = None
    assert answer != Decimal(digits), "the emulator can hold it now: say so in docs/values.md"


def test_timestamps_sort_as_timestamps_only(client: bq.Client) -> None:
    """A whole second's text sorts after the half second behind it; what it is cast to does not."""
    whole = datetime(2024, 2, 29, 23, 59, 59, 0, UTC)
    moments = {"a": whole, "b": whole.replace(microsecond=500_000)}
    field = _logical("long", "timestamp-micros")
    schema = record(**dict.fromkeys(moments, field))
    event_json = to_json(decode(schemaless(dict(moments), schema), schema))
    a, b = (f"JSON_VALUE(event_json, '$.{name}')" for name in moments)
    assert _ask(client, event_json, f"IF({a} < {b}, 'a', 'b')") == "b"
    assert _ask(client, event_json, f"IF(CAST({a} AS TIMESTAMP) < CAST({b} AS TIMESTAMP), 'a', 'b')") == "a"


def _event_json(kind: object, value: object) -> str:
    schema = record(f=kind)
    return to_json(decode(schemaless({"f": value}, schema), schema))


def _ask(client: bq.Client, event_json: str, expression: str) -> object:
    query = f"WITH t AS (SELECT @event_json AS event_json) SELECT {_spelled(expression)} AS answer FROM t"
    parameter = bq.ScalarQueryParameter("event_json", "STRING", event_json)
    config = bq.QueryJobConfig(query_parameters=[parameter])
    (row,) = client.query(query, job_config=config).result()
    answer: object = row.answer
    return answer


def _spelled(expression: str) -> str:
    return re.sub(r"\bv\b", "JSON_VALUE(event_json, '$.f')", expression)
