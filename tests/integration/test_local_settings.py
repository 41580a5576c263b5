"""Flags of `python -m local` that are settings of the bridge."""

import subprocess
import sys

import pytest

from decoder.streams import ROOT


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            ["--bridge-setting", "BRIDGE_ORDERING=keys"],
            "BRIDGE_ORDERING is 'keys': use none or partition or key",
        ),
        (["--bundle", "1000000"], "BRIDGE_BUNDLE is '1000000': use a number from 1 to "),
    ],
)
def test_a_setting_reaches_the_bridge_and_what_it_says_is_shown(flags: list[str], said: str) -> None:
    """The bridge checks the values; its line is in the error, and nothing is left running."""
    command = [sys.executable, "-m", "local", "--events", "5", "--exit", "--pubsub", "embedded", *flags]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith("local: bridge ended with 2")
    assert said in run.stderr
