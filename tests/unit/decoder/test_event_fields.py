"""Where an event has its id and its timestamp: paths of the topic and of the file, and each mistake named."""

import asyncio
import io
import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import fastavro
import pytest

from decoder.catalog import Catalog
from decoder.framing import decode
from decoder.registry import MissingSchemaError, connect
from decoder.rows import EventRow, event_row
from decoder.samples import sample_events
from decoder.schema_file import schema_fingerprint
from decoder.streams import CatalogError
from envelope import Record
from rejection import RejectedError
from tests.unit.decoder.making import STREAMS, Load, schemaless
from tests.unit.decoder.schema_registry import SchemaRegistry

_MICROS = {"type": "long", "logicalType": "timestamp-micros"}
_STREAMS = STREAMS.replace("current: true", "current: true, id: header.event_id, timestamp: meta.times.at")
_HEADER = {"type": "record", "name": "Header", "fields": [{"name": "event_id", "type": "string"}]}
_TIMES = {"type": "record", "name": "Times", "fields": [{"name": "at", "type": _MICROS}]}
_META = {"type": "record", "name": "Meta", "fields": [{"name": "times", "type": _TIMES}]}
_EVENT: dict[str, object] = {"header": {"event_id": "e-1"}, "meta": {"times": {"at": 1_700_000_000_000_001}}}
_AT = datetime(2023, 11, 14, 22, 13, 20, 1, tzinfo=UTC)


def _schema(
    *fields: object, header: object = _HEADER, meta: object = _META, **more: object
) -> dict[str, object]:
    own = [{"name": "header", "type": header}, {"name": "meta", "type": meta}]
    return {"type": "record", "name": "A", "namespace": "n.s", "fields": [*own, *fields], **more}


def _row(catalog: Catalog, value: bytes) -> EventRow:
    record = Record("t", 0, 0, None, None, (("item_type_name", b"n.s.A"),), value)
    return event_row(record, None, catalog, 0)[1]


def _value(schema: dict[str, object], event: dict[str, object]) -> bytes:
    own = ("id_field", "timestamp_field", "schema_version", "reader_schema")
    return schemaless(event, fastavro.parse_schema({k: v for k, v in schema.items() if k not in own}))


def test_paths_of_the_topic(load: Load) -> None:
    """event_id and timestamp come from the fields that the topic names; event_json stays as it is."""
    row = _row(load({"t/A.avsc": _schema()}, _STREAMS), _value(_schema(), _EVENT))
    assert (row.event_id, row.timestamp) == ("e-1", _AT)
    assert json.loads(row.event_json) == {
        "header": {"event_id": "e-1"},
        "meta": {"times": {"at": "2023-11-14T22:13:20.000001Z"}},
    }


def test_paths_of_the_file_win(load: Load) -> None:
    """A schema file can name other fields than its topic, one or both."""
    other = _schema({"name": "no", "type": "long"}, id_field="no")
    row = _row(load({"t/A.avsc": other}, _STREAMS), _value(other, {**_EVENT, "no": 7}))
    assert (row.event_id, row.timestamp) == ("7", _AT)


@pytest.mark.parametrize(
    ("logical", "value", "expected"),
    [
        ("timestamp-millis", 1_700_000_000_001, datetime(2023, 11, 14, 22, 13, 20, 1_000, UTC)),
        ("timestamp-micros", -1, datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)),
        ("timestamp-nanos", 1_700_000_000_000_001_999, _AT),
        ("timestamp-nanos", -1, datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)),
        ("timestamp-nanos", -(2**63), datetime(1677, 9, 21, 0, 12, 43, 145_224, UTC)),
        ("local-timestamp-millis", 1_700_000_000_001, datetime(2023, 11, 14, 22, 13, 20, 1_000, UTC)),
        ("local-timestamp-micros", 1_700_000_000_000_001, _AT),
        ("local-timestamp-nanos", 1_700_000_000_000_001_999, _AT),
    ],
)
def test_every_timestamp_type_is_an_instant(load: Load, logical: str, value: int, expected: datetime) -> None:
    """Local ones are read as UTC; of nanoseconds those past the microsecond are cut off, never rounded up."""
    schema = _schema({"name": "at", "type": {"type": "long", "logicalType": logical}}, timestamp_field="at")
    row = _row(load({"t/A.avsc": schema}, _STREAMS), _value(schema, {**_EVENT, "at": value}))
    assert row.timestamp == expected
    assert row.timestamp.utcoffset() is not None


def test_uuid_in_sixteen_bytes_is_an_id(load: Load) -> None:
    """A fixed that is a UUID is its text."""
    uuid = UUID("6d6d2c1e-5d1c-4b0a-9d55-0d7a4f0c2b11")
    kind = {"type": "fixed", "name": "Uuid", "size": 16, "logicalType": "uuid"}
    schema = _schema({"name": "no", "type": kind}, id_field="no")
    row = _row(load({"t/A.avsc": schema}, _STREAMS), _value(schema, {**_EVENT, "no": uuid.bytes}))
    assert row.event_id == str(uuid)


_BESIDE = {"name": "at", "type": "long", "logicalType": "timestamp-millis"}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (
            _schema(id_field="head.event_id"),
            r"field 'head' is missing: the record has the fields header, meta$",
        ),
        (
            _schema(id_field="header.id"),
            r"id: header\.id: field 'id' is missing: 'header' has the fields event_id$",
        ),
        (
            _schema(timestamp_field="meta.times.on"),
            r"field 'on' is missing: 'meta\.times' has the fields at$",
        ),
        (
            _schema(id_field="id"),
            r"field 'id' is missing: every event needs one; the record has the fields header, ",
        ),
        (
            _schema(id_field="id"),
            r"set id_field to its path in the schema file, or id of the topic in streams\.yaml",
        ),
        (
            _schema(header=["null", _HEADER]),
            r"id: header\.event_id: field 'header' must be a record, it is a union",
        ),
        (_schema(header={"type": "map", "values": "string"}), "field 'header' must be a record, it is map"),
        (_schema(header={"type": "array", "items": _HEADER}), "field 'header' must be a record, it is array"),
        (
            _schema(id_field="header"),
            "field 'header' must be string or int or long, or a fixed that is a uuid, and",
        ),
        (
            _schema(timestamp_field="header.event_id"),
            r"must be timestamp-millis or .* not null, it is string$",
        ),
        (
            _schema(_BESIDE, timestamp_field="at"),
            r"field 'at' must be timestamp-millis .* next to its type is ign",
        ),
        (
            _schema(_BESIDE, timestamp_field="at"),
            r'write "type": \{"type": "long", "logicalType": "timestamp-mil',
        ),
        (_schema(id_field="a..b"), "Expected `str` matching regex"),
        (_schema(id_field=""), "Expected `str` matching regex"),
        (_schema(id_field=3), "Expected `str"),
    ],
)
def test_wrong_path_is_named(load: Load, schema: dict[str, object], said: str) -> None:
    """The error names the file, the path, the field where it fails, and the fields that are there."""
    with pytest.raises(CatalogError, match=rf"^schemas/t/A\.avsc: .*{said}"):
        load({"t/A.avsc": schema}, _STREAMS)


def test_path_through_a_name(load: Load) -> None:
    """A record on the path may be a type that was defined before, or a recursive one."""
    link = {"name": "next", "type": ["null", "Header"]}
    header = {**_HEADER, "fields": [{"name": "event_id", "type": "string"}, link]}
    schema = _schema({"name": "second", "type": "Header"}, header=header, id_field="second.event_id")
    first: dict[str, object] = {"event_id": "e-1", "next": None}
    event = {**_EVENT, "header": first, "second": {**first, "event_id": "e-2"}}
    assert _row(load({"t/A.avsc": schema}, _STREAMS), _value(schema, event)).event_id == "e-2"


def test_versions_have_paths_of_their_own(load: Load) -> None:
    """Where a framing names the version, each version's events have their id where that version has it."""
    older = _schema({"name": "no", "type": "long"}, id_field="no")
    newer = _schema(schema_version=2)
    streams = _STREAMS.replace("current: true", "current: true, framing: single_object")
    catalog = load({"t/A.avsc": older, "t/A2.avsc": newer}, streams)
    ids = []
    for version, schema in zip(catalog.types["t", "n.s.A"].versions, (older, newer), strict=True):
        value = b"\xc3\x01" + schema_fingerprint(version.schema) + _value(schema, {**_EVENT, "no": 7})
        ids.append(_row(catalog, value).event_id)
    assert ids == ["7", "e-1"]


def test_reader_schema_has_the_paths(load: Load) -> None:
    """With a reader schema its paths are those of all versions: only its events reach a row."""
    older = _schema(header={**_HEADER, "fields": [{"name": "key", "type": "string"}]})
    event_id = {"name": "event_id", "type": "string", "aliases": ["key"]}
    newer = _schema(header={**_HEADER, "fields": [event_id]}, schema_version=2, reader_schema=True)
    streams = _STREAMS.replace("current: true", "current: true, framing: single_object")
    catalog = load({"t/A.avsc": older, "t/A2.avsc": newer}, streams)
    fingerprint = schema_fingerprint(catalog.types["t", "n.s.A"].versions[0].schema)
    value = b"\xc3\x01" + fingerprint + _value(older, {**_EVENT, "header": {"key": "old"}})
    assert _row(catalog, value).event_id == "old"


def _container(schema: dict[str, object], event: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    fastavro.writer(buffer, fastavro.parse_schema(schema), [event])
    return buffer.getvalue()


def test_containers_have_the_paths_of_the_type(load: Load) -> None:
    """A container's event is resolved to the type: the id is where the type has it, or there is no event."""
    catalog = load({"t/A.avsc": _schema()}, _STREAMS)
    more = _schema({"name": "id", "type": "int"})
    assert _row(catalog, _container(more, {**_EVENT, "id": 1})).event_id == "e-1"
    without = {**_schema(), "fields": [{"name": "header", "type": _HEADER}]}
    with pytest.raises(RejectedError, match="meta: the writer has no such field, and it has no default"):
        _row(catalog, _container(without, _EVENT))


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[SchemaRegistry]:
    """Give a registry that the decoder asks."""
    server = SchemaRegistry()
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", server.url)
    connect.cache_clear()
    yield server
    connect.cache_clear()
    server.stop()


def test_registered_schemas_have_the_paths_of_the_type(load: Load, registry: SchemaRegistry) -> None:
    """A schema of the registry needs the fields where the type has them."""
    streams = _STREAMS.replace("current: true", "current: true, framing: confluent")
    catalog = load({"t/A.avsc": _schema()}, streams)
    registry.add(_schema({"name": "id", "type": "int"}), schema_id=7)
    registry.add(_schema(header={**_HEADER, "fields": [{"name": "id", "type": "string"}]}), schema_id=8)
    value = b"\0\0\0\0\x07" + _value(_schema({"name": "id", "type": "int"}), {**_EVENT, "id": 1})
    for number in (7, 8):
        with pytest.raises(MissingSchemaError) as caught:
            decode(b"\0\0\0\0" + bytes([number]), catalog.types["t", "n.s.A"])
        asyncio.run(caught.value.registry.look_up(caught.value.key))
    assert _row(catalog, value).event_id == "e-1"
    said = r"the writer's own schema: id: header\.event_id: field 'event_id' is missing: 'header' has"
    with pytest.raises(RejectedError, match=said):
        _row(catalog, b"\0\0\0\0\x08")


def test_samples_have_a_new_id_and_the_time_at_the_paths(load: Load) -> None:
    """Sample events of such a type become rows, each with an id of its own and the clock's time."""
    loaded = load({"t/A.avsc": _schema()}, _STREAMS)
    samples = list(itertools.islice(sample_events(loaded, 1, lambda: _AT), 20))
    rows = [_row(loaded, s.value) for s in samples if not s.value.startswith(b"Obj")]
    assert len({row.event_id for row in rows}) == len(rows) > 10
    assert {row.timestamp for row in rows} == {_AT}
