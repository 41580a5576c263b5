"""`python -m local` as a newcomer runs it."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from decoder.streams import ROOT
from local.processes import accepts
from tests.integration.locally import COMMAND, EMBEDDED, in_a_file
from tests.integration.waiting import eventually


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
        [*COMMAND, *options], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
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


def test_a_running_pipeline_answers_queries_and_leaves_no_process_behind(tmp_path: Path) -> None:
    """`query` asks the running pipeline; when it is ended nothing listens, and there is nothing to ask."""
    with in_a_file(tmp_path / "output", "--keep", *EMBEDDED) as local:
        state, run = local.state(), local.run().name
        query = [
            *COMMAND,
            "query",
            "--run",
            run,
            "SELECT event_type, kafka_key FROM shipping_costs_unique LIMIT 1",
        ]
        eventually(
            lambda: (
                "1 row\n"
                in subprocess.run(query, cwd=ROOT, capture_output=True, text=True, check=False).stdout
            ),
            60,
        )
        local.say(signal.SIGINT)
        assert local.wait() == 0, local.output()
    ports = [state.bigquery_port, state.function_port, state.bridge_port]
    ports += [int(address.rpartition(":")[2]) for address in (state.kafka, state.pubsub)]
    assert not [port for port in ports if accepts(port)]
    after = subprocess.run(query, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert after.returncode == 1
    assert after.stderr.startswith(f"local: no run named {run} is running here")
