"""Processes by id and start time: an id alone may belong to another process by now."""

import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil

# Start times are calculated from the clock, which may be corrected meanwhile.
TOLERANCE_S = 2.0
STOP_WITHIN_S = 3.0


class Pid(msgspec.Struct, frozen=True):
    """A process: its id, and when it started, in seconds since 1970."""

    pid: int
    started: float

    def is_alive(self) -> bool:
        """Return whether this very process runs."""
        try:
            process = psutil.Process(self.pid)
            same: bool = abs(process.create_time() - self.started) < TOLERANCE_S
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def pid_of(process_id: int) -> Pid | None:
    """Return a process with its start time, None when it is gone."""
    try:
        return Pid(process_id, psutil.Process(process_id).create_time())
    except psutil.NoSuchProcess:
        return None


def write(file: Path, pid: Pid) -> None:
    """Write it to a file, whole or not at all."""
    partial = file.with_name(f".{file.name}")
    partial.write_bytes(msgspec.json.encode(pid))
    partial.replace(file)


def read(file: Path) -> Pid | None:
    """Return what `write` wrote; None where there is no such file."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Pid)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def end_groups(leaders: Sequence[Pid]) -> None:
    """End the process groups of these: first by SIGTERM, after some seconds by SIGKILL."""
    _signal(leaders, signal.SIGTERM)
    still = [psutil.Process(each.pid) for each in leaders if each.is_alive()]
    psutil.wait_procs(still, STOP_WITHIN_S)
    _signal(leaders, signal.SIGKILL)


def _signal(leaders: Sequence[Pid], number: signal.Signals) -> None:
    for leader in leaders:
        if leader.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(leader.pid, number)
