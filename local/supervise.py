"""Restarts the function and the bridge when they exit. Processes that hold data are not restarted."""

from collections.abc import Iterable
from pathlib import Path

from decoder.streams import CATALOG
from local import stack as stacks
from local.interrupts import interrupts
from local.processes import Process, StartError, accepts
from local.stack import Stack

AGAIN = ("function", "bridge")
# One that ends within so many seconds of its start, so many times in a row, is not started again.
QUICK_S = 10.0
MAX_QUICK = 5


class Supervisor:
    """Looks after the processes of a stack. `again` is whether function and bridge are started again."""

    def __init__(self, stack: Stack, *, again: bool) -> None:
        self._stack = stack
        self._again = again
        self._topics = [topic.name for stream in stack.streams.values() for topic in stream.topics]
        self._snapshot = stack.snapshot
        self._ports = {"function": stack.state.function_port, "bridge": stack.state.bridge_port}
        self._quick = dict.fromkeys(AGAIN, 0)
        self._given_up: set[str] = set()
        self._starting: set[str] = set()

    @property
    def bridge(self) -> Process:
        """The bridge of now."""
        return self._stack.processes["bridge"]

    def look(self) -> list[str]:
        """Start again what has ended, and return a line each.

        Raises:
            StartError: a process has ended that cannot be replaced.
        """
        lines = []
        for name, process in list(self._stack.processes.items()):
            code = process.exit_code()
            if code is None or name in self._given_up:
                continue
            if name not in AGAIN or not self._again:
                raise StartError(f"{name} ended with {code}: see {process.log}")
            self._quick[name] = self._quick[name] + 1 if process.seconds_lived() < QUICK_S else 0
            if self._quick[name] >= MAX_QUICK:
                self._given_up.add(name)
                lines.append(
                    f"The {name} ended with {code}, {MAX_QUICK} times within {QUICK_S:.0f} s of its start: "
                    f"not started again, the rest stays up. See {process.log}"
                )
                continue
            process.stop()  # its group: a worker that outlived it would keep the port
            self._start(name)
            lines.append(f"The {name} ended with {code}: started again.")
        for name in sorted(self._starting):
            if accepts(self._ports[name]):
                self._starting.discard(name)
                lines.append(f"The {name} is up again.")
        return lines

    def restart_function(self, snapshot: Path) -> None:
        """Start the function again, with the catalog in this folder."""
        self._snapshot = snapshot
        self._restart("function")

    def restart_bridge(self, topics: Iterable[str]) -> None:
        """Start the bridge again, with these topics."""
        self._topics = list(topics)
        self._restart("bridge")

    def _restart(self, name: str) -> None:
        self._stack.processes[name].stop()
        self._quick[name] = 0
        self._given_up.discard(name)
        self._start(name)

    def _start(self, name: str) -> None:
        state, log = self._stack.state, Path(self._stack.state.logs) / f"{name}.log"
        with interrupts.held():
            if name == "function":
                env = {CATALOG: str(self._snapshot), **self._stack.function_env}
                process = stacks.start_function(state, log, env)
            else:
                process = stacks.start_bridge(state, self._topics, log, self._stack.bridge_env)
            self._stack.processes[name] = process
        self._starting.add(name)
