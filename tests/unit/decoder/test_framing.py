"""Framings: which bytes each takes, and which schema they are read with."""

import fastavro
import msgspec
import pytest
from fastavro.types import Schema

from decoder.catalog import EventType
from decoder.framing import decode
from decoder.registry import MissingSchemaError, Registry
from decoder.schema_file import schema_fingerprint
from rejection import Reason, RejectedError
from tests.attacks.attack import written
from tests.unit.decoder.making import event_type, record, schemaless
from tests.unit.decoder.test_registry import Asked, told

_STAMP = {"type": "long", "logicalType": "timestamp-millis"}
_OLD = record(id="string", timestamp=_STAMP)
_NEW = record(id="string", timestamp=_STAMP, level="int")
_GUID = bytes(range(16))
_EVENT = {"id": "a", "timestamp": 0, "level": 3}


def _id(number: int) -> bytes:
    return b"\x00" + number.to_bytes(4, "big")


def _refused(value: bytes, of: EventType, registry: Registry | None = None) -> RejectedError:
    with pytest.raises(RejectedError) as caught:
        decode(value, of, lambda: registry)
    return caught.value


@pytest.mark.parametrize("framing", ["auto", "schemaless"])
def test_schemaless_is_the_newest_version(framing: str) -> None:
    """Without a header the newest version is what the producer writes."""
    of = event_type(_OLD, _NEW, topic={"framing": framing})
    assert decode(schemaless(_EVENT, _NEW), of)["level"] == 3
    assert _refused(schemaless(_EVENT, _OLD), of).reason == Reason.UNDECODABLE


@pytest.mark.parametrize("framing", ["schemaless", "single_object", "confluent"])
def test_container_is_not_guessed(framing: str) -> None:
    """A topic of another framing takes no container, and auto takes one."""
    value = written(_NEW, _EVENT)
    assert _refused(value, event_type(_NEW, topic={"framing": framing}))
    assert decode(value, event_type(_NEW))["level"] == 3
    assert decode(value, event_type(_NEW, topic={"framing": "container"}))["level"] == 3


@pytest.mark.parametrize(
    "header",
    [b"\xc3\x01" + schema_fingerprint(_NEW), _id(7), b"\x01" + _GUID],
    ids=["fingerprint", "id", "guid"],
)
def test_headers_are_not_guessed(header: bytes) -> None:
    """Neither auto nor a container's topic reads a header of the other framings."""
    value = header + schemaless(_EVENT, _NEW)
    assert _refused(value, event_type(_NEW))
    assert _refused(value, event_type(_NEW, topic={"framing": "container"}))


def test_fingerprint_is_the_specifications() -> None:
    """The 8 bytes are CRC-64-AVRO of the parsing canonical form, least byte first, as in other languages."""
    # https://avro.apache.org/docs/1.12.0/specification/#schema-fingerprints, of "int"
    assert schema_fingerprint("int") == (0x7275D51A3F395C8F).to_bytes(8, "little")


@pytest.mark.parametrize(("schema", "expected"), [(_OLD, {"id", "timestamp"}), (_NEW, set(_EVENT))])
def test_single_object_of_each_version(schema: Schema, expected: set[str]) -> None:
    """Old and new writers share a topic: each event is read with the schema it was written with."""
    of = event_type(_OLD, _NEW, topic={"framing": "single_object"})
    value = b"\xc3\x01" + schema_fingerprint(schema) + schemaless(_EVENT, schema)
    assert decode(value, of).keys() == expected


def test_reader_schema_makes_all_events_alike() -> None:
    """With a reader schema the old writer's event has the new field's default."""
    newer = record(id="string", timestamp=_STAMP, level="int")
    newer["fields"][2]["default"] = 9  # type: ignore[index,call-overload] # a record
    of = event_type(_OLD, newer, reader=newer, topic={"framing": "single_object"})
    value = b"\xc3\x01" + schema_fingerprint(_OLD) + schemaless(_EVENT, _OLD)
    assert decode(value, of)["level"] == 9


@pytest.mark.parametrize("header", [_id(12), b"\x01" + _GUID], ids=["id", "guid"])
def test_confluent_of_the_catalogue(header: bytes) -> None:
    """An id or a GUID that a file of the catalogue has is read without a registry."""
    of = event_type(_OLD, _NEW, keys={12: 0, _GUID: 0}, topic={"framing": "confluent"})
    assert decode(header + schemaless(_EVENT, _OLD), of, lambda: None).keys() == {"id", "timestamp"}


def test_confluent_of_the_registry() -> None:
    """Any other id is asked of the registry, and the event kept as it was written."""
    registry = Registry(ask := Asked())
    of = event_type(_NEW, topic={"framing": "confluent"})
    value = _id(7) + schemaless({**_EVENT, "more": "x"}, _more())
    with pytest.raises(MissingSchemaError):
        decode(value, of, lambda: registry)
    told(registry, 7)
    assert decode(value, of, lambda: registry)["more"] == "x"
    assert ask.keys == [7]


def test_schema_in_parts_is_read() -> None:
    """A schema that refers to others, as the registry keeps them, is read with all of them."""
    point = b'{"type":"record","name":"geo.Point","fields":[{"name":"x","type":"int"}]}'
    place = b'{"type":"record","name":"geo.Place","fields":[{"name":"at","type":["null","Point"]}]}'
    whole = msgspec.json.encode(
        {
            "type": "record",
            "name": "a.R",
            "fields": [
                {"name": "id", "type": "string"},
                {"name": "timestamp", "type": _STAMP},
                {"name": "from", "type": "geo.Point"},
                {"name": "to", "type": {"type": "array", "items": "geo.Place"}},
            ],
        }
    )
    named: dict[str, dict[str, object]] = {}
    for text in (point, place, whole):
        schema = fastavro.parse_schema(msgspec.json.decode(text), named)
    event = {"id": "a", "timestamp": 0, "from": {"x": 1}, "to": [{"at": {"x": 2}}, {"at": None}]}
    registry = Registry(Asked((point, place, whole)))
    told(registry, 7)
    of = event_type(_NEW, topic={"framing": "confluent"})
    found = decode(_id(7) + schemaless(event, schema), of, lambda: registry)
    assert (found["from"], found["to"]) == (event["from"], event["to"])


@pytest.mark.parametrize(
    "texts",
    [
        (b'{"type":"record","name":"D","fields":[]}', b'{"type":"record","name":"D","fields":[]}'),
        (b"{", b'{"type":"record","name":"a.R","fields":[]}'),
        (b'{"type":"record","name":"a.R","fields":[{"name":"d","type":"D"}]}',),
    ],
    ids=["defined twice", "none", "missing"],
)
def test_parts_that_do_not_fit_are_refused(texts: tuple[bytes, ...]) -> None:
    """References that make no schema are a dead letter."""
    registry = Registry(Asked(texts))
    told(registry, 7)
    rejection = _refused(_id(7), event_type(_NEW, topic={"framing": "confluent"}), registry)
    assert (rejection.reason, "own schema is none" in str(rejection)) == (Reason.UNDECODABLE, True)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (b'{"type":"record","name":"a.Other","fields":[]}', "is of a.Other, the type is a.R"),
        (b'{"type":"record","name":"a.R","fields":[]}', "field 'id' is missing"),
        (b'"string"', "no record"),
        (b"{", "own schema is none"),
    ],
)
def test_schema_of_another_type_is_refused(schema: bytes, said: str) -> None:
    """A registry's schema must be one of the type that the header names."""
    registry = Registry(Asked((schema,)))
    told(registry, 7)
    rejection = _refused(_id(7), event_type(_NEW, topic={"framing": "confluent"}), registry)
    assert rejection.reason == Reason.UNDECODABLE
    assert said in str(rejection)


def _more() -> Schema:
    return record(id="string", timestamp=_STAMP, level="int", more="string")
