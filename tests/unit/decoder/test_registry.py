"""The schema registry's client: what it asks, what it keeps, and which answers may pass with time."""

import json

import pytest
from fastavro.types import Schema

from decoder.registry import UNKNOWN_FOR_S, Registry
from rejection import Reason, RejectedError, TransientError

_FIELDS = [
    {"name": "id", "type": "string"},
    {"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "level", "type": "int"},
    {"name": "more", "type": "string"},
]
_SCHEMA: Schema = {"type": "record", "name": "a.R", "fields": _FIELDS}
REGISTERED = json.dumps({"schema": json.dumps(_SCHEMA)}).encode()


class _Response:
    def __init__(self, status_code: int, content: bytes) -> None:
        self.status_code = status_code
        self.content = content


class _Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def answering(status: int, content: bytes, clock: _Clock | None = None) -> tuple[Registry, list[str]]:
    """Return a client whose registry gives this answer, and the paths that it was asked."""
    asked: list[str] = []

    def get(path: str) -> _Response:
        asked.append(path)
        return _Response(status, content)

    return Registry(get, clock or _Clock()), asked


def test_schema_is_asked_for_once() -> None:
    """A schema never changes under its id, so one question a worker is enough; a GUID is asked as text."""
    registry, asked = answering(200, REGISTERED)
    for key in (7, 7, bytes(range(16)), bytes(range(16))):
        assert json.loads(registry.schema(key)) == _SCHEMA
    assert asked == ["/schemas/ids/7", "/schemas/guids/00010203-0405-0607-0809-0a0b0c0d0e0f"]


def test_unknown_id_is_permanent_and_asked_again_later() -> None:
    """An id that the registry lacks is a dead letter; for a minute it is not asked again, then it is."""
    clock = _Clock()
    registry, asked = answering(404, b"", clock)
    for _ in range(2):
        with pytest.raises(RejectedError, match="has a schema of id 7") as caught:
            registry.schema(7)
        assert caught.value.reason == Reason.UNKNOWN_SCHEMA
    assert len(asked) == 1
    clock.now += UNKNOWN_FOR_S
    with pytest.raises(RejectedError):
        registry.schema(7)
    assert len(asked) == 2


@pytest.mark.parametrize(("status", "content"), [(500, b""), (401, b""), (429, b""), (200, b"<html>")])
def test_other_answers_are_transient(status: int, content: bytes) -> None:
    """Whatever does not say that the id is unknown may pass with time."""
    registry, _ = answering(status, content)
    with pytest.raises(TransientError):
        registry.schema(7)


def test_no_answer_is_transient() -> None:
    """So is none at all, and the error does not repeat the address, which may hold a password."""

    def get(_: str) -> _Response:
        raise OSError("http://user:secret@registry refused")

    with pytest.raises(TransientError) as caught:
        Registry(get).schema(7)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("more", [{"schemaType": "PROTOBUF"}, {"references": [{"name": "x"}]}])
def test_schema_that_is_not_avro_alone_is_unknown(more: dict[str, object]) -> None:
    """Protobuf, JSON Schema and schemas in parts are not read."""
    registry, _ = answering(200, json.dumps({"schema": "{}", **more}).encode())
    with pytest.raises(RejectedError) as caught:
        registry.schema(7)
    assert caught.value.reason == Reason.UNKNOWN_SCHEMA
