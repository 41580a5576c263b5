"""`python -m local` as a newcomer runs it."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from decoder.streams import ROOT
from local.processes import accepts
from local.stack import STATE_FILE
from tests.integration.waiting import eventually

COMMAND = [sys.executable, "-m", "local"]


@pytest.mark.parametrize(
    ("kafka", "server"),
    [
        pytest.param(None, "emulator", marks=pytest.mark.needs("java", "emulator")),
        (None, "embedded"),
        pytest.param("real", "embedded", marks=pytest.mark.needs("java", "maven")),
    ],
)
def test_a_run_with_exit_loses_nothing_and_ends_with_one_json_line(kafka: str | None, server: str) -> None:
    """With either Pub/Sub and either Kafka all events arrive, and the last line says so in JSON."""
    options = ["--events", "120", "--exit", "--pubsub", server, *(["--kafka", kafka] if kafka else [])]
    run = subprocess.run(
        COMMAND + options, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    summary = json.loads(run.stdout.splitlines()[-1])
    assert summary["produced"] == 120 == summary["rows"] + summary["dead_letters"]
    assert summary["lost"] == 0
    assert summary.keys() == {
        *("produced", "rows", "dead_letters", "duplicates", "lost", "first_row_s", "p50_ms", "p99_ms")
    }
    assert "Newest rows" in run.stdout
    assert "Newest dead letters" in run.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_running_pipeline_answers_queries_and_leaves_no_process_behind(
    number: signal.Signals, tmp_path: Path
) -> None:
    """`query` asks the running pipeline; Ctrl-C or kill ends everything that was started."""
    output = (tmp_path / "output").open("w")
    run = subprocess.Popen([*COMMAND, "--keep"], cwd=ROOT, stdout=output, stderr=output)
    try:
        state = eventually(lambda: STATE_FILE.exists() and json.loads(STATE_FILE.read_bytes()))
        query = [*COMMAND, "query", "SELECT event_type, kafka_key FROM shipping_costs_unique LIMIT 1"]
        eventually(
            lambda: (
                "1 row\n"
                in subprocess.run(query, cwd=ROOT, capture_output=True, text=True, check=False).stdout
            ),
            60,
        )
    finally:
        run.send_signal(number)
        run.wait(40)
        output.close()
    assert state
    ports = [state["bigquery_port"], state["function_port"], state["bridge_port"]]
    ports += [int(state[name].rpartition(":")[2]) for name in ("kafka", "pubsub")]
    assert not [port for port in ports if accepts(port)]
    assert not STATE_FILE.exists()


def test_query_without_a_running_pipeline_says_so() -> None:
    """`query` with nothing running is one clear line, not a traceback."""
    query = [*COMMAND, "query", "SELECT 1"]
    run = subprocess.run(query, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 1
    assert run.stderr == "local: nothing is running here: start it with `make run`\n"
