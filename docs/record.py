"""`python -m docs.record FILE.svg COMMAND…`: what a command shows on a terminal, as a moving picture.

The command runs in a pseudo-terminal for some seconds, is then sent Ctrl-C, and is recorded until it ends.
The folder of the repository is shown as `~/kafka-to-bigquery`.
"""

import argparse
import fcntl
import itertools
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyte
from pyte.screens import Char

from docs.svg import Frame, Row, Run, Style, to_svg

ROOT = Path(__file__).parents[1]
SHOWN_ROOT = "~/kafka-to-bigquery"
COLUMNS, LINES = 110, 30
LOOK_EVERY_S = 0.1  # changes within are one frame
ENDS_WITHIN_S = 20.0  # from Ctrl-C
LAST_FRAME_S = 4.0
# When the leader of a terminal's session ends, Linux may drop what was not read yet: this one ends later.
FLUSH_S = 0.5
MOST_BYTES = 500_000
FAINT, GRAY = b"\x1b[2m", b"\x1b[90m"  # the emulator does not know the first


def main() -> int:
    """Record, and write the picture."""
    parser = argparse.ArgumentParser(prog="python -m docs.record", description=__doc__)
    parser.add_argument("--seconds", type=float, default=25.0, help="until Ctrl-C (default: 25)")
    parser.add_argument("--typed", default="", help="shown as what was typed; default: the command")
    parser.add_argument("file", type=Path, metavar="FILE.svg")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    if not arguments.command or shutil.which(arguments.command[0]) is None:
        parser.error("the command to record is missing, or not a program")
    typed = arguments.typed or " ".join(arguments.command)
    frames, end = record(arguments.command, typed, arguments.seconds)
    picture = to_svg(frames, end + LAST_FRAME_S, COLUMNS, LINES)
    if str(ROOT) in picture:
        print(f"record: the picture shows {ROOT}: record it again", file=sys.stderr)
        return 1
    if len(picture.encode()) > MOST_BYTES:
        print(f"record: {len(picture.encode()):,} bytes are too many: take fewer --seconds", file=sys.stderr)
        return 1
    arguments.file.write_text(picture)
    print(f"{arguments.file}: {len(frames)} frames in {end:.0f} s, {len(picture.encode()):,} bytes")
    return 0


def record(command: Sequence[str], typed: str, seconds: float) -> tuple[list[Frame], float]:
    """Run a command on a terminal, and return the frames that differ, and when it ended, in seconds."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    stream.feed(f"$ {typed}\r\n".encode())
    frames = [Frame(0.0, _rows(screen))]
    now = 0.0
    for now, output in _output(command, seconds):
        shown = output.replace(str(ROOT).encode(), SHOWN_ROOT.encode())
        stream.feed(shown.replace(FAINT, GRAY))
        rows = _rows(screen)
        if rows != frames[-1].rows:
            frames.append(Frame(now, rows))
    return frames, now


def _output(command: Sequence[str], seconds: float) -> Iterator[tuple[float, bytes]]:
    """Run a command on a terminal; give what it writes, with the time since its start."""
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        own = {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(LINES)}
        signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the command
        subprocess.run(command, env={**os.environ, **own}, check=False)
        time.sleep(FLUSH_S)
        os._exit(0)
    started = time.monotonic()
    interrupted = False
    try:
        while (now := time.monotonic() - started) < seconds + ENDS_WITHIN_S:
            if now >= seconds and not interrupted:
                os.write(terminal, b"\x03")
                interrupted = True
            output = _read(terminal, LOOK_EVERY_S)
            if output is None:
                return
            if output:
                yield now, output
    finally:
        os.close(terminal)  # which ends what has not ended, by SIGHUP
        os.waitpid(pid, 0)


def _read(terminal: int, seconds: float) -> bytes | None:
    """Return what is written within some seconds, None at the end."""
    until = time.monotonic() + seconds
    output = b""
    while (left := until - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            try:
                new = os.read(terminal, 65_536)
            except OSError:  # Linux's way to say that nobody has the terminal open
                new = b""
            if not new:
                return output or None
            output += new
    return output


def _rows(screen: pyte.Screen) -> tuple[Row, ...]:
    """Return the screen's lines as runs of one style, without the blanks at their ends."""
    return tuple(tuple(_runs([screen.buffer[y][x] for x in range(COLUMNS)])) for y in range(LINES))


def _runs(cells: Sequence[Char]) -> Iterator[Run]:
    shown = len(cells)
    while shown and cells[shown - 1].data == " " and not cells[shown - 1].reverse:
        shown -= 1
    column = 0
    for style, group in itertools.groupby(cells[:shown], _style):
        text = "".join(cell.data for cell in group)
        yield Run(column, text, style)
        column += len(text)


def _style(cell: Char) -> Style:
    color, ground = (cell.bg, cell.fg) if cell.reverse else (cell.fg, cell.bg)
    return Style(color, ground, cell.bold, cell.italics, cell.underscore)


if __name__ == "__main__":
    sys.exit(main())
