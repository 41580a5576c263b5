"""docs/event-types.md, "Changing a schema": each change, framing by framing, with real bytes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import pytest

from decoder.avro import Writer
from decoder.catalog import Catalog, load_catalog
from decoder.evolution import incompatible_versions
from decoder.framing import decode
from decoder.misreads import misread_versions
from decoder.probe_events import EventMaker
from decoder.schema_file import schema_fingerprint
from decoder.streams import Topic
from decoder.values import to_json
from rejection import RejectedError
from tests.unit.decoder.making import STREAMS, with_fields

_PAGE = Path(__file__).parents[3] / "docs" / "event-types.md"
_SAMPLES = 500
_NewFolder = Callable[[str], Path]
_Fields = list[dict[str, object]]


def _f(name: str, kind: object, **more: object) -> dict[str, object]:
    return {"name": name, "type": kind, **more}


def _enum(*symbols: str) -> dict[str, object]:
    return _f("s", {"type": "enum", "name": "E", "symbols": list(symbols)})


def _decimal(scale: int, precision: int = 9) -> dict[str, object]:
    return _f("p", {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale})


def _record(name: str) -> dict[str, object]:
    return {"type": "record", "name": name, "fields": [_f("x", "int")]}


def _stamp(unit: str) -> dict[str, object]:
    return _f("at", {"type": "long", "logicalType": f"timestamp-{unit}"})


_A, _B, _Z = _f("a", "string"), _f("b", "string"), _f("z", "string")
_N, _DEFAULT = _f("n", "int"), _f("n", "int", default=5)
# What the table's first column says → the fields of the old version, and of the new one.
_CHANGES: Mapping[str, tuple[_Fields, _Fields]] = {
    "a `doc`, a default or an alias": ([_Z], [_f("z", "string", doc="x", default="y", aliases=["w"])]),
    "a field at the end, with a default": ([_Z], [_Z, _DEFAULT]),
    "a field at the end, without one": ([_Z], [_Z, _N]),
    "a field elsewhere, with a default": ([_Z], [_DEFAULT, _Z]),
    "the last field removed, it had a default": ([_Z, _DEFAULT], [_Z]),
    "another field removed, it had a default": ([_DEFAULT, _Z], [_Z]),
    "two fields of a type swapped": ([_A, _B], [_B, _A]),
    "a field renamed": ([_A, _Z], [_B, _Z]),
    "a field renamed, its old name in `aliases`": ([_A, _Z], [_f("b", "string", aliases=["a"]), _Z]),
    "a symbol of an enum at the end": ([_enum("A", "B")], [_enum("A", "B", "C")]),
    "a symbol elsewhere, or symbols in another order": ([_enum("A", "B")], [_enum("C", "A", "B")]),
    "the last symbol removed": ([_enum("A", "B")], [_enum("A")]),
    "a branch of a union at the end": ([_f("u", ["null", "int"])], [_f("u", ["null", "int", "string"])]),
    "a branch at the end, the union's second record or map": (
        [_f("u", ["null", _record("R")])],
        [_f("u", ["null", _record("R"), _record("T")])],
    ),
    "a branch at the end, the second of `string`, `bytes`, enum and fixed": (
        [_f("u", ["null", _enum("A", "B")["type"]])],
        [_f("u", ["null", _enum("A", "B")["type"], "string"])],
    ),
    "branches in another order": ([_f("u", ["int", "boolean"])], [_f("u", ["boolean", "int"])]),
    "a field made nullable": ([_A, _Z], [_f("a", ["null", "string"]), _Z]),
    "`int` to `long`": ([_N], [_f("n", "long")]),
    "`long` to `int`": ([_f("n", "long")], [_N]),
    "`int` to `string`": ([_N], [_f("n", "string")]),
    "a decimal of more digits, its scale kept": ([_decimal(2)], [_decimal(2, 12)]),
    "a decimal of another scale": ([_decimal(2)], [_decimal(4)]),
    "a timestamp of another unit": ([_stamp("millis")], [_stamp("micros")]),
    "a uuid made a plain `string`": ([_f("a", {"type": "string", "logicalType": "uuid"})], [_A]),
}
_WORDS = {
    frozenset[str](): "safe",
    frozenset({"until"}): "dead letters until deployed",
    frozenset({"after"}): "dead letters after",
    frozenset({"until", "after"}): "dead letters until deployed, and after",
}


class _Registry:
    """A schema registry that knows version 1 by the id 1, and version 2 by 2."""

    def __init__(self, *schemas: dict[str, object]) -> None:
        self._schemas = schemas

    def schema(self, key: int) -> tuple[bytes, ...]:
        """Return a schema's text."""
        return (msgspec.json.encode(self._schemas[key - 1]),)


def _catalog(new_folder: _NewFolder, framing: str, ids: bool, *versions: dict[str, object]) -> Catalog:  # noqa: FBT001 - as below
    streams = STREAMS.replace("current: true", f"current: true, framing: {framing}")
    folder = new_folder("catalog")
    (folder / "schemas" / "t").mkdir(parents=True)
    (folder / "streams.yaml").write_text(streams)
    for number, schema in enumerate(versions, 1):
        file = {**schema, "schema_version": number, **({"schema_id": number} if ids else {})}
        (folder / "schemas" / "t" / f"A{number}.avsc").write_bytes(msgspec.json.encode(file))
    return load_catalog(folder / "streams.yaml", folder / "schemas")


def _framed(event: bytes, framing: str, schema: dict[str, object], number: int) -> bytes:
    """Return the value of a record that has an event's bytes."""
    if framing == "single_object":
        return b"\xc3\x01" + schema_fingerprint(fastavro.parse_schema(schema)) + event
    if framing == "confluent":
        return b"\0" + number.to_bytes(4, "big") + event
    if framing != "container":
        return event
    text = msgspec.json.encode(schema)
    meta = b"\x02" + _long(len("avro.schema")) + b"avro.schema" + _long(len(text)) + text + b"\0"
    return b"Obj\x01" + meta + b"s" * 16 + b"\x02" + _long(len(event)) + event + b"s" * 16


def _long(number: int) -> bytes:
    made, left = b"", number << 1
    while left > 0x7F:
        made, left = made + bytes([left & 0x7F | 0x80]), left >> 7
    return made + bytes([left])


def _same(
    event: dict[str, object], got: dict[str, object], names: Mapping[str, str], reads: dict[str, object]
) -> bool:
    """Return whether all that was written is there under its name, and besides it only defaults."""
    wanted = {name if name in got else names.get(name, name): value for name, value in event.items()}
    defaults = {f["name"]: f["default"] for f in reads["fields"] if "default" in f}  # type: ignore[attr-defined]
    return all(name in got and got[name] == value for name, value in wanted.items()) and all(
        value == defaults.get(name) for name, value in got.items() if name not in wanted
    )


def _unlabelled(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event whose union's value does not stand under the name of its branch."""
    labels = ("n.s.R", "n.s.T", "n.s.E", "string")
    return {
        name: next(iter(value.values())) if isinstance(value, dict) and set(value) & {*labels} else value
        for name, value in event.items()
    }


def _outcome(
    new_folder: _NewFolder, framing: str, change: str, *, ids: bool = False, samples: int = _SAMPLES
) -> tuple[str, Catalog]:
    """Return what becomes of what the new version writes before it is deployed, and of the old's after."""
    versions = [with_fields(*fields) for fields in _CHANGES[change]]
    aliases = {"a": "b"} if "`aliases`" in change else {}
    registry = None if ids else _Registry(*versions)
    marks: set[str] = set()
    for when, wrote, catalog in (
        ("until", 1, _catalog(new_folder, framing, ids, versions[0])),
        ("after", 0, _catalog(new_folder, framing, ids, *versions)),
    ):
        schema, event_type = versions[wrote], catalog.types["t", "n.s.A"]
        parsed = fastavro.parse_schema(schema)
        making, own = EventMaker(parsed), Writer(Topic("t", 1, True), parsed)
        names = aliases if when == "after" else {new: old for old, new in aliases.items()}
        for number in range(samples):
            value = making.event(number)
            event = msgspec.json.decode(to_json(own.decode(value)))
            try:
                got = decode(_framed(value, framing, schema, wrote + 1), event_type, lambda: registry)  # type: ignore[arg-type,return-value]
            except RejectedError:
                marks.add(when)
                continue
            read = msgspec.json.decode(to_json(got))
            if framing == "container":  # in the form of the version that it is resolved to
                event, read = _unlabelled(event), _unlabelled(read)
            if not _same(event, read, names, versions[1 - wrote]):
                marks.add("damage")
    return "silent damage" if "damage" in marks else _WORDS[frozenset(marks)], catalog


def _table() -> dict[str, dict[str, str]]:
    """Return the page's table: change → framing → what becomes of it."""
    section = _PAGE.read_text().split("## Changing a schema")[1]
    table = next(part for part in section.split("\n\n") if part.startswith("| change |"))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {row[0]: dict(zip(rows[0][1:], row[1:], strict=True)) for row in rows[2:]}


def test_the_table_has_every_change() -> None:
    """The page and this test have the same rows, in the same order."""
    assert list(_table()) == list(_CHANGES)


@pytest.mark.parametrize("change", _CHANGES)
def test_a_change_is_what_the_page_says(tmp_path_factory: pytest.TempPathFactory, change: str) -> None:
    """Each row's change is made in each framing; `check` finds damage where the page says so, only there."""
    row = _table()[change]
    for framing in ("schemaless", "auto"):
        said, catalog = _outcome(tmp_path_factory.mktemp, framing, change)
        assert said == row["`schemaless`, `auto`"], framing
        found = misread_versions(catalog)
        assert bool(found.errors) == (said == "silent damage"), found
        assert bool(found.notes) == said.startswith("dead letters"), found
    said, catalog = _outcome(tmp_path_factory.mktemp, "container", change)
    assert said == row["`container`"]
    assert bool(incompatible_versions(catalog)) == ("after" in said)
    said, catalog = _outcome(tmp_path_factory.mktemp, "single_object", change)
    assert said == row["`single_object`"]
    assert bool(misread_versions(catalog).errors) == (said == "silent damage")


@pytest.mark.parametrize("change", _CHANGES)
def test_confluent_is_the_same_for_every_change(
    tmp_path_factory: pytest.TempPathFactory, change: str
) -> None:
    """With the registry all changes are safe; with ids in the files their events wait for the new file."""
    assert _outcome(tmp_path_factory.mktemp, "confluent", change, samples=50)[0] == "safe"
    said, _ = _outcome(tmp_path_factory.mktemp, "confluent", change, ids=True, samples=50)
    assert said == "dead letters until deployed"
