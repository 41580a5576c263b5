"""`python -m decoder encode`: an event's JSON in, a payload out, which `decode` shows as that event."""

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from decoder import __main__ as command

_TYPE = ["--topic", "delivery_events_v6_topic", "--type", "delivery.events.v6.DeliveryRatedV6"]
_EVENT = {
    "id": "6d6d2c1e-5d1c-4b0a-9d55-0d7a4f0c2b11",
    "timestamp": "2024-02-29T23:59:59.987000Z",
    "delivery_id": "00000000-0000-4000-8000-000000000001",
    "stars": 5,
    "asked_by": "PUSH",
    "tags": ["LATE"],
    "comment": "très bien",
    "tip": "2.50",
}


def _run(command: str, data: bytes) -> bytes:
    arguments = [sys.executable, "-m", "decoder", command, *_TYPE, "-"]
    return subprocess.run(arguments, input=data, capture_output=True, check=True, timeout=60).stdout


def test_encode_and_decode_are_each_others_inverse() -> None:
    """What one program writes the other reads, through a pipe."""
    text = json.dumps(_EVENT).encode()
    assert json.loads(_run("decode", _run("encode", text))) == _EVENT


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"stars": "5"},
            'not an event of delivery.events.v6.DeliveryRatedV6: stars: "5" is not a whole number',
        ),
        ({"star": 5}, "not an event of delivery.events.v6.DeliveryRatedV6: record delivery.events.v6."),
        ({"tags": ["LATE"] * 50_001}, "too_large: not Avro of the type "),
    ],
)
def test_what_is_no_event_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, object], said: str
) -> None:
    """Wrong JSON, and an event that would be a dead letter, are told; nothing is written."""
    path = tmp_path / "event.json"
    path.write_text(json.dumps(_EVENT | change))
    assert command.main(["encode", *_TYPE, str(path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(said)
    assert err.count("\n") == 1


def test_a_terminal_gets_no_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A payload is binary: a terminal is told to use a file."""
    path = tmp_path / "event.json"
    path.write_text(json.dumps(_EVENT))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(isatty=lambda: True, buffer=io.BytesIO()))
    assert command.main(["encode", *_TYPE, str(path)]) == 1
    assert capsys.readouterr().err.startswith("the payload is binary: redirect it to a file")
