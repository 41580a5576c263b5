"""A stream that nobody here knows stops nobody's deployment: what the build runs, in a copy with one.

The steps are those of cloudbuild.yaml. Of the unit tests those run that failed for such a stream before they
had a catalog of their own, of tests/infra see tests/infra/test_own_stream.py.
"""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local import pubsub
from local.stack import DATASET, PROJECT
from tests.integration.waiting import eventually
from tests.own_stream import STREAM, TOPIC, TYPE, copy_with_own_stream, own_environment

_READ_THE_CATALOG = [
    "tests/unit/decoder/test_decoder_command.py::test_check_lists_every_type",
    "tests/unit/decoder/test_avro.py::test_every_type_of_the_repository_decodes",
    "tests/unit/decoder/test_catalog.py::test_repository_has_the_five_streams",
    "tests/unit/events/test_events.py::test_every_type_appears",
    "tests/unit/events/test_events.py::test_every_topic_appears",
    "tests/unit/events/test_events.py::test_the_examples_of_the_frozen_catalog_are_of_the_makers",
    "tests/unit/operate/test_smoke.py",
]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the repository with a stream more."""
    return copy_with_own_stream(tmp_path_factory.mktemp("repository"))


def _run(own: Path, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=own,
        env=own_environment() | environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_repositorys_own_tests_pass(own: Path) -> None:
    """`make unit`: the tests have streams of their own, and know none of the user's."""
    _run(own, "pytest", "-q", "-x", "-p", "no:cacheprovider", *_READ_THE_CATALOG)


def test_check_knows_the_stream(own: Path) -> None:
    """`make check-catalogue` lists the type, and samples of it were rows."""
    lines = [line.split() for line in _run(own, "decoder", "check").splitlines()]
    assert [TOPIC, TYPE, "GardenOrderPlacedV1.avsc", STREAM] in lines
    assert lines[-1][0] == "ok:"


def test_local_sends_events_of_the_stream(own: Path) -> None:
    """`make run --events … --exit` makes events of the schema alone, and each of them arrives."""
    output = _run(own, "local", "--events", "60", "--exit", "--pubsub", "embedded")
    summary = json.loads(output.splitlines()[-1])
    assert (summary["produced"], summary["lost"]) == (60, 0)
    (row,) = [line.split() for line in output.splitlines() if line.startswith(f"{STREAM} ")][-1:]
    assert int(row[1]) > 0


def test_smoke_sends_an_event_of_the_stream(own: Path) -> None:
    """`operate smoke` finds a row of each of the six streams, by a deployment that is the local stack."""
    command = [sys.executable, "-m", "local", "--keep", "--events", "1", "--pubsub", "embedded"]
    with (own / "output").open("w") as output:
        running = subprocess.Popen(command, cwd=own, env=own_environment(), stdout=output, stderr=output)
    try:
        (file,) = eventually(lambda: list(own.glob(".local/run-*/state.json")), 60)
        state = json.loads(file.read_bytes())
        servers = {
            "PUBSUB_EMULATOR_HOST": state["pubsub"],
            "BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{state['bigquery_port']}",
        }
        names = ["--project", PROJECT, "--dataset", DATASET, "--timeout", "60"]
        topic = f"projects/{PROJECT}/topics/{pubsub.TOPIC}"
        lines = _run(own, "operate", "smoke", *names, "--topic", topic, **servers).splitlines()
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(40)
    assert json.loads(lines[-1])["found"] == 6
    assert [STREAM, "GardenOrderPlacedV1"] in [line.split()[:2] for line in lines]
