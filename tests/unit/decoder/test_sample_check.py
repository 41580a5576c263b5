"""`python -m decoder check` makes samples of the user's types, so that nothing behind it fails at them."""

import json
from pathlib import Path

import pytest

from decoder import __main__ as command
from decoder.catalog import Catalog
from decoder.sample_check import MAX_ROW_BYTES, sample_problems, unsampled_types
from decoder.streams import CATALOG
from sink import batch
from tests.unit.decoder.making import STREAMS, Load, with_fields

_NOTE = {"name": "note", "type": "string"}
_EVENT = {"id": "a", "timestamp": "2000-01-01T00:00:00Z", "note": "n"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder of a topic's schemas, in the catalog that the fixture `load` makes."""
    monkeypatch.setenv(CATALOG, str(tmp_path))
    return tmp_path / "schemas" / "t"


def test_the_frozen_catalog_has_no_problem(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each example, and samples of each type, are rows."""
    monkeypatch.setenv(CATALOG, str(Path(__file__).parents[2] / "catalogue"))
    assert sample_problems(catalog) == []
    assert unsampled_types(catalog) == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"A": [_EVENT, _EVENT | {"note": 3}]},
            "schemas/t/A.avsc: example 2 is not an event of n.s.A: note: 3 is ",
        ),
        (
            {"A": {"n.s.B": [_EVENT]}},
            "schemas/t/A.examples.json: n.s.B is not a type of schemas/t/A.avsc, which has n.s.A",
        ),
        ({"A": [_EVENT | {"note": "x" * 9_500_000}]}, "a sample of n.s.A is a row of 9,5"),
    ],
)
def test_wrong_examples_fail_the_check(
    load: Load, folder: Path, capsys: pytest.CaptureFixture[str], files: dict[str, object], said: str
) -> None:
    """Each example is tried, not only those that are drawn; the line says which file and what to do."""
    load({"t/A.avsc": with_fields(_NOTE)})
    for name, examples in files.items():
        (folder / f"{name}.examples.json").write_text(json.dumps(examples))
    assert command.main(["check"]) == 1
    assert capsys.readouterr().err.startswith(said)


def test_examples_that_cannot_be_read_hide_nothing(
    load: Load, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are a line, once, and the other findings are there too."""
    enums = [{"name": "e", "type": {"type": "enum", "name": "E", "symbols": list(s)}} for s in ("AB", "BA")]
    load({"t/A.avsc": with_fields(enums[0]), "t/A2.avsc": with_fields(enums[1], schema_version=2)})
    (folder / "A2.examples.json").write_text("{")
    assert command.main(["check"]) == 1
    said = capsys.readouterr().err
    assert "misreads bytes of version 1" in said
    assert said.count("schemas/t/A2.examples.json: must be an array of events") == 1


def test_examples_of_an_older_version_fail_the_check(
    load: Load, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They would never be read: the line says where they belong."""
    newer = with_fields({**_NOTE, "default": ""}, schema_version=2)
    load({"t/A.avsc": with_fields(), "t/A2.avsc": newer})
    (folder / "A.examples.json").write_text("[]")
    assert command.main(["check"]) == 1
    said = "schemas/t/A.examples.json: schemas/t/A.avsc is not the newest version of a type: rename the file "
    assert capsys.readouterr().err.startswith(said)


def test_a_type_of_which_no_event_fits_fails_the_check(
    load: Load, capsys: pytest.CaptureFixture[str]
) -> None:
    """Limits that every event of a schema exceeds are found before one is sent."""
    load({"t/A.avsc": with_fields()}, STREAMS.replace("true", "true, limits: {bytes: 3}"))
    assert command.main(["check"]) == 1
    assert "schemas/t/A.avsc: a sample made from the schema is not an event of n.s.A: " in (
        capsys.readouterr().err
    )


def test_a_type_that_the_registry_alone_knows_is_a_note(
    load: Load, capsys: pytest.CaptureFixture[str]
) -> None:
    """A type that cannot be framed is reported, but is not an error."""
    load({"t/A.avsc": with_fields()}, STREAMS.replace("true", "true, framing: confluent"))
    assert command.main(["check"]) == 0
    assert "note: no samples of n.s.A: schemas/t/A.avsc: values with the" in capsys.readouterr().err


def test_the_size_of_a_row_is_the_sinks() -> None:
    """The decoder does not import the sink, so the number is in both."""
    assert MAX_ROW_BYTES == batch.MAX_ROW_BYTES
