"""The folders of runs: who owns them, which one a command finds, which are kept."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import pids, runs
from local.processes import Process
from local.state import State

STATE = State("k", "p", 1, 2, 3, "logs")


def ended(folder: Path, name: str) -> Path:
    """Make the folder of a run whose owner is gone."""
    run = folder / name
    run.mkdir()
    # This process has another start time.
    pids.write(run / runs.OWNER, pids.Pid(1, 1.0))
    return run


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Process]:
    """Give a process whose pid file is in the run-1 folder."""
    process = Process("sleeper", ["sleep", "60"], tmp_path / "run-20260101-000001" / "sleeper.log")
    yield process
    process.stop()


def test_the_last_five_are_kept_with_the_one_to_come(tmp_path: Path) -> None:
    """Of ended runs four stay, the newest; one that is owned stays whatever its age."""
    own = runs.create(tmp_path)
    oldest = own.rename(tmp_path / "run-20200101-000000")
    for number in range(8):
        ended(tmp_path, f"run-2026010{number}-000000")
    ended(tmp_path, "run-x3_olk")  # as an older version named them
    assert runs.clean_up(tmp_path) == []
    kept = sorted(path.name for path in tmp_path.glob("run-*"))
    assert kept == [oldest.name, *(f"run-2026010{number}-000000" for number in range(4, 8))]


def test_what_is_left_of_an_ended_run_is_ended_and_said(tmp_path: Path, sleeper: Process) -> None:
    """A process of the same id and start time is ended, in a line; its owner is gone."""
    ended_run = tmp_path / "run-20260101-000001"
    pids.write(ended_run / runs.OWNER, pids.Pid(1, 1.0))
    assert runs.clean_up(tmp_path) == ["Ended what run-20260101-000001 had left behind: sleeper."]
    assert sleeper.exit_code() is not None
    assert runs.clean_up(tmp_path) == []


def test_another_process_of_the_same_id_is_left_alone(tmp_path: Path, sleeper: Process) -> None:
    """An id whose start time differs belongs to someone else."""
    file = tmp_path / "run-20260101-000001" / "sleeper.pid"
    known = pids.read(file)
    assert known is not None
    pids.write(file, pids.Pid(known.pid, known.started - 60))
    assert runs.clean_up(tmp_path) == []
    assert sleeper.exit_code() is None


def test_an_owned_run_is_not_touched(tmp_path: Path) -> None:
    """What runs under a living owner is no orphan."""
    run = runs.create(tmp_path)
    process = Process("sleeper", ["sleep", "60"], run / "sleeper.log")
    try:
        assert runs.clean_up(tmp_path) == []
        assert process.exit_code() is None
    finally:
        process.stop()


def test_the_newest_running_stack_is_found_with_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of several, the newest is used and the note names the others; a name picks one."""
    first, second = runs.create(tmp_path), runs.create(tmp_path)
    runs.publish(first, STATE)
    assert runs.running(folder=tmp_path) == STATE
    assert capsys.readouterr().err == ""
    runs.publish(second, State("k2", "p", 1, 2, 3, "logs"))
    assert runs.running(folder=tmp_path).kafka == "k2"
    note = capsys.readouterr().err
    assert second.name in note
    assert f"--run NAME: {first.name}" in note
    assert runs.running(first.name, tmp_path) == STATE


def test_without_a_running_stack_the_error_says_what_to_do(tmp_path: Path) -> None:
    """Nothing there, none of that name, one that still starts, one whose owner was killed: a line each."""
    with pytest.raises(runs.NotRunningError, match="nothing is running here: start it with `make run`"):
        runs.running(folder=tmp_path)
    runs.publish(ended(tmp_path, "run-20260101-000001"), STATE)
    with pytest.raises(runs.NotRunningError, match="nothing is running here"):
        runs.running(folder=tmp_path)
    run = runs.create(tmp_path)
    with pytest.raises(runs.NotRunningError, match=f"{run.name} is still starting"):
        runs.running(folder=tmp_path)
    with pytest.raises(runs.NotRunningError, match="no run named other is running here"):
        runs.running("other", tmp_path)


def test_query_says_in_a_line_that_nothing_runs() -> None:
    """The command is one clear line, not a traceback."""
    command = [sys.executable, "-m", "local", "query", "--run", "none", "SELECT 1"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith("local: no run named none is running here")
    assert len(run.stderr.splitlines()) == 1
