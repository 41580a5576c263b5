"""The display of `python -m local`, on a terminal."""

import re

from tests.integration.locally import EMBEDDED, on_a_terminal
from tests.integration.waiting import eventually

CTRL_C = b"\x03"
STORED = r"[\d,]+ rows \+ [\d,]+ dead letters"
VERDICT = re.compile(rf"Stopped after \d+ s: [\d,]+ produced, {STORED}, [\d,]+ repeats, 0 lost")


def test_the_picture_moves_and_ctrl_c_ends_it_with_a_verdict() -> None:
    """Rates, lag, retries, repeats, newest row and dead letter are shown; ^C says what arrived, exits 0."""
    with on_a_terminal("--rate", "100", *EMBEDDED) as terminal:
        terminal.shows("newest dead letter")
        first = terminal.shows("newest row")
        for text in ("per second:", "lag ", "in flight ", "retries", "repeats ", "rows/s"):
            assert text in first
        newest = _line(first, "newest row")
        eventually(lambda: _line(terminal.screen(), "newest row") not in {newest, ""}, 30)
        eventually(lambda: re.search(r"per second: [1-9]\d* produced", terminal.screen()))
        terminal.type(CTRL_C)
        assert terminal.wait() == 0, terminal.screen()
        text = terminal.all_read().decode()
    assert "Traceback" not in text
    assert VERDICT.search(text), text[-3000:]
    assert "Newest dead letters" in text


def test_a_terminal_without_unicode_gets_ascii() -> None:
    """With an ASCII encoding the picture has no arrows, no ellipsis and no error."""
    with on_a_terminal("--rate", "100", *EMBEDDED, env={"PYTHONIOENCODING": "ascii"}) as terminal:
        terminal.shows("newest row")
        assert "-->" in terminal.screen()
        terminal.type(CTRL_C)
        assert terminal.wait() == 0, terminal.screen()
        text = terminal.all_read()
    assert text.isascii()
    assert b"Error" not in text
    assert b"0 lost" in text


def _line(screen: str, text: str) -> str:
    return next((line for line in screen.splitlines() if text in line), "")
