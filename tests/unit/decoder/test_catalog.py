"""The catalogue: what it holds, that it is frozen, and each mistake in the files named."""

from pathlib import Path
from typing import Any, cast

import pytest

from decoder.catalog import Catalog
from decoder.streams import CatalogError, Topic
from tests.unit.decoder.making import Load, with_fields

_ID: dict[str, object] = {"name": "id", "type": "string"}
_TIMESTAMP: dict[str, object] = {
    "name": "timestamp",
    "type": {"type": "long", "logicalType": "timestamp-millis"},
}


def _with_field(name: str, kind: object) -> dict[str, object]:
    """Return a schema in which the type of id or timestamp is another."""
    fields = [{"name": f["name"], "type": kind} if f["name"] == name else f for f in (_ID, _TIMESTAMP)]
    return {**with_fields(), "fields": fields}


def test_type_is_known_by_topic_and_full_name(load: Load) -> None:
    """Without item_types the header value is the schema's full name; the type knows all of its stream."""
    catalog = load({"t/A.avsc": with_fields()})
    assert list(catalog.types) == [("t", "n.s.A")]
    event_type = catalog.types["t", "n.s.A"]
    assert (event_type.stream, event_type.table, event_type.file) == ("s", "s", "schemas/t/A.avsc")
    assert event_type.topic == Topic("t", 2, True)
    assert (event_type.item_type_name, event_type.name) == ("n.s.A", "A")
    assert catalog.stream_of_topic == {"t": "s"}
    assert catalog.tables == ("s",)


def test_types_share_a_file(load: Load) -> None:
    """Each name in item_types is a type; its schema is named for it, as producers' containers are."""
    catalog = load({"t/A.avsc": with_fields(item_types=["n.s.B", "other.C", "D"])})
    assert catalog.types_of("t") == ["D", "n.s.B", "other.C"]
    names = {
        name: cast("dict[str, object]", event_type.schema)["name"]
        for (_, name), event_type in catalog.types.items()
    }
    assert names == {"n.s.B": "n.s.B", "other.C": "other.C", "D": "n.s.D"}
    assert {event_type.name for event_type in catalog.types.values()} == {"B", "C", "D"}


def test_header_value_need_not_be_an_avro_name(load: Load) -> None:
    """The catalogue's key is the whole header value, whatever the producer writes into it."""
    catalog = load({"t/A.avsc": with_fields(item_types=["urn:event/b-1"])})
    assert catalog.types["t", "urn:event/b-1"].name == "urn:event/b-1"


def test_same_type_in_two_topics(load: Load) -> None:
    """The topic chooses among types of one name: versions of an event may keep it."""
    streams = (
        "streams:\n  s: {table: s, topics: [{name: t, version: 1, current: false}, "
        "{name: u, version: 2, current: true}]}\n"
    )
    catalog = load(
        {"t/A.avsc": with_fields(), "u/A.avsc": with_fields({"name": "x", "type": "float"})}, streams=streams
    )
    assert [catalog.types[topic, "n.s.A"].topic.version for topic in ("t", "u")] == [1, 2]
    assert (catalog.types_of("t"), catalog.types_of("u")) == (["n.s.A"], ["n.s.A"])
    assert catalog.types_of("v") == []


@pytest.mark.parametrize(
    "kind",
    [
        "string",
        "int",
        "long",
        {"type": "long"},
        {"type": "string", "logicalType": "uuid"},
        {"type": "fixed", "name": "Uuid", "size": 16, "logicalType": "uuid"},
    ],
    ids=str,
)
def test_allowed_ids(load: Load, kind: object) -> None:
    """An id is text, a whole number, or a UUID in 16 bytes."""
    assert load({"t/A.avsc": _with_field("id", kind)}).types


@pytest.mark.parametrize("unit", ["millis", "micros", "nanos"])
@pytest.mark.parametrize("zone", ["", "local-"])
def test_allowed_timestamps(load: Load, zone: str, unit: str) -> None:
    """A timestamp is of any of Avro's timestamp types."""
    kind = {"type": "long", "logicalType": f"{zone}timestamp-{unit}"}
    assert load({"t/A.avsc": _with_field("timestamp", kind)}).types


@pytest.mark.parametrize(
    "kind",
    [
        ["null", "string"],
        ["string"],
        "bytes",
        "double",
        "boolean",
        {"type": "array", "items": "string"},
        {"type": "enum", "name": "E", "symbols": ["string"]},
        {"type": "bytes", "logicalType": "string"},
        {"type": "fixed", "name": "F", "size": 16},
        {"type": "int", "logicalType": "date"},
    ],
    ids=str,
)
def test_id_of_another_type_is_named(load: Load, kind: object) -> None:
    """event_id is REQUIRED: an id that may be null or has no plain text stops the load."""
    with pytest.raises(CatalogError, match=r"^schemas/t/A\.avsc: field 'id' must be string or int or long"):
        load({"t/A.avsc": _with_field("id", kind)})


@pytest.mark.parametrize(
    "kind",
    [
        ["null", {"type": "long", "logicalType": "timestamp-millis"}],
        "long",
        "string",
        {"type": "int", "logicalType": "date"},
        {"type": "long", "logicalType": "time-micros"},
        {"type": "string", "logicalType": "timestamp-millis"},
        {"type": "int", "logicalType": "timestamp-millis"},
    ],
    ids=str,
)
def test_timestamp_of_another_type_is_named(load: Load, kind: object) -> None:
    """A timestamp that may be null, or that does not decode to one, stops the load."""
    with pytest.raises(CatalogError, match=r"^schemas/t/A\.avsc: field 'timestamp' must be timestamp-millis"):
        load({"t/A.avsc": _with_field("timestamp", kind)})


@pytest.mark.parametrize("name", ["id", "timestamp"])
def test_missing_field_is_named(load: Load, name: str) -> None:
    """A schema without the event's id or timestamp fails at load, not at its first event."""
    fields = [f for f in (_ID, _TIMESTAMP) if f["name"] != name]
    with pytest.raises(CatalogError, match=rf"^schemas/t/A\.avsc: field '{name}' is missing"):
        load({"t/A.avsc": {**with_fields(), "fields": fields}})


@pytest.mark.parametrize("repeated", [_ID, _TIMESTAMP, {"name": "x", "type": "int"}], ids=str)
def test_field_twice_is_named(load: Load, repeated: dict[str, object]) -> None:
    """Of two fields with one name one would be lost in the JSON text."""
    extra = [repeated] if repeated["name"] in ("id", "timestamp") else [repeated, repeated]
    with pytest.raises(CatalogError, match=rf"^schemas/t/A\.avsc: .*{repeated['name']}"):
        load({"t/A.avsc": with_fields(*extra)})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a JSON object"),
        ("{", "not a JSON object"),
        ("[]", "not a JSON object.*got `array`"),
        ('"string"', "not a JSON object"),
        ('{"type": "record"}', "not a valid Avro schema"),
        ('{"type": "enum", "name": "A", "symbols": ["x"]}', "is a record, this is 'enum'"),
        ("{}", "is a record, this is None"),
        ('{"type": ["record"]}', r"is a record, this is \['record'\]"),
        ('{"type": {"type": "record"}}', "is a record"),
    ],
)
def test_file_that_is_no_record_is_named(load: Load, text: str, said: str) -> None:
    """A file that does not parse, or is no record, names itself and what it is."""
    with pytest.raises(CatalogError, match=rf"^schemas/t/A\.avsc: .*{said}"):
        load({"t/A.avsc": text})


def test_file_that_is_not_utf8_is_named(load: Load, tmp_path: Path) -> None:
    """The same holds for a file in another encoding."""
    path = tmp_path / "schemas" / "t" / "A.avsc"
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"type": "record", "name": "\xff"}')
    with pytest.raises(CatalogError, match=r"^schemas/t/A\.avsc: not a JSON object"):
        load({})


def test_deep_file_is_named(load: Load) -> None:
    """A file nested deeper than the parser goes is an error of the catalogue like any other."""
    with pytest.raises(CatalogError, match=r"^schemas/t/A\.avsc: "):
        load({"t/A.avsc": '{"a":' * 100_000})


@pytest.mark.parametrize(
    "kind",
    [
        "NoSuchType",
        5,
        None,
        {},
        [5],
        {"type": 5},
        {"type": "enum"},
        {"type": "enum", "name": "E", "symbols": ["a", "a"]},
        {"type": "fixed", "name": "F"},
        {"type": "array"},
        {"type": "map"},
        {"type": "bytes", "logicalType": "decimal", "precision": "x"},
        {"type": "record", "name": "A", "namespace": "n.s", "fields": []},
    ],
    ids=str,
)
def test_invalid_avro_is_named(load: Load, kind: object) -> None:
    """What the Avro parser refuses is an error that names the file."""
    with pytest.raises(CatalogError, match=r"^schemas/t/A\.avsc: not a valid Avro schema"):
        load({"t/A.avsc": with_fields({"name": "x", "type": kind})})


def test_types_of_a_schema_keep_its_nested_names(load: Load) -> None:
    """The event has the type's name, also where it holds itself; the types in it keep theirs."""
    box = {"type": "record", "name": "Box", "fields": [{"name": "w", "type": "int"}]}
    fields = (
        {"name": "box", "type": ["null", box]},
        {"name": "other", "type": ["null", {"type": "map", "values": "n.s.Box"}]},
        {"name": "replies", "type": {"type": "array", "items": ["A", "n.s.Box"]}},
    )
    types = load({"t/A.avsc": with_fields(*fields, item_types=["shop.B", "n.s.A"])}).types
    schema: Any = types["t", "shop.B"].schema
    own: Any = types["t", "n.s.A"].schema
    assert set(schema["__named_schemas"]) == {"shop.B", "n.s.Box"}
    assert schema["fields"][4]["type"]["items"] == ["shop.B", "n.s.Box"]
    assert own["fields"][4]["type"]["items"] == ["n.s.A", "n.s.Box"]
    with pytest.raises(CatalogError, match=r"item_types: n\.s\.Box is the name of a type in the schema"):
        load({"t/A.avsc": with_fields(*fields, item_types=["n.s.Box"])})


@pytest.mark.parametrize(
    ("item_types", "said"),
    [
        ([], "item_types must list type names"),
        (["a", "a"], "item_types must list type names, each once"),
        (["a", ""], "item_types must list type names, each once, none empty"),
        ("a", "Expected `array"),
        ({"a": 1}, "Expected `array"),
        ([1], "Expected `str`"),
        ([None], "Expected `str`"),
    ],
)
def test_wrong_item_types_are_named(load: Load, item_types: object, said: str) -> None:
    """item_types is a list of different names."""
    with pytest.raises(CatalogError, match=rf"^schemas/t/A\.avsc: .*{said}"):
        load({"t/A.avsc": with_fields(item_types=item_types)})


@pytest.mark.parametrize(
    "second",
    [with_fields(), with_fields(name="B", item_types=["x", "n.s.A"])],
    ids=["by its name", "in item_types"],
)
def test_two_schemas_for_one_type_are_named(load: Load, second: object) -> None:
    """The error names the type and both files."""
    with pytest.raises(
        CatalogError,
        match=r"^schemas/t/B\.avsc: type n\.s\.A of topic t is in schemas/t/A\.avsc too",
    ):
        load({"t/A.avsc": with_fields(), "t/B.avsc": second})


def test_topic_without_schemas_is_named(load: Load) -> None:
    """A topic that nothing could be decoded from stops the load; other files do not count."""
    with pytest.raises(CatalogError, match=r"^schemas/t: no \.avsc file for this topic of stream s"):
        load({"t/README.md": "not a schema"})


def test_schemas_without_a_topic_are_named(load: Load) -> None:
    """A folder that no stream reads is a forgotten entry, or a mistyped name."""
    with pytest.raises(
        CatalogError, match=r"^schemas/u: no stream in streams\.yaml has this topic: add .* with its table"
    ):
        load({"t/A.avsc": with_fields(), "u/A.avsc": with_fields()})


def test_stream_without_a_table_is_named(load: Load) -> None:
    """A stream's table is required: there is nowhere else for its rows."""
    streams = "streams:\n  s: {topics: [{name: t, version: 2, current: true}]}\n"
    with pytest.raises(CatalogError, match=r"^streams\.yaml: .*missing required field `table`"):
        load({"t/A.avsc": with_fields()}, streams=streams)


def test_catalogue_is_frozen(catalog: Catalog) -> None:
    """Nothing can be added at run time: no message decides what is decoded, or where it goes."""
    (key, event_type) = next(iter(catalog.types.items()))
    with pytest.raises(TypeError):
        catalog.types["t", "x"] = event_type  # type: ignore[index]
    with pytest.raises(TypeError):
        catalog.stream_of_topic["t"] = "s"  # type: ignore[index]
    with pytest.raises(AttributeError):
        catalog.types = {}  # type: ignore[misc]
    with pytest.raises(AttributeError):
        catalog.types[key].table = "t"  # type: ignore[misc]


def test_repository_has_the_five_streams(catalog: Catalog) -> None:
    """The streams of the legacy system keep their names, and more than one type each."""
    streams = {"delivery_changed", "ims_updates", "physical_stock", "shipping_costs", "shipping_prices"}
    assert set(catalog.tables) == set(catalog.stream_of_topic.values()) == streams
    for stream in streams:
        assert sum(event_type.stream == stream for event_type in catalog.types.values()) > 1


def test_repository_has_both_versions_of_deliveries(catalog: Catalog) -> None:
    """delivery_changed reads both topics; version 6 is current and has the legacy system's types."""
    types = [t for t in catalog.types.values() if t.stream == "delivery_changed"]
    assert {(t.topic.name, t.topic.version, t.topic.current) for t in types} == {
        ("delivery_events_v4_topic", 4, False),
        ("delivery_events_v6_topic", 6, True),
    }
    names = {t.name for t in types if t.topic.version == 6}
    assert len(names) >= 7
    assert "DeliveryOnHoldV6" in names


def test_versions_of_a_type(load: Load) -> None:
    """Files of one type have numbers: the newest is the type's schema, one may be the reader's."""
    catalog = load(
        {
            "t/A.avsc": with_fields({"name": "x", "type": "int"}, schema_version=10, schema_id=12),
            "t/B.avsc": with_fields(schema_version=9, reader_schema=True),
        }
    )
    event_type = catalog.types["t", "n.s.A"]
    assert [(v.number, v.file) for v in event_type.versions] == [
        (9, "schemas/t/B.avsc"),
        (10, "schemas/t/A.avsc"),
    ]
    assert event_type.schema is event_type.versions[1].schema
    assert event_type.reader is event_type.versions[0].schema
    assert catalog.named_by["t", 12] is event_type


def test_schema_that_several_types_share_names_none(load: Load) -> None:
    """The id of a file with item_types tells the schema and not the type: the header must."""
    catalog = load({"t/A.avsc": with_fields(item_types=["n.s.B", "n.s.C"], schema_id=12)})
    assert ("t", 12) not in catalog.named_by
    assert all(12 in event_type.writers for event_type in catalog.types.values())


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (with_fields(schema_version=1), "is in schemas/t/A\\.avsc too"),
        (with_fields(schema_version=2, reader_schema=True), "is the reader_schema of the type too"),
        (with_fields(schema_version="2"), "Expected `int`"),
        (with_fields(schema_version=2, schema_guid="x"), "schema_guid"),
        (
            with_fields({"name": "e", "type": {"type": "array", "items": "null"}}, schema_version=2),
            "take no bytes",
        ),
    ],
)
def test_wrong_versions_are_named(load: Load, second: dict[str, object], said: str) -> None:
    """Numbers are once, one version is the reader's, and each is safe to read with."""
    with pytest.raises(CatalogError, match=rf"^schemas/t/B\.avsc: .*{said}"):
        load({"t/A.avsc": with_fields(reader_schema=True), "t/B.avsc": second})


def test_version_that_the_reader_cannot_read_is_named(load: Load) -> None:
    """A reader schema must be able to read every version that is kept."""
    older = with_fields({"name": "x", "type": "string"})
    newer = with_fields({"name": "x", "type": "int"}, schema_version=2, reader_schema=True)
    with pytest.raises(CatalogError, match=r"^schemas/t/A\.avsc: n\.s\.A cannot be read: x: string"):
        load({"t/A.avsc": older, "t/B.avsc": newer})
