"""README.md's "Your own event in five minutes", typed by a newcomer beside a running pipeline."""

import signal
import subprocess
from itertools import zip_longest
from pathlib import Path

import pytest

from tests.docs.kinds import TUTORIAL
from tests.docs.output import missing
from tests.docs.pages import Part, section
from tests.docs.world import copy
from tests.integration.waiting import eventually
from tests.own_stream import own_environment

# What a reader types, but for the environment, which is there.
_SHELL = 'set -euo pipefail\nmake() { command make -o .venv/run -o .venv/test "$@"; }\n'


@pytest.mark.timeout(300)
def test_the_tutorial_works(tmp_path: Path) -> None:
    """Each block, in the order of the page, prints what the page shows; the pipeline says that it saw it."""
    folder = copy(tmp_path / "repository")
    output = tmp_path / "output"
    command = [str(folder / ".venv" / "bin" / "python"), "-m", "local", "--keep", "--rate", "20"]
    with output.open("w") as log:
        run = subprocess.Popen(
            [*command, "--pubsub", "embedded"], cwd=folder, env=own_environment(), stdout=log, stderr=log
        )
        try:
            eventually(lambda: "All five are up" in output.read_text(), 60)
            blocks = section(*TUTORIAL)
            for block, following in zip_longest(blocks, blocks[1:]):
                if block.language == "sh":
                    shown = following if following and following.language != "sh" else None
                    _type(block, shown, folder)
        finally:
            run.send_signal(signal.SIGINT)
            run.wait(60)
    said = output.read_text()
    assert "types added: shop.OrderPlaced (orders_v1_topic)" in said
    assert "types changed: shop.OrderPlaced (orders_v1_topic)" in said
    assert said.count("The function is up again.") == 2


def _type(block: Part, shown: Part | None, folder: Path) -> None:
    printed = _bash(block.text, folder)
    if shown is None or _is_shown(shown, printed):
        return
    # A row takes its time, and so does the function with a new schema: ask, and replay, again.
    assert "local query" in block.text, f"{shown}: this was printed instead:\n{printed}"
    eventually(lambda: _is_shown(shown, _bash(block.text, folder)), 60)


def _is_shown(shown: Part, printed: str) -> bool:
    if "…" in shown.text:
        return not missing(shown.text, printed)
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    wanted = [" ".join(line.split()) for line in shown.text.splitlines()]
    return lines[-len(wanted) :] == wanted


def _bash(script: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-c", _SHELL + script],
        cwd=folder,
        env=own_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout
