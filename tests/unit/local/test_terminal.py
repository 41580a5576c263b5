"""What reaches the terminal: text from records as text, and in characters that it can show."""

import io

import pytest
from rich.console import Console

from local import show, tables
from local.look import Look, Rates
from local.terminal import is_ascii, printable, printable_lines

EVIL = "\x1b]0;owned\x07\x1b[2J[/red][bold]\r\n\u202egnp.exe\x9b31m"
LOOK = Look(
    at=1.0,
    produced={"[/red]": 3},
    forwarded=2,
    rows={"[/red]": 1},
    dead_letters=1,
    repeats=tables.Repeats(2, 0),
    counted=2,
    retries=0,
    unacknowledged=4,
    newest_row={
        "stream": EVIL,
        "event_type": EVIL,
        "kafka_topic": "[/red]",
        "kafka_partition": 0,
        "kafka_offset": 7,
        "event_json": EVIL,
    },
    newest_dead_letter={
        "reason": EVIL,
        "kafka_topic": EVIL,
        "kafka_partition": 0,
        "kafka_offset": 7,
        "message": EVIL,
    },
)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_nothing_from_a_record_is_a_command_or_markup(encoding: str) -> None:
    """Escape sequences, carriage returns, direction overrides and rich's markup appear as written."""
    written = io.BytesIO()
    file = io.TextIOWrapper(written, encoding, errors="backslashreplace")
    console = Console(file=file, width=400, highlight=False)
    console.print(show.Picture(LOOK, Rates(1, 1, 1, {}), 5))
    counts = tables.Counts({}, {}, 0)
    assert LOOK.newest_row
    assert LOOK.newest_dead_letter
    show.newest(console, [LOOK.newest_row])
    show.newest_dead_letters(console, [LOOK.newest_dead_letter], counts)
    file.flush()
    text = written.getvalue().decode(encoding)
    assert not {each for each in text if not each.isprintable()} - {"\n"}
    assert "\\x1b[2J[/red][bold]\\r\\n" in text
    assert "\\u202egnp.exe\\x9b31m" in text
    assert "retries: bridge 0, function 4" in text
    assert ("-->" in text) == (encoding == "ascii")


def test_printable_keeps_what_can_be_read() -> None:
    """Letters of any script stay; bytes that are not UTF-8 are escapes."""
    assert printable("Zoë 你好 🚚") == "Zoë 你好 🚚"
    assert printable(b"\xff\x00ok") == "\\xff\\x00ok"
    assert printable_lines("a\x1bb\nc") == "a\\x1bb\nc"


@pytest.mark.parametrize(
    ("encoding", "environ", "expected"),
    [
        ("utf-8", {}, False),
        ("utf-8", {"LANG": "C"}, True),
        ("utf-8", {"LANG": "en_US.UTF-8"}, False),
        ("utf-8", {"LANG": "C", "LC_ALL": "C.UTF-8"}, False),
        ("utf-8", {"LC_ALL": "POSIX"}, True),
        ("utf-8", {"LANG": "C", "PYTHONIOENCODING": "utf-8"}, False),
        ("ascii", {}, True),
        ("iso8859-1", {"LANG": "de_DE"}, True),
    ],
)
def test_only_ascii_where_the_terminal_may_not_know_more(
    encoding: str, environ: dict[str, str], *, expected: bool
) -> None:
    """The locale C and any encoding but UTF-8 get ASCII, unless PYTHONIOENCODING says otherwise."""
    assert is_ascii(io.TextIOWrapper(io.BytesIO(), encoding), environ) is expected
