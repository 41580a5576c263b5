"""The row of an event: every column, and each reason why there is none."""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder.catalog import Catalog
from decoder.dead_letters import DeadLetterRow
from decoder.rows import EventRow, HeaderCell, event_row, find_type, insert_id, to_datetime
from envelope import Record
from rejection import Reason, RejectedError

_TABLES = Path(__file__).parents[3] / "sink" / "tables"
_NOW_NS = 1_709_251_200_123_456_789  # 2024-03-01 00:00:00 UTC and a bit
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


def _change(record: Record, **changes: object) -> Record:
    return msgspec.structs.replace(record, **changes)


def _row(record: Record, catalog: Catalog, now_ns: int = _NOW_NS) -> dict[str, object]:
    """Return the row as BigQuery gets it."""
    _, row = event_row(record, "prod", catalog, now_ns)
    columns: dict[str, object] = json.loads(msgspec.json.encode(row))
    return columns


def _reason(record: Record, catalog: Catalog) -> tuple[Reason, str]:
    with pytest.raises(RejectedError) as caught:
        event_row(record, "prod", catalog, _NOW_NS)
    return caught.value.reason, str(caught.value)


def test_every_column(rated: Record, catalog: Catalog) -> None:
    """All columns of a row, the legacy ones with their meaning, as the JSON text that is inserted."""
    table, _ = event_row(rated, "prod", catalog, _NOW_NS)
    assert table == "delivery_changed"
    assert _row(rated, catalog) == {
        "timestamp": "2024-02-29T23:59:59.987000Z",
        "event_id": "6d6d2c1e-5d1c-4b0a-9d55-0d7a4f0c2b11",
        "event_type": "DeliveryRatedV6",
        "event_json": (
            '{"id":"6d6d2c1e-5d1c-4b0a-9d55-0d7a4f0c2b11","timestamp":"2024-02-29T23:59:59.987000Z",'
            '"delivery_id":"00000000-0000-4000-8000-000000000001","stars":5,"asked_by":"PUSH",'
            '"tags":["ON_TIME","FRIENDLY"],"comment":"très bien","tip":"2.50"}'
        ),
        "topic_version": 6,
        "is_current_version": True,
        "stream_timestamp": "1709251200123456789",
        "stream_timestamp_date": "2024-03-01",
        "stream_timestamp_hour": "2024-03-01 00:00:00",
        "kafka_topic": "delivery_events_v6_topic",
        "kafka_partition": 3,
        "kafka_offset": "9007199254740993",
        "kafka_timestamp": "2024-02-29T23:59:59.999000Z",
        "kafka_date": "2024-02-29",
        "kafka_key": "AP9rZXk=",
        "kafka_headers": [
            {"name": "item_type_name", "value": "ZGVsaXZlcnkuZXZlbnRzLnY2LkRlbGl2ZXJ5UmF0ZWRWNg=="},
            {"name": "trace", "value": None},
            {"name": "", "value": "/g=="},
            {"name": "trace", "value": "Mg=="},
        ],
        "env": "prod",
    }


@pytest.mark.parametrize(("file", "row"), [("event.json", EventRow), ("dead_letter.json", DeadLetterRow)])
def test_columns_are_those_of_the_table(file: str, row: type[msgspec.Struct]) -> None:
    """The row's fields are the table's columns, in order, and may be null where the column may."""
    columns = json.loads((_TABLES / file).read_bytes())
    assert [column["name"] for column in columns] == list(row.__struct_fields__)
    nullable = {field.name for field in msgspec.structs.fields(row) if "None" in str(field.type)}
    assert {column["name"] for column in columns if column["mode"] == "NULLABLE"} == nullable
    cells = next(column["fields"] for column in columns if column["name"] == "kafka_headers")
    assert [cell["name"] for cell in cells] == list(HeaderCell.__struct_fields__)


@pytest.fixture
def _in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run a test as on a machine nine hours ahead of UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "JST-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_in_tokyo")
@pytest.mark.parametrize(
    ("now_ns", "date", "hour"),
    [
        (1_709_251_199_999_999_999, "2024-02-29", "2024-02-29 23:00:00"),
        (1_709_251_200_000_000_000, "2024-03-01", "2024-03-01 00:00:00"),
        (1_709_254_799_999_999_999, "2024-03-01", "2024-03-01 00:00:00"),
        (1_709_254_800_000_000_000, "2024-03-01", "2024-03-01 01:00:00"),
    ],
)
def test_hour_and_date_are_utc(rated: Record, catalog: Catalog, now_ns: int, date: str, hour: str) -> None:
    """The clock's last nanosecond of an hour is still that hour, in UTC wherever the function runs."""
    row = _row(rated, catalog, now_ns)
    assert [row[f"stream_timestamp{part}"] for part in ("", "_date", "_hour")] == [str(now_ns), date, hour]


def test_record_without_timestamp_key_and_headers_of_its_own(rated: Record, catalog: Catalog) -> None:
    """What Kafka does not have is null in the row."""
    bare = _change(rated, timestamp=None, key=None, headers=rated.headers[:1])
    row = _row(bare, catalog)
    assert [row[name] for name in ("kafka_timestamp", "kafka_date", "kafka_key")] == [None, None, None]
    _, without_env = event_row(bare, None, catalog, _NOW_NS)
    assert without_env.env is None


@pytest.mark.parametrize(
    ("milliseconds", "timestamp", "date"),
    [
        (0, "1970-01-01T00:00:00Z", "1970-01-01"),
        (-1, "1969-12-31T23:59:59.999000Z", "1969-12-31"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999000Z", "9999-12-31"),
        (-62_135_596_800_000, "0001-01-01T00:00:00Z", "0001-01-01"),
    ],
)
def test_kafka_timestamps_of_all_years(
    rated: Record, catalog: Catalog, milliseconds: int, timestamp: str, date: str
) -> None:
    """Every timestamp that BigQuery can hold has its instant and its date, of four digits a year."""
    row = _row(_change(rated, timestamp=milliseconds), catalog)
    assert (row["kafka_timestamp"], row["kafka_date"]) == (timestamp, date)


@pytest.mark.parametrize(
    "milliseconds", [253_402_300_800_000, -62_135_596_800_001, _INT64_MIN, _INT64_MAX, 1_709_251_199_999_000]
)
def test_kafka_timestamp_out_of_range_is_refused(rated: Record, catalog: Catalog, milliseconds: int) -> None:
    """A timestamp that no TIMESTAMP can hold would lose the row's partition: a dead letter says so."""
    reason, message = _reason(_change(rated, timestamp=milliseconds), catalog)
    assert reason == Reason.ROW_REFUSED
    assert f"{milliseconds} ms" in message
    assert to_datetime(milliseconds) is None


def test_unknown_topic(rated: Record, catalog: Catalog) -> None:
    """A topic that no stream has: whatever else is wrong with the record, this comes first."""
    for value in (rated.value, None):
        reason, message = _reason(_change(rated, topic="other", value=value, headers=()), catalog)
        assert (reason, "'other'" in message) == (Reason.UNKNOWN_TOPIC, True)


def test_tombstone(rated: Record, catalog: Catalog) -> None:
    """A record without a value, of whatever type."""
    assert _reason(_change(rated, value=None), catalog)[0] == Reason.TOMBSTONE
    assert _reason(_change(rated, value=None, headers=()), catalog)[0] == Reason.TOMBSTONE


@pytest.mark.parametrize("headers", [(), (("Item_type_name", b"x"),), (("item_type_name", None),)], ids=str)
def test_missing_type_header(
    rated: Record, catalog: Catalog, headers: tuple[tuple[str, bytes | None], ...]
) -> None:
    """No header item_type_name, or one without a value."""
    reason, message = _reason(_change(rated, headers=headers), catalog)
    assert (reason, "item_type_name" in message) == (Reason.MISSING_TYPE_HEADER, True)


@pytest.mark.parametrize(
    "name",
    [b"", b"DeliveryRatedV6", b"delivery.events.v6.deliveryratedv6", b"\xff\xfe", b"os.system", b"x" * 5_000],
)
def test_unknown_type(rated: Record, catalog: Catalog, name: bytes) -> None:
    """A header that names no type of the topic exactly; the message says which there are."""
    reason, message = _reason(_change(rated, headers=(("item_type_name", name),)), catalog)
    assert reason == Reason.UNKNOWN_TYPE
    assert "delivery_events_v6_topic" in message
    assert "delivery.events.v6.DeliveryOnHoldV6" in message
    assert len(message) < 1_500


def test_type_of_another_topic_is_unknown(rated: Record, catalog: Catalog) -> None:
    """A type is looked for within the record's own topic only."""
    assert _reason(_change(rated, topic="delivery_events_v4_topic"), catalog)[0] == Reason.UNKNOWN_TYPE


def test_undecodable(rated: Record, catalog: Catalog) -> None:
    """Bytes that are no event of the type, an empty value among them."""
    assert _reason(_change(rated, value=b"\x01\x02"), catalog)[0] == Reason.UNDECODABLE
    assert _reason(_change(rated, value=b""), catalog)[0] == Reason.UNDECODABLE


def test_trailing_bytes(rated: Record, catalog: Catalog) -> None:
    """An event with something behind it."""
    assert _reason(_change(rated, value=(rated.value or b"") + b"\x00"), catalog)[0] == Reason.TRAILING_BYTES


def test_last_of_repeated_type_headers_wins(rated: Record, catalog: Catalog) -> None:
    """As in the legacy system, where the headers became a dict."""
    (own,) = (value for name, value in rated.headers if name == "item_type_name")
    last = _change(rated, headers=(("item_type_name", b"unknown"), ("item_type_name", own)))
    assert find_type(last, catalog).name == "DeliveryRatedV6"
    first = _change(rated, headers=(("item_type_name", own), ("item_type_name", b"unknown")))
    assert _reason(first, catalog)[0] == Reason.UNKNOWN_TYPE


def test_event_json_is_the_whole_event(
    rated: Record, catalog: Catalog, rated_event: Mapping[str, object]
) -> None:
    """event_json holds every field of the event, in the schema's order."""
    assert list(json.loads(str(_row(rated, catalog)["event_json"]))) == list(rated_event)


_positions = st.tuples(
    st.sampled_from(["a", "a/1", "a/1/2", "1", "t" * 100, "t" * 249, "t" * 249 + "/1", "é" * 500]),
    st.integers(0, 3) | st.just(2**31 - 1),
    st.integers(0, 3) | st.just(_INT64_MAX),
    st.none() | st.integers(-2, 3) | st.sampled_from([_INT64_MIN, _INT64_MAX]),
)


def _insert_id(topic: str, partition: int, offset: int, timestamp: int | None) -> str:
    return insert_id(Record(topic, partition, offset, timestamp, None, (), None))


@settings(max_examples=150)
@given(_positions, _positions)
def test_insert_id_is_short_and_the_records_own(
    one: tuple[str, int, int, int | None], other: tuple[str, int, int, int | None]
) -> None:
    """Different positions have different ids, equal ones the same, none longer than BigQuery takes."""
    first, second = _insert_id(*one), _insert_id(*other)
    assert 0 < len(first) <= 128
    assert (first == second) is (one == other)


def test_insert_id_is_readable_where_it_can_be() -> None:
    """It is the position itself, so a person finds it; the timestamp tells a recreated topic apart."""
    assert _insert_id("orders", 3, 42, 1_700_000_000_000) == "orders/3/42/1700000000000"
    assert _insert_id("orders", 3, 42, None) == "orders/3/42/None"
