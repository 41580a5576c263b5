"""Fields that a container's schema has and the type's lacks: none of them is lost."""

import copy
import io
import json
from collections.abc import Mapping

import fastavro
import pytest
from fastavro.types import Schema

from decoder import foreign
from decoder.avro import Event, Writer
from decoder.framing import decode
from decoder.limits import MAX_SCHEMA_DEPTH, Limits
from decoder.values import to_json
from rejection import Reason, RejectedError
from tests.unit.decoder.making import event_type, with_fields

_X = {"name": "x", "type": "int"}
_Y = {"name": "y", "type": "string"}


def _record(name: str, *fields: object, **more: object) -> dict[str, object]:
    return {"type": "record", "name": name, "fields": list(fields), **more}


def _field(name: str, kind: object, **more: object) -> dict[str, object]:
    return {"name": name, "type": kind, **more}


def _schema(*fields: object) -> Schema:
    return fastavro.parse_schema(copy.deepcopy(with_fields(*fields)))


def _container(schema: Schema, event: Mapping[str, object]) -> bytes:
    buffer = io.BytesIO()
    fastavro.writer(buffer, schema, [{"id": "a", "timestamp": 0, **event}])
    return buffer.getvalue()


def _decoded(written: list[object], event: Mapping[str, object], wanted: list[object]) -> Event:
    """Return what is in an event beside `id` and `timestamp` under a type whose schema has `wanted`."""
    value = _container(_schema(*written), event)
    found = decode(value, event_type(_schema(*wanted)))
    return {name: found[name] for name in found if name not in ("id", "timestamp")}


@pytest.mark.parametrize(
    ("written", "event", "wanted", "expected"),
    [
        # behind the type's own, in the order in which they were written
        (
            [_field("b", "int"), _field("k", "int"), _field("a", "string")],
            {"b": 1, "k": 2, "a": "x"},
            [_field("k", "int")],
            {"k": 2, "b": 1, "a": "x"},
        ),
        # beside a promotion and a default
        (
            [_field("n", "int"), _field("e", "boolean")],
            {"n": 1, "e": True},
            [_field("n", "double"), _field("d", "string", default="none")],
            {"n": 1.0, "d": "none", "e": True},
        ),
        # what is read through an alias is no extra field
        (
            [_field("old", "int"), _field("e", "int")],
            {"old": 1, "e": 2},
            [_field("new", "int", aliases=["old"])],
            {"new": 1, "e": 2},
        ),
        # one that an alias would name, were the field itself not there, is one
        (
            [_field("old", "int"), _field("new", "int")],
            {"old": 1, "new": 2},
            [_field("new", "int", aliases=["old"])],
            {"new": 2, "old": 1},
        ),
        # of two fields for the same aliases the first is the reader's
        (
            [_field("p", "int"), _field("q", "int")],
            {"p": 1, "q": 2},
            [_field("new", "int", aliases=["p", "q"])],
            {"new": 1, "q": 2},
        ),
        # in a record, in an array, in a map, in a branch
        (
            [_field("r", _record("R", _Y, _X))],
            {"r": {"x": 1, "y": "s"}},
            [_field("r", _record("R", _X))],
            None,
        ),
        (
            [_field("r", {"type": "array", "items": _record("R", _X, _Y)})],
            {"r": [{"x": 1, "y": "s"}]},
            [_field("r", {"type": "array", "items": _record("R", _X)})],
            None,
        ),
        (
            [_field("r", {"type": "map", "values": _record("R", _X, _Y)})],
            {"r": {"k": {"x": 1, "y": "s"}}},
            [_field("r", {"type": "map", "values": _record("R", _X)})],
            None,
        ),
        (
            [_field("r", _record("R", _X, _Y))],
            {"r": {"x": 1, "y": "s"}},
            [_field("r", ["null", _record("R", _X)])],
            None,
        ),
        # an extra union whose branches need their names has them, as where nothing is resolved
        (
            [_field("u", [_record("P", _X), _record("Q", _X)])],
            {"u": ("n.s.Q", {"x": 1})},
            [],
            {"u": {"n.s.Q": {"x": 1}}},
        ),
        # a type that extra fields define and one that the type's fields do: the same name, other fields
        (
            [_field("e", _record("D", _Y)), _field("k", "n.s.D")],
            {"e": {"y": "s"}, "k": {"y": "t"}},
            [_field("k", _record("D", _field("y", "string"), _field("z", "int", default=3)))],
            {"k": {"y": "t", "z": 3}, "e": {"y": "s"}},
        ),
        # a type that only an extra field refers to, and that the type renamed
        (
            [_field("k", _record("Old", _X)), _field("e", {"type": "array", "items": "n.s.Old"})],
            {"k": {"x": 1}, "e": [{"x": 2}]},
            [_field("k", _record("New", _X, aliases=["Old"]))],
            {"k": {"x": 1}, "e": [{"x": 2}]},
        ),
    ],
    ids=range(12),
)
def test_extra_fields_are_kept(
    written: list[object], event: Mapping[str, object], wanted: list[object], expected: object
) -> None:
    """A container's fields are all there: the type's resolved, the others as written, behind them."""
    found = _decoded(written, event, wanted)
    assert found == (event if expected is None else expected)
    if isinstance(expected, dict):
        assert list(found) == list(expected)


def test_extra_fields_of_a_type_inside_itself() -> None:
    """A recursive type's extra field is kept at every depth, an extra field of that type too."""
    node = _record("T", _field("next", ["null", "T"], default=None), _field("seen", "int", default=0))
    more = _record("T", _field("next", ["null", "T"]), _Y)
    event = {"t": {"next": {"next": None, "y": "in"}, "y": "out"}, "e": {"next": None, "y": "e"}}
    found = _decoded([_field("t", more), _field("e", "n.s.T")], event, [_field("t", node)])
    inner = {"next": None, "seen": 0, "y": "in"}
    assert found == {"t": {"next": inner, "seen": 0, "y": "out"}, "e": {"next": None, "y": "e"}}


def test_extra_values_are_exact() -> None:
    """They are written as docs/values.md says, like all others."""
    money = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
    written = [_field("m", money), _field("w", {"type": "int", "logicalType": "date"}), _field("f", "double")]
    value = _container(_schema(*written), {"m": b"\x01\x00", "w": 0, "f": float("nan")})
    event = json.loads(to_json(decode(value, event_type(_schema()))))
    assert (event["m"], event["w"], event["f"]) == ("2.56", "1970-01-01", "NaN")


def test_reader_schema_drops_what_it_lacks() -> None:
    """Where the catalogue names a reader schema an event has its fields and no others: that was asked for."""
    reader = _schema(_field("k", "int"))
    value = _container(_schema(_field("k", "int"), _field("e", "int")), {"k": 1, "e": 2})
    assert "e" not in decode(value, event_type(reader, reader=reader))


@pytest.mark.parametrize(
    ("written", "event", "wanted"),
    [
        ([_field("u", ["null", "int", "string"])], {"u": "s"}, [_field("u", ["null", "int"])]),
        (
            [_field("c", {"type": "enum", "name": "C", "symbols": ["A", "B"]})],
            {"c": "B"},
            [_field("c", {"type": "enum", "name": "C", "symbols": ["A"]})],
        ),
    ],
    ids=["branch", "symbol"],
)
def test_what_no_field_can_hold_is_a_dead_letter(
    written: list[object], event: Mapping[str, object], wanted: list[object]
) -> None:
    """A new branch or symbol of a field that the type has is refused when it comes, with its bytes kept."""
    with pytest.raises(RejectedError) as caught:
        _decoded(written, event, wanted)
    assert caught.value.reason == Reason.UNDECODABLE


def test_extra_fields_are_held_to_the_limits() -> None:
    """An extra field is linted, and its values are counted, like those of any schema."""
    deep: object = "int"
    for _ in range(MAX_SCHEMA_DEPTH):
        deep = {"type": "array", "items": deep}
    with pytest.raises(RejectedError, match="a schema is at most"):
        _decoded([_field("e", deep)], {"e": []}, [])
    value = _container(_schema(_field("e", {"type": "array", "items": "int"})), {"e": [1] * 200})
    with pytest.raises(RejectedError) as caught:
        decode(value, event_type(_schema(), topic={"limits": Limits(values=100)}))
    assert caught.value.reason == Reason.TOO_LARGE


def test_a_schema_is_extended_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is made of a container's schema is kept: its next event costs no resolution."""
    made: list[bool] = []

    class Counting(Writer):
        def __init__(self, *args: object, keep_extra: bool = False, **more: object) -> None:
            made.append(keep_extra)
            super().__init__(*args, keep_extra=keep_extra, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(foreign, "Writer", Counting)
    of = event_type(_schema())
    value = _container(_schema(_field("e", "int")), {"e": 1})
    assert [decode(value, of)["e"] for _ in range(3)] == [1, 1, 1]
    assert made == [True]
