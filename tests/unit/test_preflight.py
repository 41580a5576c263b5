"""What is said and done where programs that tests need are missing, on a PATH of fakes."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from local import pubsub, real_kafka
from tests.conftest import kafka_cannot_be_fetched
from tests.tools import ROOT, TOOLS, needed_by, problem

JAVA_17 = "echo 'openjdk version \"17.0.15\" 2025-04-15' >&2"
JAVA_8 = "echo 'java version \"1.8.0_392\"' >&2"
NO_JAVA = "echo 'Unable to locate a Java Runtime.' >&2; exit 1"
TERRAFORM = """echo '{"terraform_version": "%s"}'"""
ALL: dict[str, str] = {
    "java": JAVA_17,
    "javac": "echo javac 17",
    "mvn": "",
    "terraform": TERRAFORM % "1.11.0",
}

TESTS = """
import pytest

needs = pytest.mark.needs

@pytest.fixture
def broker():
    raise AssertionError("the fixture was made")

@needs("java", "maven")
def test_kafka(broker): ...

@pytest.mark.parametrize("n", [1, pytest.param(2, marks=needs("terraform"))])
def test_terraform(n):
    assert n == 1
"""


def path_with(folder: Path, programs: Mapping[str, str]) -> str:
    """Return a PATH on which only these programs are, each a line of shell."""
    folder.mkdir()
    for name, line in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    return str(folder)


def gcloud(folder: Path, *components: str) -> str:
    """Return a PATH on which there is a gcloud with these files and folders of its components."""
    for component in components:
        (folder / component).mkdir(parents=True)
    return path_with(folder / "bin", {"gcloud": ""})


def run(path: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a module of Python with this PATH."""
    known = {name: value for name, value in os.environ.items() if name not in {"CI", "LEFT_OUT"}}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**known, "PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def missing(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Return what a preflight says is wrong, by title."""
    titles = [tool.title for tool in TOOLS.values()]
    said = (line.partition(": ") for line in (done.stdout + done.stderr).splitlines())
    return {title: what for title, _, what in said if title in titles}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, {}),
        ({"java": JAVA_8}, {"Java 17 or newer": "version 8 is too old"}),
        ({"java": NO_JAVA}, {"Java 17 or newer": "not installed"}),
        ({"terraform": TERRAFORM % "1.9.8"}, {"Terraform 1.11 or newer": "version 1.9.8 is too old"}),
        ({"terraform": TERRAFORM % "1.14.0-beta1"}, {}),
        ({"terraform": "exit 1"}, {"Terraform 1.11 or newer": "not installed"}),
        ({"javac": "exit 1"}, {"javac, the compiler of a JDK": "not installed"}),
    ],
)
def test_each_program_is_asked_for_its_version(
    changed: dict[str, str], said: dict[str, str], tmp_path: Path
) -> None:
    """A program that is missing, too old, or only says where to get it is named with what is wrong."""
    done = run(
        path_with(tmp_path / "bin", ALL | changed), "tests.preflight", "infra", "faults", "integration"
    )
    assert done.returncode == 0, done.stderr
    found = missing(done)
    assert {title: what for title, what in found.items() if "gcloud" not in title} == said


@pytest.mark.parametrize(
    ("components", "said"),
    [
        ((), {"gcloud with its beta commands", "gcloud's Pub/Sub emulator"}),
        (("lib/surface/beta",), {"gcloud's Pub/Sub emulator"}),
        (("platform/pubsub-emulator/bin/cloud-pubsub-emulator",), {"gcloud with its beta commands"}),
    ],
)
def test_a_gcloud_without_a_component_is_named(
    components: tuple[str, ...], said: set[str], tmp_path: Path
) -> None:
    """The CLI alone is not enough: its beta commands and its emulator are components."""
    found = missing(run(gcloud(tmp_path, *components), "tests.preflight", "infra", "integration"))
    assert {title for title in found if "gcloud" in title} == said
    assert all(found[title] == "gcloud has no such component" for title in said)


def test_the_emulator_is_the_one_that_local_starts() -> None:
    """What the preflight calls an emulator, local/ finds too, on this machine."""
    assert (problem("java") is None and problem("emulator") is None) == (pubsub.find_emulator() is not None)


@pytest.mark.parametrize(("ci", "status"), [({}, 0), ({"CI": "1"}, 1)])
def test_a_missing_program_is_a_failure_under_ci_alone(
    ci: dict[str, str], status: int, tmp_path: Path
) -> None:
    """A bare machine is told what is missing, a line a system to install it, and whose tests need it."""
    done = run(path_with(tmp_path / "bin", {}), "tests.preflight", "infra", "faults", "integration", **ci)
    assert done.returncode == status
    assert missing(done).keys() | {"Maven"} == {tool.title for tool in TOOLS.values()}  # Kafka may be fetched
    text = done.stderr if ci else done.stdout
    assert "    Debian: apt install default-jdk-headless" in text
    assert "    macOS:  brew install hashicorp/tap/terraform" in text
    assert "    needed in tests/infra/test_bridge.py, " in text


def test_the_unit_tests_need_nothing(tmp_path: Path) -> None:
    """`make unit` has nothing to say on a bare machine, also under CI."""
    done = run(path_with(tmp_path / "bin", {}), "tests.preflight", "unit", CI="true")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_mark_names_a_tool() -> None:
    """The preflight finds the marks in the files, and each tool of the table is some test's."""
    files = (
        file for tier in ("faults", "infra", "integration") for file in (ROOT / "tests" / tier).iterdir()
    )
    assert set().union(*(needed_by(file) for file in files if file.suffix == ".py")) == TOOLS.keys()


def pytest_of(
    tests: str, folder: Path, *options: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run pytest with tests/conftest.py on a file of tests, where no program is installed."""
    file = folder / "test_it.py"
    file.write_text(tests)
    options = ("-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest", *options, str(file))
    return run(path_with(folder / "bin", {}), "pytest", *options, **environment)


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_tests_without_their_programs_are_skipped_and_counted(
    workers: tuple[str, ...], tmp_path: Path
) -> None:
    """They are skipped before their fixtures are made; the end says how many lack what; the rest is green."""
    done = pytest_of(TESTS.replace("maven", "javac"), tmp_path, *workers)
    assert done.returncode == 0, done.stdout
    assert "1 passed, 2 skipped" in done.stdout
    assert "NOT RUN: 2 tests" in done.stdout
    assert "    1  Java 17 or newer: not installed\n           Debian: apt install" in done.stdout
    assert "    1  Terraform 1.11 or newer: not installed" in done.stdout


def test_several_runs_are_summed_up(tmp_path: Path) -> None:
    """With LEFT_OUT the counts of each pytest go to one file, which `make test` prints at its end."""
    file = tmp_path / "left-out"
    for name, workers in {"first": (), "second": ("-n", "2")}.items():
        (tmp_path / name).mkdir()
        done = pytest_of(TESTS.replace("maven", "javac"), tmp_path / name, *workers, LEFT_OUT=str(file))
        assert "NOT RUN" not in done.stdout
    done = run(str(tmp_path / "first" / "bin"), "tests.preflight", "--left-out", str(file))
    assert "NOT RUN: 4 tests" in done.stdout
    assert "    2  javac, the compiler of a JDK: not installed" in done.stdout


def test_under_ci_they_fail(tmp_path: Path) -> None:
    """A skipped test would look green."""
    done = pytest_of(TESTS, tmp_path, CI="true")
    assert done.returncode == 1
    assert "1 passed, 2 errors" in done.stdout
    assert "needs Terraform 1.11 or newer (not installed)" in done.stdout


def test_a_kafka_that_cannot_be_fetched_is_asked_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Maven without a network is a reason to skip, in its own words, and is not tried for each test."""
    calls = tmp_path / "calls"
    programs = {
        "java": JAVA_17,
        "mvn": f"echo >> {calls}; echo '[ERROR] repo.maven.apache.org: no route'; exit 1",
    }
    monkeypatch.setenv("PATH", path_with(tmp_path / "bin", programs))
    monkeypatch.setattr(real_kafka, "JARS", tmp_path / "jars")
    kafka_cannot_be_fetched.cache_clear()
    for _ in range(2):
        assert (
            kafka_cannot_be_fetched()
            == f"Maven did not get Apache Kafka {real_kafka.VERSION}: [ERROR] repo.maven.apache.org: no route"
        )
    kafka_cannot_be_fetched.cache_clear()
    assert calls.read_text() == "\n"


def test_a_mark_of_no_tool_is_an_error(tmp_path: Path) -> None:
    """A name that is not in the table cannot pass for a tool that is there."""
    done = pytest_of(TESTS.replace('terraform")', 'terrafrom")'), tmp_path)
    assert done.returncode == 1
    assert "KeyError: 'terrafrom'" in done.stdout
