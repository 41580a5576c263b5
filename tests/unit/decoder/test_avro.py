"""Avro bytes: both forms, every byte consumed, and nothing raised but RejectedError."""

import io
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice

import fastavro
import pytest
from fastavro.types import Schema
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder.catalog import Catalog, load_catalog
from decoder.streams import catalog_files
from rejection import Reason, RejectedError
from tests.events import SampleEvent, sample_events
from tests.unit.decoder.making import decode, plain

_NOTED = {
    "type": "record",
    "name": "a.Noted",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "note", "type": ["null", "string"]},
    ],
}
_SCHEMA = fastavro.parse_schema(_NOTED)
_EVENT: dict[str, object] = {"id": "7", "timestamp": datetime(2024, 2, 29, tzinfo=UTC), "note": "wörld"}
_MARKER = b"0123456789abcdef"


def _schemaless(event: Mapping[str, object] = _EVENT, schema: Schema = _SCHEMA) -> bytes:
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, schema, event)
    return buffer.getvalue()


def _container(*events: Mapping[str, object], schema: Schema = _SCHEMA, codec: str = "null") -> bytes:
    buffer = io.BytesIO()
    fastavro.writer(buffer, schema, events, codec=codec, sync_marker=_MARKER)
    return buffer.getvalue()


def _long(number: int) -> bytes:
    """Return a positive number as Avro writes a long."""
    number <<= 1
    digits = []
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])


def _rejection(value: bytes, schema: Schema = _SCHEMA) -> RejectedError:
    with pytest.raises(RejectedError) as caught:
        decode(value, schema)
    return caught.value


@pytest.fixture(scope="module")
def samples() -> list[SampleEvent]:
    """Give one schemaless record of each type that the local stack produces."""

    def clock() -> datetime:
        return datetime(2024, 2, 29, 23, 59, 59, 987_654, tzinfo=UTC)

    def schemaless() -> Iterator[SampleEvent]:
        for sample in islice(sample_events(7, clock, 0.0), 1_000):
            if not (sample.value or b"").startswith(b"Obj\x01"):
                yield sample

    by_type = {(sample.topic, sample.item_type_name): sample for sample in schemaless()}
    return list(by_type.values())


def _unlabelled(value: object) -> object:
    """Return an event without the names of its unions' branches."""
    if isinstance(value, list):
        return [_unlabelled(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and "." in next(iter(value)):
        return _unlabelled(next(iter(value.values())))
    return {name: _unlabelled(inner) for name, inner in value.items()}


def test_schemaless_event() -> None:
    """The legacy system's form: the bare bytes of one event."""
    assert decode(_schemaless(), _SCHEMA) == _EVENT


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "snappy", "xz"])
def test_container_of_one_event(codec: str) -> None:
    """Its fallback: an Avro object container, whose own schema writes the event."""
    assert decode(_container(_EVENT, codec=codec), _SCHEMA) == _EVENT


def test_schemaless_event_that_begins_as_a_container() -> None:
    """A schemaless event whose first bytes are a container's magic is still an event."""
    event = {"a": -40, "b": 49, "c": 53, "d": -1}
    schema = fastavro.parse_schema(
        {"type": "record", "name": "R", "fields": [{"name": name, "type": "int"} for name in "abcd"]}
    )
    assert _schemaless(event, schema) == b"Obj\x01"
    assert decode(b"Obj\x01", schema) == event


@pytest.mark.parametrize("item_type_name", ["DeliveryOnHoldV6", "DeliveryFailedV6"])
def test_container_named_for_a_type_that_shares_its_schema(
    catalog: Catalog, samples: list[SampleEvent], item_type_name: str
) -> None:
    """A producer's container has the type's own name, not that of the file in which the type is listed."""
    sample = next(s for s in samples if s.item_type_name.endswith(item_type_name))
    raw = json.loads((catalog_files().schemas / sample.topic / "DeliveryEventV6.avsc").read_bytes())
    del raw["item_types"]
    written = fastavro.parse_schema({**raw, "name": item_type_name})
    event_type = catalog.types[sample.topic, sample.item_type_name]
    assert decode(_container(sample.event, schema=written), event_type.schema) == plain(sample.event)


def test_container_of_an_older_schema_is_resolved() -> None:
    """A container written before a field existed gives the event with the field's default."""
    newer = fastavro.parse_schema(
        {**_NOTED, "fields": [*_NOTED["fields"], {"name": "level", "type": "int", "default": 3}]}
    )
    assert decode(_container(_EVENT), newer) == {**_EVENT, "level": 3}


def test_default_without_an_end_rejects_the_container() -> None:
    """A type that holds itself in its own default has no value; the event is a dead letter, no exception."""
    endless = {"type": "record", "name": "L", "fields": [{"name": "n", "type": ["L", "null"], "default": {}}]}
    newer = fastavro.parse_schema(
        {**_NOTED, "fields": [*_NOTED["fields"], {"name": "l", "type": endless, "default": {}}]}
    )
    assert "the default has no end" in str(_rejection(_container(_EVENT), newer))


def test_container_of_another_type_is_undecodable() -> None:
    """A container whose schema does not resolve against the type's is refused."""
    other = fastavro.parse_schema(
        {"type": "record", "name": "Other", "fields": [{"name": "x", "type": "int"}]}
    )
    rejection = _rejection(_container({"x": 1}, schema=other))
    assert rejection.reason == Reason.UNDECODABLE
    assert "record Other cannot be read as record a.Noted" in str(rejection)


def test_empty_container_is_undecodable() -> None:
    """A container without an event is no event."""
    rejection = _rejection(_container())
    assert rejection.reason == Reason.UNDECODABLE
    assert "is empty" in str(rejection)


@pytest.mark.parametrize("count", [2, 3, 500])
def test_container_of_more_events_has_trailing_bytes(count: int) -> None:
    """A container of more than one event would lose all but the first."""
    rejection = _rejection(_container(*[_EVENT] * count))
    assert rejection.reason == Reason.TRAILING_BYTES
    assert "more than one event" in str(rejection)


def test_container_cut_short_anywhere_is_refused() -> None:
    """Every truncation of a container is refused."""
    value = _container(_EVENT)
    for length in range(len(value)):
        assert _rejection(value[:length]).reason in (Reason.UNDECODABLE, Reason.TRAILING_BYTES)


@pytest.mark.parametrize(
    "tail", [b"\x00", b"\x80", b"\xff\xff", b"x", _MARKER, _long(1) + _long(1) + b"x" + b"?" * 16]
)
def test_bytes_behind_a_container_are_refused(tail: bytes) -> None:
    """What follows the last block of a container is not dropped in silence."""
    assert _rejection(_container(_EVENT) + tail)


@pytest.mark.parametrize("extra", [b"x", _schemaless()], ids=["a byte", "an event"])
def test_bytes_left_over_in_a_block_are_refused(extra: bytes) -> None:
    """A block that says one event and holds more bytes than that has trailing bytes."""
    block = _schemaless() + extra
    value = _container() + _long(1) + _long(len(block)) + block + _MARKER
    assert _rejection(value).reason == Reason.TRAILING_BYTES


@pytest.mark.parametrize("extra", [b"\x00", b"\n", b"\x00" * 100, _schemaless()], ids=len)
def test_trailing_bytes_are_refused(extra: bytes) -> None:
    """Bytes behind a schemaless event are a reason of their own, with their place and number."""
    value = _schemaless() + extra
    rejection = _rejection(value)
    assert rejection.reason == Reason.TRAILING_BYTES
    assert f"ends at byte {len(value) - len(extra)} of {len(value)}, {len(extra)} bytes follow" in str(
        rejection
    )


def test_every_type_of_the_repository_decodes(catalog: Catalog, samples: list[SampleEvent]) -> None:
    """Each type of the catalogue has a sample event, which decodes to what it was made from."""
    assert {(s.topic, s.item_type_name) for s in samples} == set(catalog.types)
    for sample in samples:
        schema = catalog.types[sample.topic, sample.item_type_name].schema
        read = fastavro.schemaless_reader(io.BytesIO(sample.value or b""), schema, None)
        assert read == sample.event
        assert _unlabelled(decode(sample.value or b"", schema)) == plain(read)


def test_event_cut_short_anywhere_is_refused(catalog: Catalog, samples: list[SampleEvent]) -> None:
    """Every truncation of an event of every type is undecodable."""
    for sample in samples:
        schema = catalog.types[sample.topic, sample.item_type_name].schema
        value = sample.value or b""
        for length in range(len(value)):
            assert _rejection(value[:length], schema).reason == Reason.UNDECODABLE


def test_empty_value_is_undecodable() -> None:
    """An empty value is no event."""
    rejection = _rejection(b"")
    assert rejection.reason == Reason.UNDECODABLE
    assert "byte 0 of 0" in str(rejection)


def test_event_of_another_type_is_refused(catalog: Catalog, samples: list[SampleEvent]) -> None:
    """An event under another type's schema is refused, unless the two types share their fields."""
    for sample in samples:
        own = catalog.types[sample.topic, sample.item_type_name]
        for other in catalog.types.values():
            if other.file != own.file:
                assert _rejection(sample.value or b"", other.schema).reason in (
                    Reason.UNDECODABLE,
                    Reason.TRAILING_BYTES,
                )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"\x02\xff" + _schemaless()[2:], "field id, at byte 1 of 16: not UTF-8"),
        (
            _schemaless({**_EVENT, "note": None})[:-1] + b"\x04",
            "field note, at byte 8 of 9: branch 2 of a union that has 2",
        ),
        (b"\x01", "field id, at byte 0 of 1: a length of -1 bytes"),
        (
            b"\x02a" + b"\xff" * 9 + b"\x01\x00",
            "field timestamp, at byte 2 of 13: -9223372036854775808 is no timestamp-millis",
        ),
    ],
    ids=["not UTF-8", "no such branch", "negative length", "timestamp out of range"],
)
def test_impossible_bytes_are_undecodable(value: bytes, said: str) -> None:
    """Whatever is wrong with bytes is one reason, and the text gives type, field and place."""
    rejection = _rejection(value)
    assert rejection.reason == Reason.UNDECODABLE
    assert "not Avro of the type a.Noted, field " in str(rejection)
    assert said in str(rejection)


_CATALOG = load_catalog()
_VALUE = _schemaless()
_mutated = st.builds(
    lambda value, at, junk: value[: at % len(value)] + junk + value[at % len(value) + len(junk) :],
    st.sampled_from([_VALUE, _container(_EVENT), _container(_EVENT, codec="deflate")]),
    st.integers(0, 10_000),
    st.binary(min_size=1, max_size=4),
)


@settings(max_examples=250)
@given(
    st.one_of(_mutated, st.binary(max_size=200), st.binary(max_size=60).map(lambda b: b"Obj\x01" + b)),
    st.sampled_from([_SCHEMA, *(event_type.schema for event_type in _CATALOG.types.values())]),
)
def test_any_bytes_are_an_event_or_rejected(value: bytes, schema: Schema) -> None:
    """Arbitrary and spoiled bytes under any schema give an event or a reason, nothing else."""
    try:
        event = decode(value, schema)
    except RejectedError as rejection:
        assert rejection.reason in (Reason.UNDECODABLE, Reason.TRAILING_BYTES)  # noqa: PT017 - either is right
    else:
        assert {"id", "timestamp"} <= event.keys()


def test_every_schema_file_is_read(catalog: Catalog) -> None:
    """No schema of the catalog stands unused."""
    files = {f"schemas/{path.parent.name}/{path.name}" for path in catalog_files().schemas.glob("*/*.avsc")}
    assert {event_type.file for event_type in catalog.types.values()} == files


def _container_with(extra: object, event: object, *, codec: str = "null") -> bytes:
    """Return a container whose own schema has one field more than the type's."""
    record = json.loads(json.dumps(_SAFE))
    record["fields"].append({"name": "extra", "type": extra})
    buffer = io.BytesIO()
    events = [] if event is None else [{"id": "1", "extra": event}]
    fastavro.writer(buffer, record, events, codec=codec, sync_marker=_MARKER)
    return buffer.getvalue()


_SAFE = {"type": "record", "name": "Safe", "fields": [{"name": "id", "type": "string"}]}
_ENDLESS = {"type": "record", "name": "R", "fields": [{"name": "next", "type": "R"}]}
_EMPTY = {"type": "record", "name": "E", "fields": []}


@pytest.mark.parametrize(
    ("extra", "event", "said"),
    [
        (_ENDLESS, None, "must hold another has no end"),
        ({"type": "array", "items": "null"}, [None], "items that take no bytes"),
        ({"type": "array", "items": _EMPTY}, [{}], "items that take no bytes"),
        (
            {"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}},
            [b""],
            "items that take no bytes",
        ),
        ({"type": "bytes", "logicalType": "decimal", "precision": 20_000_000}, b"", "decimal of 20000000"),
    ],
    ids=["recursive", "nulls", "empty records", "empty fixed", "decimal"],
)
def test_container_whose_own_schema_is_unsafe_is_refused(extra: object, event: object, said: str) -> None:
    """The sender chooses a container's schema: one that could end or hang the worker is not read with."""
    value = _container_with(extra, event)
    if event is None:  # nobody can write one
        value += _long(1) + _long(0) + _MARKER
    rejection = _rejection(value, fastavro.parse_schema(_SAFE))
    assert rejection.reason == Reason.UNDECODABLE
    assert said in str(rejection)


def test_container_may_have_a_field_that_the_type_lacks() -> None:
    """A harmless field more in the container's own schema is in the event."""
    value = _container_with({"type": "array", "items": "string"}, ["a"], codec="deflate")
    assert decode(value, fastavro.parse_schema(_SAFE)) == {"id": "1", "extra": ["a"]}
