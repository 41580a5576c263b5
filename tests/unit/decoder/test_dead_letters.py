"""Dead letters: every column, what identifies one, and how a large one fits into a row."""

import base64
import hashlib
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder.dead_letters import (
    DeadLetterRow,
    dead_letter_of_bytes,
    dead_letter_of_record,
    fit,
    identity,
)
from decoder.rows import insert_id
from envelope import Record
from rejection import Reason, RejectedError

_NOW_NS = 1_709_251_199_123_456_000
_REJECTION = RejectedError(Reason.UNKNOWN_TYPE, "no such type")
_RECORD = Record(
    topic="t",
    partition=3,
    offset=2**53 + 1,
    timestamp=1_709_251_199_999,
    key=b"\xff",
    headers=(("item_type_name", b"a.\xff"), ("x", None), ("x", b"")),
    value=b"\x00value",
)


def _change(record: Record, **changes: object) -> Record:
    return msgspec.structs.replace(record, **changes)


def _of_record(
    record: Record = _RECORD, rejection: RejectedError = _REJECTION, env: str | None = "prod"
) -> DeadLetterRow:
    return dead_letter_of_record(record, rejection, env=env, message_id="77", stream="s", now_ns=_NOW_NS)


def _of_bytes(
    data: bytes, message_id: str | None = "77", attributes: dict[str, str] | None = None
) -> DeadLetterRow:
    return dead_letter_of_bytes(
        data, _REJECTION, message_id=message_id, attributes=attributes, now_ns=_NOW_NS
    )


def _columns(body: bytes) -> dict[str, object]:
    columns: dict[str, object] = json.loads(body)
    return columns


def test_every_column_of_a_record() -> None:
    """Reason, provenance, every header and the bytes, as the JSON text that is inserted."""
    body, complete = fit(_of_record(), 10_000)
    assert complete
    assert _columns(body) == {
        "dead_lettered_at": "2024-02-29T23:59:59.123456Z",
        "reason": "unknown_type",
        "message": "no such type",
        "stream": "s",
        "item_type_name": "a.\\xff",
        "env": "prod",
        "message_id": "77",
        "attributes": None,
        "kafka_topic": "t",
        "kafka_partition": 3,
        "kafka_offset": "9007199254740993",
        "kafka_timestamp": "2024-02-29T23:59:59.999000Z",
        "kafka_timestamp_ms": "1709251199999",
        "kafka_key": "/w==",
        "kafka_headers": [
            {"name": "item_type_name", "value": "YS7/"},
            {"name": "x", "value": None},
            {"name": "x", "value": ""},
        ],
        "value": "AHZhbHVl",
        "value_size": 6,
        "value_sha256": hashlib.sha256(b"\x00value").hexdigest(),
        "complete": True,
    }


def test_every_column_of_bytes() -> None:
    """Where no record was found, the message itself is kept: id, attributes and data."""
    body, complete = fit(_of_bytes(b"\xff", attributes={"a": "ü"}), 10_000)
    assert complete
    columns = _columns(body)
    assert {name: value for name, value in columns.items() if value is not None} == {
        "dead_lettered_at": "2024-02-29T23:59:59.123456Z",
        "reason": "unknown_type",
        "message": "no such type",
        "message_id": "77",
        "attributes": '{"a":"ü"}',
        "kafka_headers": [],
        "value": "/w==",
        "value_size": 1,
        "value_sha256": hashlib.sha256(b"\xff").hexdigest(),
        "complete": True,
    }


def test_tombstone_has_no_value() -> None:
    """A tombstone's value is null, not empty; an empty value has a size and a hash."""
    tombstone, empty = _of_record(_change(_RECORD, value=None)), _of_record(_change(_RECORD, value=b""))
    assert (tombstone.value, tombstone.value_size, tombstone.value_sha256) == (None, None, None)
    assert (empty.value, empty.value_size) == (b"", 0)
    assert empty.value_sha256 == hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize("milliseconds", [-(2**63), 2**63 - 1])
def test_timestamp_that_no_column_holds_is_kept_as_a_number(milliseconds: int) -> None:
    """kafka_timestamp is null then, and kafka_timestamp_ms still has it."""
    dead_letter = _of_record(_change(_RECORD, timestamp=milliseconds))
    assert (dead_letter.kafka_timestamp, dead_letter.kafka_timestamp_ms) == (None, str(milliseconds))


def test_last_type_header_is_the_one_shown() -> None:
    """The column has the header that decided; a missing one is null."""
    repeated = (("item_type_name", b"first"), ("item_type_name", b"last"))
    assert _of_record(_change(_RECORD, headers=repeated)).item_type_name == "last"
    assert _of_record(_change(_RECORD, headers=())).item_type_name is None


def test_message_is_cut() -> None:
    """A reason that repeats its input does not fill the row."""
    assert len(_of_record(rejection=RejectedError(Reason.UNDECODABLE, "x" * 5_000)).message) == 2_000


def test_small_one_is_whole() -> None:
    """Up to the limit, to the byte, nothing is left out."""
    body = msgspec.json.encode(_of_record())
    assert fit(_of_record(), len(body)) == (body, True)


def test_value_is_left_out_first() -> None:
    """One byte over the limit costs the value; key and headers stay, with the value's size and hash."""
    dead_letter = _of_record(_change(_RECORD, value=b"v" * 1_000))
    body, complete = fit(dead_letter, len(msgspec.json.encode(dead_letter)) - 1)
    columns = _columns(body)
    assert (complete, columns["complete"], columns["value"]) == (False, False, None)
    assert (columns["kafka_key"], columns["value_size"]) == ("/w==", 1_000)
    assert len(str(columns["kafka_headers"])) > 20
    assert columns["value_sha256"] == hashlib.sha256(b"v" * 1_000).hexdigest()


def test_headers_and_key_are_left_out_next() -> None:
    """Where headers alone are too large they go too, and the position stays."""
    headers = (("item_type_name", b"a.B"), ("x", b"v" * 5_000))
    body, complete = fit(_of_record(_change(_RECORD, headers=headers)), 2_000)
    columns = _columns(body)
    assert (complete, columns["complete"]) == (False, False)
    assert [columns[name] for name in ("value", "kafka_key", "kafka_headers")] == [None, None, []]
    assert [columns[name] for name in ("kafka_topic", "kafka_partition", "item_type_name")] == ["t", 3, "a.B"]
    assert columns["value_size"] == 6


def test_attributes_are_left_out_next() -> None:
    """The same for the attributes of a message in which no record was found."""
    body, complete = fit(_of_bytes(b"v", attributes={"a": "x" * 5_000}), 2_000)
    columns = _columns(body)
    assert (complete, columns["attributes"], columns["message_id"]) == (False, None, "77")


_sizes = st.sampled_from([0, 1, 5_000, 50_000])


@settings(max_examples=80)
@given(_sizes, _sizes, _sizes, _sizes)
def test_any_dead_letter_fits(value: int, header: int, key: int, type_header: int) -> None:
    """Whatever is large, the row is no larger than asked, and says whether it holds everything."""
    headers = (("h", b"\xff" * header), ("item_type_name", b"\xff" * type_header))
    record = _change(_RECORD, headers=headers, key=b"k" * key, value=b"v" * value)
    body, complete = fit(_of_record(record), 20_000)
    assert len(body) <= 20_000
    columns = _columns(body)
    assert columns["complete"] is complete
    assert columns["value_size"] == value
    assert columns["value_sha256"] == hashlib.sha256(b"v" * value).hexdigest()
    if complete:
        assert columns["value"] == base64.b64encode(b"v" * value).decode()


@pytest.mark.parametrize("field", ["topic", "env", "message_id"])
def test_long_provenance_fits(field: str) -> None:
    """A bundle's topic, an environment and a message id may be of any length: the row still fits."""
    long = "x" * 50_000
    dead_letter = (
        _of_bytes(b"", message_id=long)
        if field == "message_id"
        else _of_record(_change(_RECORD, topic=long))
        if field == "topic"
        else _of_record(env=long)
    )
    body, _ = fit(dead_letter, 20_000)
    assert len(body) <= 20_000


def test_identity_is_the_position() -> None:
    """The dead letter of a record is the same one however often it is delivered."""
    assert identity(_of_record(), _RECORD) == insert_id(_RECORD)


def test_identity_without_a_record() -> None:
    """Without a position it is the message id; without one, the hash of the body."""
    assert identity(_of_bytes(b"x"), None) == "77"
    assert identity(_of_bytes(b"x", message_id=None), None) == hashlib.sha256(b"x").hexdigest()


def test_identity_is_short() -> None:
    """BigQuery takes an insertId of 128 characters, whatever a request says its message id is."""
    assert 0 < len(identity(_of_bytes(b"x", message_id="7" * 1_000), None)) <= 128
