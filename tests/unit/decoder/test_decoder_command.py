"""`python -m decoder`: what the two commands print, and their errors in one line."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from decoder import __main__ as command
from decoder.catalog import Catalog
from decoder.registry import connect
from decoder.streams import CATALOG, CatalogError
from tests.unit.decoder.making import STREAMS, Load, with_fields
from tests.unit.decoder.schema_registry import SchemaRegistry

_TOPIC = "delivery_events_v6_topic"
_TYPE = "delivery.events.v6.DeliveryRatedV6"


def _decode(file: str, topic: str = _TOPIC, item_type_name: str = _TYPE) -> int:
    return command.main(["decode", "--topic", topic, "--type", item_type_name, file])


@pytest.fixture
def file(tmp_path: Path, rated_value: bytes) -> Path:
    """Give a file with the raw value of a record."""
    path = tmp_path / "value.avro"
    path.write_bytes(rated_value)
    return path


def test_check_lists_every_type(catalog: Catalog, capsys: pytest.CaptureFixture[str]) -> None:
    """`check` prints topic, type, schema and table of each type, and what it counted."""
    assert command.main(["check"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == ["TOPIC", "TYPE", "SCHEMA", "TABLE"]
    expected = [
        [t.topic.name, t.item_type_name, t.file.rpartition("/")[2], t.table] for t in catalog.types.values()
    ]
    assert [line.split() for line in lines[1:-1]] == sorted(expected)
    assert lines[-1] == f"ok: {len(catalog.types)} types, 6 topics, 5 tables"
    assert err == ""


def test_decode_prints_the_event(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`decode` prints what event_json would hold."""
    assert _decode(str(file)) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["comment"] == "très bien"
    assert (out.count("\n"), err) == (1, "")


def test_decode_asks_the_registry(
    load: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value whose schema is the registry's is shown too; while that has no answer, it is not now."""
    confluent = STREAMS.replace("current: true", "current: true, framing: confluent")
    loaded = load({"t/A.avsc": with_fields()}, confluent)
    monkeypatch.setattr(command, "load_catalog", lambda: loaded)
    server = SchemaRegistry()
    server.add(with_fields({"name": "more", "type": "int"}), schema_id=7)
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", server.url)
    (tmp_path / "value").write_bytes(b"\0\0\0\0\x07" + b"\x02a\0\x06")
    shown = []
    for _ in range(2):
        connect.cache_clear()
        shown.append((_decode(str(tmp_path / "value"), "t", "n.s.A"), *capsys.readouterr()))
        server.stop()
    connect.cache_clear()
    assert shown[0] == (0, '{"id":"a","timestamp":"1970-01-01T00:00:00Z","more":3}\n', "")
    assert shown[1] == (1, "", "not now: no answer from the schema registry\n")


def test_decode_reads_standard_input(
    rated_value: bytes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file named - is the standard input."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(rated_value)))
    assert _decode("-") == 0
    assert json.loads(capsys.readouterr().out)["stars"] == 5


@pytest.mark.parametrize(
    ("topic", "item_type_name", "said"),
    [
        ("other", _TYPE, "unknown_topic: no stream in streams.yaml has the topic 'other'"),
        (
            _TOPIC,
            "Other",
            "unknown_type: no schema of topic delivery_events_v6_topic is for the type 'Other'",
        ),
        (
            _TOPIC,
            "delivery.events.v6.DeliveryOnHoldV6",
            "undecodable: not Avro of the type delivery.events.v6.DeliveryOnHoldV6, field ",
        ),
    ],
)
def test_rejection_is_one_line(
    file: Path, capsys: pytest.CaptureFixture[str], topic: str, item_type_name: str, said: str
) -> None:
    """What would be a dead letter is its reason and message on standard error, and exit status 1."""
    assert _decode(str(file), topic, item_type_name) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(said)
    assert err.count("\n") == 1


def test_trailing_bytes_are_one_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So are trailing bytes, with their place."""
    file.write_bytes(file.read_bytes() + b"\n")
    assert _decode(str(file)) == 1
    assert capsys.readouterr().err.startswith("trailing_bytes: the event ends at byte ")


@pytest.mark.parametrize(("name", "said"), [("none", "No such file or directory"), (".", "Is a directory")])
def test_unreadable_file_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    """A file that cannot be read is named with the reason."""
    assert _decode(str(tmp_path / name)) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"{tmp_path / name}: {said}\n")


@pytest.mark.parametrize("arguments", [["check"], ["decode", "--topic", "t", "--type", "n", "f"]])
def test_wrong_catalogue_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """A catalogue that does not load is the error of both commands."""

    def load() -> Catalog:
        raise CatalogError("schemas/t/A.avsc: not a JSON object")

    monkeypatch.setattr(command, "load_catalog", load)
    assert command.main(arguments) == 1
    assert capsys.readouterr() == ("", "catalogue: schemas/t/A.avsc: not a JSON object\n")


@pytest.mark.parametrize("arguments", [[], ["other"], ["decode", "f"], ["decode", "--topic", "t", "f"]])
def test_wrong_usage(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """A missing command or option is told by argparse, exit status 2."""
    with pytest.raises(SystemExit) as caught:
        command.main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m decoder" in capsys.readouterr().err


def test_version_that_cannot_read_the_last_fails_the_check(
    load: Load, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`check` names the file, both versions and the first field at fault, and exits with 1."""
    newer = with_fields({"name": "level", "type": "int"}, schema_version=2)
    loaded = load({"t/A.avsc": with_fields(), "t/A2.avsc": newer})
    monkeypatch.setattr(command, "load_catalog", lambda: loaded)
    assert command.main(["check"]) == 1
    said = "schemas/t/A2.avsc: version 2 of n.s.A cannot read version 1 (schemas/t/A.avsc): level: "
    assert capsys.readouterr().err.startswith(said)


def test_version_that_can_read_the_last_passes_the_check(
    load: Load, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A field with a default is no problem."""
    newer = with_fields({"name": "level", "type": "int", "default": 1}, schema_version=2)
    loaded = load({"t/A.avsc": with_fields(), "t/A2.avsc": newer})
    monkeypatch.setattr(command, "load_catalog", lambda: loaded)
    assert command.main(["check"]) == 0
    assert capsys.readouterr().out.endswith("ok: 1 types, 1 topics, 1 tables\n")


def test_check_prints_errors_warnings_and_notes(
    load: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Warnings and notes go to standard error and do not fail the check; a version that misreads does."""
    monkeypatch.setenv(CATALOG, str(tmp_path))
    field = {"name": "x", "type": "long", "logicalType": "date"}
    appended = with_fields(field, {"name": "y", "type": "int", "default": 0}, schema_version=2)
    load({"t/A.avsc": with_fields(field), "t/A2.avsc": appended})
    assert command.main(["check"]) == 0
    out, err = capsys.readouterr()
    assert out.endswith("ok: 1 types, 1 topics, 1 tables\n")
    warning, *rest = err.splitlines()
    assert warning.startswith(
        "warning: schemas/t/A.avsc: field x: the logicalType next to its type is ignored"
    )
    assert [line.split(": ")[0] for line in rest] == ["warning", "note", "note"]
    load({"t/A2.avsc": with_fields({**field, "name": "y", "default": 0}, schema_version=2)})
    assert command.main(["check"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("schemas/t/A2.avsc: version ")
    assert "misreads bytes of version" in err
