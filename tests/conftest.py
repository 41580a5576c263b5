"""What all tests start from: the frozen catalog of tests/catalogue, which one's own streams do not change.

Tests that need a program which is not here are skipped, and counted; under CI they fail.
"""

import os
from functools import cache
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
    if "maven" in names and not missing and (found := kafka_cannot_be_fetched()):
        missing["maven"] = found
    if not missing:
        return
    reason = "needs " + " and ".join(f"{TOOLS[name].title} ({found})" for name, found in missing.items())
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    item.user_properties.append(("missing", " ".join(missing)))
    pytest.skip(reason)


@cache
def kafka_cannot_be_fetched() -> str | None:
    """Fetch Apache Kafka before the first test that starts it; return why Maven could not, or None."""
    # Not at the top: what a test's environment says is read when the modules of the project are imported.
    from local.processes import StartError  # noqa: PLC0415
    from local.real_kafka import fetch_jars  # noqa: PLC0415

    try:
        fetch_jars()
    except StartError as error:
        return str(error).strip().splitlines()[0]
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were left out for what, also to the file that `make test` sums up."""
    if hasattr(terminalreporter.config, "workerinput"):
        return  # of xdist: what it reports is counted by the process that started it
    reports = terminalreporter.stats.get("skipped", [])
    lines = "".join(
        f"{names}\n" for each in reports for key, names in each.user_properties if key == "missing"
    )
    if file := os.environ.get("LEFT_OUT"):
        with Path(file).open("a") as out:
            out.write(lines)
    elif lines:
        terminalreporter.write(left_out(lines), yellow=True)
