"""The runs of this folder: .local/run-<time> has the logs, who owns it, and where its stack listens."""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from decoder.streams import ROOT
from local import pids
from local.state import State

FOLDER = ROOT / ".local"
PREFIX = "run-"
KEPT = 5
# In a run's folder.
OWNER = "owner.pid"
STATE = "state.json"


class NotRunningError(RuntimeError):
    """There is no running stack to talk to: the text says what to do."""


def create(folder: Path) -> Path:
    """Make the folder of a new run, owned by this process."""
    folder.mkdir(parents=True, exist_ok=True)
    # It has its owner before it has its name: another start at this moment must not take it for a dead run.
    unnamed = Path(tempfile.mkdtemp(prefix="new-", dir=folder))
    owner = pids.pid_of(os.getpid())
    if owner is not None:
        pids.write(unnamed / OWNER, owner)
    name = f"{PREFIX}{time.strftime('%Y%m%d-%H%M%S')}"
    number = 1
    while True:
        run = folder / (name if number == 1 else f"{name}-{number}")
        if not run.exists():
            try:
                return unnamed.rename(run)
            except OSError:
                pass  # another start was quicker
        number += 1


def publish(run: Path, state: State) -> None:
    """Let other commands find the stack."""
    partial = run / f".{STATE}"
    partial.write_bytes(msgspec.json.encode(state))
    partial.replace(run / STATE)


def close(run: Path) -> list[str]:
    """Mark the run as ended; return the names of its processes that still ran, which are ended."""
    (run / STATE).unlink(missing_ok=True)
    (run / OWNER).unlink(missing_ok=True)
    files = {file: pid for file in run.rglob("*.pid") if (pid := pids.read(file)) is not None}
    left = {file.stem: pid for file, pid in files.items() if pid.is_alive()}
    pids.end_groups(list(left.values()))
    for file in files:
        file.unlink(missing_ok=True)
    return sorted(left)


def running(name: str | None = None, folder: Path = FOLDER) -> State:
    """Return the running stack: that of this name, or the newest, with a note on stderr if there are several.

    Raises:
        NotRunningError: there is none, none of this name, or it is still starting.
    """
    alive = [run for run in reversed(_runs(folder)) if _is_owned(run)]
    if name is not None:
        alive = [run for run in alive if run.name == name]
        if not alive:
            raise NotRunningError(f"no run named {name} is running here: `ls {folder}` has the names")
    ready = [run for run in alive if (run / STATE).exists()]
    if not alive:
        raise NotRunningError("nothing is running here: start it with `make run`")
    if not ready:
        raise NotRunningError(f"{alive[0].name} is still starting: try again when all is up")
    if len(ready) > 1:
        others = ", ".join(run.name for run in ready[1:])
        print(
            f"local: using {ready[0].name}, the newest of {len(ready)}; --run NAME: {others}", file=sys.stderr
        )
    try:
        return msgspec.json.decode((ready[0] / STATE).read_bytes(), type=State)
    except FileNotFoundError:
        raise NotRunningError(f"{ready[0].name} has just ended") from None


def clean_up(folder: Path) -> list[str]:
    """End what runs without an owner left behind; return a line each.

    Of the folders, the last five are kept, with the one to come. A run whose owner is alive is left alone.
    """
    lines = []
    ended = [run for run in _runs(folder) if not _is_owned(run)]
    for run in ended:
        left = close(run)
        if left:
            lines.append(f"Ended what {run.name} had left behind: {', '.join(left)}.")
    for run in ended[: -(KEPT - 1)]:
        shutil.rmtree(run, ignore_errors=True)
    return lines


def _runs(folder: Path) -> list[Path]:
    """Return the folders of all runs, oldest first; those not named for a time are of an older version."""
    found = folder.glob(f"{PREFIX}*")
    return sorted(found, key=lambda run: (run.name[len(PREFIX) :][:1].isdigit(), run.name))


def _is_owned(run: Path) -> bool:
    owner = pids.read(run / OWNER)
    return owner is not None and owner.is_alive()
