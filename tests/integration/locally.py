"""`python -m local` as a user has it: on a terminal, or in a file; and what it leaves behind."""

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil
import pyte

from decoder.streams import ROOT
from local import pids, runs
from local.state import State
from tests.integration.waiting import eventually

COMMAND = (sys.executable, "-m", "local")
# What the function and the bridge say is not the question here, and the stand-in starts quickly.
EMBEDDED = ("--pubsub", "embedded")
STOPS_WITHIN_S = 40.0
ROWS, COLUMNS = 40, 120


class Local:
    """A process of `python -m local`, on a terminal of its own or with its output in a file."""

    def __init__(self, popen: subprocess.Popen[bytes], output: Callable[[], str]) -> None:
        self.popen = popen
        self.output = output
        self._started: set[psutil.Process] = set()

    def say(self, number: signal.Signals) -> None:
        """Send a signal to it alone."""
        self.popen.send_signal(number)

    def note_children(self) -> int:
        """Note the processes that it has started so far, and return how many there are now."""
        try:
            children = psutil.Process(self.popen.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return 0
        self._started.update(children)
        return len(children)

    def run(self) -> Path:
        """Return the folder of its run, once there is one."""

        def find() -> Path | None:
            self.note_children()
            for owner in runs.FOLDER.glob(f"{runs.PREFIX}*/{runs.OWNER}"):
                pid = pids.read(owner)
                if pid is not None and pid.pid == self.popen.pid:
                    return owner.parent
            assert self.popen.poll() is None, self.output()
            return None

        found = eventually(find, 30)
        assert found is not None
        return found

    def state(self) -> State:
        """Return where its stack listens, once all is up."""
        run = self.run()

        def is_up() -> bool:
            self.note_children()
            assert self.popen.poll() is None, self.output()
            return (run / runs.STATE).exists()

        eventually(is_up, 60)
        return runs.running(run.name)

    def wait(self) -> int:
        """Return its exit code; fails when it does not end, or when something that it started goes on."""

        def has_ended() -> bool:
            self.note_children()
            return self.popen.poll() is not None

        eventually(has_ended, STOPS_WITHIN_S)
        eventually(lambda: not self.left(), 5)
        return self.popen.returncode

    def left(self) -> list[psutil.Process]:
        """Return what it has started that still runs."""
        return [each for each in self._started if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]

    def end(self) -> None:
        """End it and all that it has started."""
        self.note_children()
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(10)
        for process in self.left():
            with contextlib.suppress(ProcessLookupError):
                # By group: a server whose worker is killed first would start another one.
                group = os.getpgid(process.pid)
                if group != os.getpgid(0):
                    os.killpg(group, signal.SIGKILL)


@contextlib.contextmanager
def in_a_file(
    path: Path, *options: str, env: Mapping[str, str] = {}, ignored: Sequence[signal.Signals] = ()
) -> Iterator[Local]:
    """Start it with its output in a file, and signals ignored as some shells do for background jobs."""

    def ignore() -> None:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)

    with path.open("wb") as output:
        popen = subprocess.Popen(
            [*COMMAND, *options],
            cwd=ROOT,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=ignore,  # noqa: PLW1509 - it takes no lock
        )
    local = Local(popen, path.read_text)
    try:
        yield local
    finally:
        local.end()


class Terminal(Local):
    """It on a terminal: `screen` is what is to be seen, `raw` all that was written."""

    def __init__(self, popen: subprocess.Popen[bytes], master: int) -> None:
        self._master = master
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self.raw = b""
        super().__init__(popen, self.screen)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def screen(self) -> str:
        """Return the text on the screen."""
        with self._lock:
            return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    def type(self, keys: bytes) -> None:
        """Type something."""
        os.write(self._master, keys)

    def shows(self, text: str, seconds: float = 60) -> str:
        """Return the screen once the text is on it."""

        def look() -> bool:
            self.note_children()
            return text in self.screen() or self.popen.poll() is not None

        with contextlib.suppress(AssertionError):
            eventually(look, seconds)
        screen = self.screen()
        assert text in screen, screen
        return screen

    def hang_up(self) -> None:
        """Close the terminal, as closing its window does."""
        os.close(self._master)
        self._master = -1

    def close(self) -> None:
        """Close the terminal if it is open."""
        if self._master >= 0:
            self.hang_up()

    def all_read(self) -> bytes:
        """Return all that was written until its end."""
        self._thread.join(5)
        return self.raw

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65_536)
            except OSError:
                return
            if not data:
                return
            with self._lock:
                self.raw += data
                self._stream.feed(data)


@contextlib.contextmanager
def on_a_terminal(*options: str, env: Mapping[str, str] = {}) -> Iterator[Terminal]:
    """Start it on a terminal of its own, where a typed ^C is a SIGINT."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    popen = subprocess.Popen(
        [*COMMAND, *options],
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm-256color", **env},
        preexec_fn=lambda: os.login_tty(slave),  # noqa: PLW1509 - it takes no lock
        pass_fds=(slave,),
    )
    os.close(slave)
    terminal = Terminal(popen, master)
    try:
        yield terminal
    finally:
        terminal.end()
        terminal.close()
