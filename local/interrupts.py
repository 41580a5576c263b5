"""Ctrl-C, `kill`, a closed terminal: one KeyboardInterrupt, and not where it would leave a process behind.

Only the standard library is imported here, so that signals are handled before anything slow begins.
"""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class Interrupts:
    """Turns the first signal into a KeyboardInterrupt; later ones set `hurry`, unless `arm` is called again.

    Where `install` was not called, as in tests, none of this has an effect.
    """

    def __init__(self) -> None:
        self.hurry = False
        self._received = False
        self._armed = False
        self._held = 0
        self._held_back = False

    def install(self) -> None:
        """Handle the signals from now on.

        SIGINT also where it is ignored: a shell without job control ignores it for what it starts in the
        background. An ignored SIGHUP is left alone: `nohup` was asked for.
        """
        signal.signal(signal.SIGINT, self._handle)
        signal.signal(signal.SIGTERM, self._handle)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._handle)
        self._armed = True

    def arm(self) -> None:
        """Let the next signal raise again."""
        self._received = False
        self._armed = True

    def disarm(self) -> None:
        """Raise no more: what follows ends processes."""
        self._armed = False

    def ignore(self) -> None:
        """Ignore the signals: all is done, and Python would die of them while it tidies up."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold a signal back until the block is over: a process is made and noted, or neither."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        if self._held_back and not self._held:
            self._held_back = False
            raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if the last one was lost: raised in a destructor, Python drops it."""
        if self._received:
            raise KeyboardInterrupt

    def _handle(self, _: int, __: FrameType | None) -> None:
        self._received = True
        if not self._armed:
            self.hurry = True
            return
        self._armed = False
        if self._held:
            self._held_back = True
        else:
            raise KeyboardInterrupt


# Signals are the process's, and so is this.
interrupts = Interrupts()
