"""identity.json: a change of where a type has its id or timestamp is an error until it is accepted."""

import json
from pathlib import Path

import pytest

from decoder import __main__ as command
from decoder.identity import accept_identities, changed_identities
from decoder.streams import CATALOG, CatalogError
from tests.unit.decoder.making import STREAMS, Load, with_fields

_KEY = {"name": "key", "type": "string"}
_USUAL, _OTHER = with_fields(_KEY), with_fields(_KEY, id_field="key")


def test_usual_fields_need_no_record(load: Load, tmp_path: Path) -> None:
    """Types with id and timestamp are not listed, and where all are such there is no file."""
    catalog = load({"t/A.avsc": _USUAL})
    assert changed_identities(catalog, tmp_path / "schemas") == []
    accept_identities(catalog, tmp_path / "schemas")
    assert not (tmp_path / "schemas" / "identity.json").exists()


@pytest.mark.parametrize("streams", [STREAMS, STREAMS.replace("current: true", "current: true, id: key")])
def test_edit_in_place_is_found(load: Load, tmp_path: Path, streams: str) -> None:
    """Another id in the file, or in streams.yaml, is an error that says what it does and how to accept it."""
    catalog = load({"t/A.avsc": _OTHER if streams == STREAMS else _USUAL}, streams)
    (said,) = changed_identities(catalog, tmp_path / "schemas")
    assert said.startswith(
        "schemas/t/A.avsc: n.s.A in topic t has id key and timestamp timestamp, but schemas/identity.json "
        "does not list it, which means id id and timestamp timestamp: rows that were loaded before keep "
    )
    assert "python -m decoder check --accept" in said
    accept_identities(catalog, tmp_path / "schemas")
    assert changed_identities(catalog, tmp_path / "schemas") == []
    record = json.loads((tmp_path / "schemas" / "identity.json").read_text())
    assert record == {"t": {"n.s.A": {"id": "key", "timestamp": "timestamp"}}}


def test_way_back_is_found_too(load: Load, tmp_path: Path) -> None:
    """A type that is listed and has the usual fields again differs as well."""
    accept_identities(load({"t/A.avsc": _OTHER}), tmp_path / "schemas")
    usual = load({"t/A.avsc": _USUAL})
    (said,) = changed_identities(usual, tmp_path / "schemas")
    assert "has id id and timestamp timestamp, but schemas/identity.json has id key" in said
    accept_identities(usual, tmp_path / "schemas")
    assert not (tmp_path / "schemas" / "identity.json").exists()


def test_new_version_with_another_id_is_found(load: Load, tmp_path: Path) -> None:
    """What counts is where resolved events have their id: the reader schema, else the newest version."""
    files = {"t/A.avsc": _USUAL, "t/B.avsc": {**_OTHER, "schema_version": 2}}
    assert len(changed_identities(load(files), tmp_path / "schemas")) == 1
    reader = {"t/A.avsc": {**_USUAL, "reader_schema": True}}
    assert changed_identities(load({**files, **reader}), tmp_path / "schemas") == []


@pytest.mark.parametrize("text", ["", "[]", '{"t": {"n.s.A": {"id": 3}}}', '{"t": {"n.s.A": {"id": "a."}}}'])
def test_record_that_cannot_be_read_is_named(load: Load, tmp_path: Path, text: str) -> None:
    """The error names the file, and what writes it."""
    catalog = load({"t/A.avsc": _USUAL, "identity.json": text})
    with pytest.raises(CatalogError, match=r"^schemas/identity\.json: .*check --accept` writes it$"):
        changed_identities(catalog, tmp_path / "schemas")


def test_check_fails_until_it_is_accepted(
    load: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`check` exits with 1, `check --accept` writes the record, and `check` passes; loading never fails."""
    monkeypatch.setenv(CATALOG, str(tmp_path))
    load({"t/A.avsc": _OTHER})
    assert command.main(["check"]) == 1
    out, err = capsys.readouterr()
    assert (out, err[:34]) == ("", "schemas/t/A.avsc: n.s.A in topic t")
    assert command.main(["check", "--accept"]) == 0
    assert command.main(["check"]) == 0
    assert capsys.readouterr().err == ""
