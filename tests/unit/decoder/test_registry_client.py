"""What the schema registry is asked, over real HTTP, and which answers may pass with time."""

import json
from collections.abc import Iterator

import pytest
import requests

from decoder.registry_client import MAX_REFERENCE_DEPTH, MAX_REFERENCES, MAX_TEXT_BYTES, Response, ask
from decoder.schema_file import SchemaKey
from rejection import Reason, RejectedError, TransientError
from tests.unit.decoder.schema_registry import SchemaRegistry

_GUID = bytes(range(16))
_GUID_TEXT = "00010203-0405-0607-0809-0a0b0c0d0e0f"


@pytest.fixture
def server() -> Iterator[SchemaRegistry]:
    """Give a registry that knows nothing yet."""
    server = SchemaRegistry()
    yield server
    server.stop()


def asking(server: SchemaRegistry, key: SchemaKey) -> list[object]:
    """Return the schemas that the client was given."""

    def get(path: str) -> Response:
        return requests.get(server.url + path, timeout=10)

    return [json.loads(text) for text in ask(get, key)]


def _refused(server: SchemaRegistry, key: SchemaKey) -> str:
    with pytest.raises(RejectedError) as caught:
        asking(server, key)
    assert caught.value.reason == Reason.UNKNOWN_SCHEMA
    return str(caught.value)


def _record(name: str, *types: str) -> dict[str, object]:
    fields = [{"name": f"f{n}", "type": kind} for n, kind in enumerate(types)]
    return {"type": "record", "name": name, "fields": fields}


@pytest.mark.parametrize("key", [7, _GUID], ids=["id", "guid"])
def test_schema_of_an_id_and_of_a_guid(server: SchemaRegistry, key: SchemaKey) -> None:
    """A schema without references is one question."""
    server.add(_record("a.R", "int"), schema_id=7, guid=_GUID_TEXT)
    assert asking(server, key) == [_record("a.R", "int")]
    assert server.asked == ["/schemas/ids/7" if key == 7 else f"/schemas/guids/{_GUID_TEXT}"]


def test_unknown_id_is_permanent(server: SchemaRegistry) -> None:
    """An id that the registry lacks is a dead letter that names it."""
    assert "has a schema of id 7" in _refused(server, 7)
    assert _GUID_TEXT in _refused(server, _GUID)


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_other_answers_are_transient(server: SchemaRegistry, status: int) -> None:
    """Whatever does not say that the id is unknown may pass with time."""
    server.status = status
    with pytest.raises(TransientError, match=str(status)):
        asking(server, 7)


@pytest.mark.parametrize("content", [b"<html>", b'{"schema": 7}', b'{"schema": "\xff"}'])
def test_answer_that_is_none_is_transient(content: bytes) -> None:
    """A page of a proxy's says nothing of the schema."""

    class _Page:
        status_code = 200

        def __init__(self) -> None:
            self.content = content

    with pytest.raises(TransientError):
        ask(lambda _: _Page(), 7)


def test_schema_that_is_not_avro_is_unknown() -> None:
    """Protobuf and JSON Schema are not read."""

    class _Protobuf:
        status_code = 200
        content = b'{"schema": "message A {}", "schemaType": "PROTOBUF"}'

    with pytest.raises(RejectedError, match="is PROTOBUF, and only Avro is read"):
        ask(lambda _: _Protobuf(), 7)


def test_references_come_before_what_needs_them(server: SchemaRegistry) -> None:
    """The parts of a schema are asked for by subject and version, each once, and the innermost come first."""
    point, place, trip = _record("geo.Point", "int"), _record("geo.Place", "geo.Point"), _record("a.R", "x")
    server.add(point, schema_id=1, subject="geo/Point")
    server.add(place, schema_id=2, subject="place", references=(("geo.Point", "geo/Point", 1),))
    references = (("geo.Place", "place", 1), ("geo.Point", "geo/Point", 1))
    server.add(trip, schema_id=7, references=references)
    assert asking(server, 7) == [point, place, trip]
    asked = ["/subjects/place/versions/1?deleted=true", "/subjects/geo%2FPoint/versions/1?deleted=true"]
    assert server.asked == ["/schemas/ids/7", *asked]


def test_first_of_two_under_one_name_counts(server: SchemaRegistry) -> None:
    """Two schemas under one name are resolved as the serializer that wrote with them did."""
    server.add(_record("D", "int"), schema_id=1, subject="first")
    server.add(_record("D", "long"), schema_id=2, subject="second")
    server.add(_record("R", "D"), schema_id=7, references=(("D", "first", 1), ("D", "second", 1)))
    assert asking(server, 7) == [_record("D", "int"), _record("R", "D")]


def test_missing_reference_is_permanent(server: SchemaRegistry) -> None:
    """What a schema refers to and the registry lacks is named in the dead letter."""
    server.add(_record("R", "D"), schema_id=7, references=(("D", "gone", 1),))
    assert "no version 1 of the subject gone, which the schema of id 7 refers to" in _refused(server, 7)


def test_references_in_a_ring_are_refused(server: SchemaRegistry) -> None:
    """A registry that answers with a ring is not followed around it."""
    server.add(_record("A", "B"), schema_id=1, subject="a", references=(("B", "b", 1),))
    server.add(_record("B", "A"), schema_id=2, subject="b", references=(("A", "a", 1),))
    assert "refers to itself" in _refused(server, 1)
    assert len(server.asked) == 3


def test_references_are_bounded_in_depth_and_number(server: SchemaRegistry) -> None:
    """A schema costs no more questions than a limit, however its references are laid out."""
    for n in range(MAX_REFERENCE_DEPTH + 2):
        server.add(
            _record(f"D{n}"), schema_id=n, subject=f"d{n}", references=((f"D{n + 1}", f"d{n + 1}", 1),)
        )
    assert "16 deep" in _refused(server, 0)
    assert len(server.asked) == MAX_REFERENCE_DEPTH + 1
    server.asked.clear()
    names = [f"W{n}" for n in range(MAX_REFERENCES + 1)]
    for n, name in enumerate(names):
        server.add(_record(name), schema_id=1_000 + n, subject=name)
    server.add(_record("R"), schema_id=7, references=tuple((name, name, 1) for name in names))
    assert "more than 100 schemas" in _refused(server, 7)
    assert len(server.asked) == MAX_REFERENCES + 1


def test_schema_is_bounded_in_size(server: SchemaRegistry) -> None:
    """What no memory is meant for is not kept."""
    server.add({**_record("R"), "doc": "x" * MAX_TEXT_BYTES}, schema_id=7)
    assert "are over 1,000,000 bytes" in _refused(server, 7)
