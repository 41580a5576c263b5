"""How `python -m local` ends: Ctrl-C, kill, kill -9 at any moment, once and twice."""

import json
import signal
from pathlib import Path

import pytest

from local import runs
from tests.integration.locally import EMBEDDED, Local, in_a_file, on_a_terminal
from tests.integration.waiting import eventually

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


def reach(local: Local, moment: str) -> None:
    """Return when it is as far as that: handling signals, starting the first or the last process, running."""
    if moment == "import":
        # The handlers are there before the imports: SigCgt has SIGINT.
        eventually(lambda: _catches(local.popen.pid, INT), 10)
    elif moment == "running":
        local.state()
    else:
        run = local.run()
        eventually(lambda: local.note_children() and (run / f"{moment}.pid").exists(), 30)


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("moment", ["import", "pubsub", "function", "bridge"])
def test_ctrl_c_during_the_start_is_one_line(moment: str, *, again: bool, tmp_path: Path) -> None:
    """Interrupted before all is up, once or on and on, it says so in a line, exits 130 and leaves nothing."""
    with in_a_file(tmp_path / "output", "--keep", *EMBEDDED) as local:
        reach(local, moment)
        local.say(INT)
        if again:
            eventually(lambda: _hammer(local), 30)
        assert local.wait() == 130, local.output()
        last = local.output().splitlines()[-1]
    assert last == "local: stopped"
    assert "Traceback" not in local.output()


@pytest.mark.parametrize(
    ("numbers", "ignored"),
    [((INT,), ()), ((INT,), (INT,)), ((TERM,), ()), ((HUP,), ()), ((INT, INT, INT), ())],
)
def test_a_signal_while_it_runs_ends_it_with_a_verdict(
    numbers: tuple[signal.Signals, ...], ignored: tuple[signal.Signals, ...], tmp_path: Path
) -> None:
    """Stopped while it runs, the last line is the verdict; also where the shell had SIGINT ignored."""
    with in_a_file(tmp_path / "output", "--keep", *EMBEDDED, ignored=ignored) as local:
        local.state()
        eventually(lambda: _arrived(local), 30)
        for number in numbers:
            local.say(number)
        if len(numbers) > 1:
            eventually(lambda: _hammer(local), 30)
        code = local.wait()
        last = local.output().splitlines()[-1]
    assert "Traceback" not in local.output()
    if len(numbers) == 1:
        assert code == 0
        summary = json.loads(last)
        assert summary["produced"] > 0
        assert summary["lost"] == 0
        assert summary["stopped_after_s"] > 0
    else:
        # The second may come before, during or after the verdict.
        assert last.startswith(("Stopped after", '{"produced"', "local: stopped"))


def test_an_interrupted_run_with_exit_is_not_a_success(tmp_path: Path) -> None:
    """With --exit, a verdict before all events were produced comes with 130."""
    with in_a_file(tmp_path / "output", "--exit", "--events", "100000", *EMBEDDED) as local:
        local.state()
        eventually(lambda: _arrived(local), 30)
        local.say(INT)
        assert local.wait() == 130, local.output()
        summary = json.loads(local.output().splitlines()[-1])
    assert summary["stopped_after_s"] > 0
    assert summary["lost"] == 0


def test_the_next_start_ends_what_a_killed_run_left(tmp_path: Path) -> None:
    """After kill -9 the function, the bridge and the servers go on; the next start ends them and says so."""
    with in_a_file(tmp_path / "first", "--keep", *EMBEDDED) as first:
        first.state()
        run = first.run()
        first.say(signal.SIGKILL)
        first.popen.wait(10)
        orphans = {file.stem for file in run.glob("*.pid") if file.name != runs.OWNER}
        assert orphans == {"bigquery", "bridge", "function", "pubsub"}
        assert first.left()
        with in_a_file(tmp_path / "second", "--keep", *EMBEDDED) as second:
            eventually(lambda: "left behind" in second.output(), 30)
            eventually(lambda: not first.left(), 10)
            second.say(INT)
            second.wait()
    line = f"Ended what {run.name} had left behind: bigquery, bridge, function, pubsub."
    assert line in second.output().splitlines()


def test_a_closed_terminal_ends_everything() -> None:
    """When the terminal's window is closed, nothing goes on without it."""
    with on_a_terminal("--rate", "50", *EMBEDDED) as terminal:
        terminal.shows("newest row")
        terminal.hang_up()
        assert terminal.wait() == 1


def _arrived(local: Local) -> bool:
    """Return whether the function has inserted something."""
    local.note_children()
    log = local.run() / "function.log"
    return log.exists() and b'"inserted"' in log.read_bytes()


def _hammer(local: Local) -> bool:
    """Send SIGINT each time that this is called, and return whether it has ended."""
    local.note_children()
    local.say(INT)
    return local.popen.poll() is not None


def _catches(pid: int, number: signal.Signals) -> bool:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            # The interpreter itself has a handler for SIGINT; that for SIGTERM is ours.
            mask = int(line.split()[1], 16)
            return bool(mask & (1 << (number - 1))) and bool(mask & (1 << (signal.SIGTERM - 1)))
    return False
