"""`check`'s warnings: what loads but is probably a mistake."""

import json
from pathlib import Path

import pytest

from decoder.lint import lint
from tests.unit.decoder.making import Load, with_fields


def _f(kind: object, **more: object) -> dict[str, object]:
    return {"name": "x", "type": kind, **more}


def test_name_without_a_type_is_a_warning(load: Load, tmp_path: Path) -> None:
    """item_types without the record's own name: events that are sent with that one are unknown_type."""
    catalog = load({"t/A.avsc": with_fields(item_types=["n.s.B", "n.s.C"])})
    (said,) = lint(catalog, tmp_path / "schemas").warnings
    assert said.startswith("schemas/t/A.avsc: item_types lacks n.s.A, the record's own name: ")
    assert '"accept": ["own_name"]' in said


@pytest.mark.parametrize(
    "files",
    [
        {"t/A.avsc": with_fields(item_types=["n.s.B"], accept=["own_name"])},
        {"t/A.avsc": with_fields(item_types=["n.s.A", "n.s.B"])},
        {"t/A.avsc": with_fields(item_types=["n.s.B"]), "t/C.avsc": with_fields(item_types=["n.s.A"])},
    ],
    ids=["accepted", "listed", "in another file"],
)
def test_name_with_a_type_is_fine(load: Load, tmp_path: Path, files: dict[str, object]) -> None:
    """So is a name that the file accepts to be without."""
    assert lint(load(files), tmp_path / "schemas").warnings == []


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (
            _f("long", logicalType="timestamp-millis"),
            (
                "field x: the logicalType next to its type is ignored: "
                'write "type": {"type": "long", "logicalType": "timestamp-millis"}'
            ),
        ),
        (
            _f(["null", "long"], logicalType="timestamp-millis"),
            "field x: the logicalType next to its type is ignored: put it into that",
        ),
        (
            _f({"type": "long", "logicalType": "timestamp-milis"}),
            "field x: the logicalType 'timestamp-milis' is not known and ignored: timestamp-millis?",
        ),
        (
            _f({"type": "string", "logicalType": "money"}),
            "field x: the logicalType 'money' is not known and ignored",
        ),
        (
            _f({"type": "int", "logicalType": ["date"]}),
            "field x: the logicalType ['date'] is not known and ignored: date?",
        ),
        (
            _f({"type": "string", "logicalType": "timestamp-millis"}),
            "field x: the logicalType 'timestamp-millis' does not fit string and is ignored: it is for long",
        ),
        (
            _f(["null", {"type": "array", "items": {"type": "long", "logicalType": "date"}}]),
            "field x: the logicalType 'date' does not fit long and is ignored: it is for int",
        ),
        (
            _f({"type": "record", "name": "R", "fields": [_f({"type": "int", "logicalType": "decimal"})]}),
            "field x.x: the logicalType 'decimal' does not fit int and is ignored: it is for bytes or fixed",
        ),
        (
            _f({"type": "fixed", "name": "F", "size": 8, "logicalType": "uuid"}),
            "field x: the logicalType 'uuid' is ignored: its precision, scale or size is not valid",
        ),
    ],
    ids=str,
)  # fmt: skip
def test_ignored_logical_type_is_a_warning(
    load: Load, tmp_path: Path, field: dict[str, object], said: str
) -> None:
    """A logicalType that Avro ignores is named with its field and the right form, once for a file."""
    catalog = load({"t/A.avsc": with_fields(field, item_types=["n.s.A", "n.s.B"])})
    assert lint(catalog, tmp_path / "schemas").warnings == [f"schemas/t/A.avsc: {said}"]


@pytest.mark.parametrize(
    "kind",
    [
        {"type": "fixed", "name": "F", "size": 12, "logicalType": "duration"},
        {"type": "fixed", "name": "F", "size": 16, "logicalType": "uuid"},
        {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2},
        {"type": "long", "logicalType": "local-timestamp-nanos"},
    ],
    ids=str,
)
def test_logical_type_that_counts_is_fine(load: Load, tmp_path: Path, kind: object) -> None:
    """Logical types of docs/values.md are no reason to warn."""
    assert lint(load({"t/A.avsc": with_fields(_f(kind))}), tmp_path / "schemas").warnings == []


def test_a_topics_key_in_a_schema_file_is_a_warning(load: Load, tmp_path: Path) -> None:
    """`id` of streams.yaml is `id_field` in a schema file; Avro ignores what it does not know."""
    loaded = load({"t/A.avsc": with_fields(id="header.event_id", timestamp_field="timestamp")})
    assert lint(loaded, tmp_path / "schemas").warnings == [
        "schemas/t/A.avsc: the key 'id' is ignored in a schema file: it is called id_field there"
    ]


def test_files_that_nothing_reads(load: Load, tmp_path: Path) -> None:
    """A .json is an error, with the names that it could have; other files and folders are warnings."""
    catalog = load(
        {
            "t/A.avsc": with_fields(),
            "t/B.json": with_fields(),
            "t/A.examples.json": "[]",
            "t/C.examples.json": "[]",
            "t/notes.txt": "",
            "t/README.md": "",
            "t/.A.avsc.swp": "",
            "t/old/A.avsc": with_fields(),
            "t/types/E.avsc": {"type": "enum", "name": "E", "symbols": ["A"]},
            "types/F.json": {"type": "enum", "name": "F", "symbols": ["A"]},
            "identity.json": "{}",
            "A.avsc": with_fields(),
        }
    )
    found = lint(catalog, tmp_path / "schemas")
    first, second = found.errors
    assert first == (
        "schemas/t/B.json: nothing reads this file: name it B.avsc if it is a schema, "
        "or B.examples.json if it has examples of B.avsc, or remove it"
    )
    assert second.startswith("schemas/types/F.json: nothing reads this file: name it F.avsc")
    assert [said.split(": ")[0] for said in found.warnings] == [
        "schemas/A.avsc",
        "schemas/t/C.examples.json",
        "schemas/t/notes.txt",
        "schemas/t/old",
    ]


def test_catalog_of_the_tests_has_no_warnings(load: Load, tmp_path: Path) -> None:
    """A schema without any of this gives no line."""
    found = lint(load({"t/A.avsc": json.dumps(with_fields())}), tmp_path / "schemas")
    assert (found.errors, found.warnings, found.notes) == ([], [], [])
