"""What all tests start from: the frozen catalog of tests/catalogue, which one's own streams do not change.

Tests that need a program which is not here are skipped, and counted; under CI they fail.
"""

import os
from pathlib import Path

import pytest

from decoder.streams import CATALOG
from tests.preflight import left_out
from tests.tools import TOOLS, problem

# Set before main.py is imported, and inherited by every process that a test starts.
os.environ[CATALOG] = str(Path(__file__).parent / "catalogue")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", f"needs(*tools): programs that the test starts, of {', '.join(TOOLS)}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that lacks a tool before its fixtures are made."""
    names = [name for mark in item.iter_markers("needs") for name in mark.args]
    missing = {name: found for name in names if (found := problem(name))}
    if not missing:
        return
    reason = "needs " + " and ".join(f"{TOOLS[name].title} ({found})" for name, found in missing.items())
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    item.user_properties.append(("missing", " ".join(missing)))
    pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were left out for what, also to the file that `make test` sums up."""
    reports = terminalreporter.stats.get("skipped", [])
    lines = "".join(
        f"{names}\n" for each in reports for key, names in each.user_properties if key == "missing"
    )
    if file := os.environ.get("LEFT_OUT"):
        with Path(file).open("a") as out:
            out.write(lines)
    elif lines:
        terminalreporter.write(left_out(lines), yellow=True)
