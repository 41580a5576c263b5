"""Where the picture appears: it moves on a terminal, and is a line now and then in a file or a pipe."""

import contextlib
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from local import show
from local.look import Look, Rates
from local.terminal import printable_lines

LINE_EVERY_S = 10.0


class Screen:
    """Shows looks and, above the picture, notices; between `with` and its end."""

    def __init__(self, console: Console, started_at: float) -> None:
        self._console = console
        self._started_at = started_at
        self._moves = console.is_terminal and not console.is_dumb_terminal
        self._line_at = time.monotonic() + LINE_EVERY_S
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> Self:
        """Begin."""
        if self._moves:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last picture where it is."""
        if self._moves:
            with contextlib.suppress(OSError):  # the terminal is gone
                self._live.stop()

    def show(self, look: Look, rates: Rates, *, last: bool = False) -> None:
        """Show what is so now; the last picture stays."""
        seconds = time.monotonic() - self._started_at
        if self._moves:
            self._live.update(show.Picture(look, rates, seconds), refresh=True)
        elif last:
            self._console.print(show.Picture(look, rates, seconds))
        elif time.monotonic() >= self._line_at:
            self._line_at = time.monotonic() + LINE_EVERY_S
            ascii_only = self._console.options.ascii_only
            self._console.print(show.stages(look, seconds, ascii_only=ascii_only), soft_wrap=True)

    def say(self, notice: str) -> None:
        """Write a notice that stays."""
        self._console.print(Text(printable_lines(notice)), soft_wrap=True)
