"""What this terminal can show, and text from records escaped so that the terminal does not interpret it."""

import os
import sys
from collections.abc import Mapping
from typing import TextIO

from rich.console import Console

# A log file or a pipe has no width of its own.
WIDTH_OF_A_FILE = 140


def open_console() -> Console:
    """Return the console on stdout; both stdout and stderr write what they cannot encode as escapes."""
    for stream in (sys.stdout, sys.stderr):
        # Anything else is a replacement that a test made.
        if hasattr(stream, "reconfigure"):
            encoding = "ascii" if is_ascii(stream, os.environ) else stream.encoding
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
    return Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE, highlight=False)


def is_ascii(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Return whether only ASCII will be shown.

    Python takes the locale C for UTF-8, but a terminal of someone who has set it may not.
    """
    if not (stream.encoding or "").lower().replace("-", "").startswith("utf"):
        return True
    locale = environ.get("LC_ALL") or environ.get("LANG") or ""
    return "PYTHONIOENCODING" not in environ and locale in ("C", "POSIX")


def printable(value: object) -> str:
    r"""Return the value's text with control, format and other invisible characters as escapes (`\x1b`)."""
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text
    )


def printable_lines(text: object) -> str:
    """Return the text with its line breaks, and otherwise as `printable` does."""
    return "\n".join(printable(line) for line in str(text).split("\n"))
