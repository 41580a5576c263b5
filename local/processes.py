"""Server processes: started, awaited, and ended by process id whatever happens."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from local import pids
from local.interrupts import interrupts

STOP_WITHIN_S = 12.0
LOOK_EVERY_S = 0.05


class StartError(RuntimeError):
    """A server did not start or died: the text names it and where its output is."""


class Process:
    """A server in a process group of its own, so that Ctrl-C reaches only the one who stops it.

    While it runs, a file next to its log says so (`function.pid`), for whoever finds it without its owner.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] = {},
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._pid_file = log.with_suffix(".pid")
        with interrupts.held(), log.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **env},
                cwd=cwd,
                start_new_session=True,
            )
            self.pid = self._popen.pid
            if (pid := pids.pid_of(self.pid)) is not None:
                pids.write(self._pid_file, pid)
        self._started_at = time.monotonic()

    def exit_code(self) -> int | None:
        """Return the exit code, None while it runs."""
        return self._popen.poll()

    def seconds_lived(self) -> float:
        """Return how long ago it was started."""
        return time.monotonic() - self._started_at

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone."""
        self._popen.send_signal(number)

    def wait(self, seconds: float) -> int:
        """Return the exit code; raises subprocess.TimeoutExpired when it does not end in time."""
        return self._popen.wait(seconds)

    def stop(self) -> None:
        """Ask it to end, and end it and all it started when it does not, or when there is a hurry."""
        try:
            self._popen.terminate()
            deadline = time.monotonic() + STOP_WITHIN_S
            while self.exit_code() is None and time.monotonic() < deadline and not interrupts.hurry:
                time.sleep(LOOK_EVERY_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._popen.wait()
            self._pid_file.unlink(missing_ok=True)

    def await_ready(self, is_ready: Callable[[], bool], seconds: float = 60.0) -> None:
        """Return when it is ready.

        Raises:
            StartError: it died, or was not ready in time.
        """
        deadline = time.monotonic() + seconds
        while not is_ready():
            interrupts.check()
            if self.exit_code() is not None:
                raise StartError(f"{self.name} ended with {self.exit_code()}: {self._last_lines()}")
            if time.monotonic() > deadline:
                raise StartError(f"{self.name} was not ready in {seconds:.0f} s: {self._last_lines()}")
            time.sleep(LOOK_EVERY_S)

    def _last_lines(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-5:]
        return "\n  ".join([f"see {self.log}", *lines])


def free_port() -> int:
    """Return a port on 127.0.0.1 that was free just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def accepts(port: int) -> bool:
    """Return whether something listens on the port of 127.0.0.1."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
