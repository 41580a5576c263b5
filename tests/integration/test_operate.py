"""`python -m operate smoke` against the whole pipeline on this machine, as its operator runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from decoder.streams import ROOT
from local import pubsub, stack
from local.processes import free_port
from local.stack import DATASET, PROJECT, Stack
from tests.integration.strict_bigquery import StrictBigQuery
from tests.integration.waiting import eventually

TOPIC = f"projects/{PROJECT}/topics/{pubsub.TOPIC}"
STREAMS = ["delivery_changed", "shipping_costs", "ims_updates", "shipping_prices", "physical_stock"]


@pytest.fixture(scope="module")
def strict() -> Iterator[StrictBigQuery]:
    """What the function inserts through."""
    server = StrictBigQuery()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, strict: StrictBigQuery) -> Iterator[Stack]:
    """One pipeline for the tests of this file."""
    folder, env = tmp_path_factory.mktemp("stack"), {"BIGQUERY_EMULATOR_HOST": strict.url}
    with stack.started(stack.default_pubsub(), folder, function_env=env) as made:
        strict.emulator = f"http://127.0.0.1:{made.state.bigquery_port}"
        yield made


def operate(running: Stack, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m operate` against the pipeline."""
    servers = {
        "PUBSUB_EMULATOR_HOST": running.state.pubsub,
        "BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{running.state.bigquery_port}",
    }
    return subprocess.run(
        [sys.executable, "-m", "operate", *arguments],
        cwd=ROOT,
        env={**os.environ, **servers, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def smoke(running: Stack, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m operate smoke`; the last of repeated options counts."""
    names = ["--project", PROJECT, "--dataset", DATASET, "--topic", TOPIC, "--timeout", "60"]
    return operate(running, "smoke", *names, *options, **environment)


def dead_letters(running: Stack, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m operate dead-letters`."""
    names = ["--project", PROJECT, "--dataset", DATASET]
    return operate(running, "dead-letters", *options, *names)


def query(running: Stack, sql: str) -> list[dict[str, object]]:
    """Return the rows of an answer."""
    return [dict(row) for row in running.state.bigquery.query_and_wait(sql)]


def test_every_stream_is_found_and_the_status_is_0(running: Stack) -> None:
    """With all parts up each stream's event becomes a row, at a position that no record of Kafka has."""
    run = smoke(running)
    assert run.returncode == 0, run.stderr + run.stdout
    *lines, last = run.stdout.splitlines()
    summary = json.loads(last)
    assert summary.pop("seconds") > 0
    assert summary == {"streams": 5, "found": 5, "missing": []}
    assert sorted(line.split()[0] for line in lines) == sorted(STREAMS)
    for line in lines:
        stream, event_type, seconds, unit = line.split()
        assert float(seconds) > 0
        assert unit == "s"
        (row,) = query(running, f"SELECT * FROM `{DATASET}.{stream}_unique` WHERE env = 'smoke'")
        assert row["event_type"] == event_type
        assert row["kafka_partition"] == 2147483647
        assert row["is_current_version"] is True


def test_what_is_refused_before_the_events_go_out_leaves_nothing_behind(running: Stack) -> None:
    """A dataset that is not there is one line and status 2, and no event was published."""
    counts = " + ".join(f"(SELECT COUNT(*) FROM `{DATASET}.{stream}`)" for stream in STREAMS)
    before = query(running, f"SELECT {counts} AS n")
    run = smoke(running, "--dataset", "nowhere")
    assert run.returncode == 2
    assert run.stdout == ""
    (line,) = run.stderr.splitlines()
    assert "nowhere" in line
    assert "--dataset" in line
    # A run that works goes the same way behind it, so what the first had sent would be there too.
    assert smoke(running).returncode == 0
    assert query(running, f"SELECT {counts} AS n")[0]["n"] == int(str(before[0]["n"])) + 5


def test_an_event_that_is_a_dead_letter_is_missing_with_its_reason(
    running: Stack, strict: StrictBigQuery
) -> None:
    """Where the tables lack a column, each stream's line repeats what BigQuery said; the status is 1."""
    strict.absent_columns.add("topic_version")
    try:
        run = smoke(running, "--timeout", "15")
    finally:
        strict.absent_columns.clear()
    assert run.returncode == 1, run.stderr
    *lines, last = run.stdout.splitlines()
    assert json.loads(last)["missing"] == STREAMS
    for line in lines:
        assert "no row after 15 s; a dead letter, row_refused: BigQuery refused the row" in line
        assert "no such field: topic_version" in line


def test_a_replayed_dead_letter_is_a_row_once(running: Stack, strict: StrictBigQuery) -> None:
    """What was a dead letter for a table that lacked a column is a row after a replay, marked, and once."""
    strict.absent_columns.add("topic_version")
    try:
        assert smoke(running, "--timeout", "15").returncode == 1
    finally:
        strict.absent_columns.clear()
    # Other tests of this file leave dead letters too: theirs may come along.
    listed = dead_letters(running, "list", "--reason", "row_refused")
    assert listed.returncode == 0, listed.stderr
    ids = [line.split("\t")[0] for line in listed.stdout.splitlines()]
    assert len(ids) >= 5
    shown = dead_letters(running, "show", ids[0])
    letter = json.loads(shown.stdout)
    assert (letter["id"], letter["reason"], letter["is_row"]) == (ids[0], "row_refused", False)
    dry = dead_letters(running, "replay", "--topic", TOPIC, "--reason", "row_refused", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    found = len(ids)
    summary = {"found": found, "published": 0, "rows_already": 0, "not_replayable": 0}
    assert json.loads(dry.stdout.splitlines()[-1]) == summary
    for _ in range(2):
        done = dead_letters(running, "replay", "--topic", TOPIC, "--id", ids[0])
        assert done.returncode == 0, done.stderr
    where = f"kafka_topic = '{letter['kafka_topic']}' AND kafka_offset = {letter['kafka_offset']}"
    view = f"{DATASET}.{letter['stream']}_unique"
    rows = eventually(lambda: query(running, f"SELECT * FROM `{view}` WHERE {where}"))
    assert [row["replayed_at"] is None for row in rows] == [False]
    assert [row["env"] for row in rows] == ["smoke"]
    again = dead_letters(running, "replay", "--topic", TOPIC, "--id", ids[0])
    summary = {"found": 1, "published": 0, "rows_already": 1, "not_replayable": 0}
    assert json.loads(again.stdout.splitlines()[-1]) == summary
    none = dead_letters(running, "list", "--since", "2999-01-01")
    assert (none.returncode, none.stdout) == (0, "")


def test_a_topic_that_is_not_there_is_one_line_and_status_2(running: Stack) -> None:
    """The line names the topic and says what to do."""
    run = smoke(running, "--topic", f"projects/{PROJECT}/topics/nowhere")
    assert run.returncode == 2
    assert run.stdout == ""
    nowhere = f"projects/{PROJECT}/topics/nowhere"
    assert run.stderr == f"smoke: topic {nowhere} is not there: check --topic, or apply Terraform first\n"


@pytest.mark.parametrize(
    ("server", "name"),
    [("PUBSUB_EMULATOR_HOST", "Pub/Sub"), ("BIGQUERY_EMULATOR_HOST", "BigQuery")],
)
def test_a_server_that_does_not_answer_is_one_line_and_status_2(
    running: Stack, server: str, name: str
) -> None:
    """Where nothing listens, the command ends by itself and says who did not answer."""
    scheme = "http://" if name == "BigQuery" else ""
    run = smoke(running, **{server: f"{scheme}127.0.0.1:{free_port()}"})
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert name in line


def test_with_the_function_stopped_every_stream_is_missing(running: Stack) -> None:
    """Without the function the events do not arrive: status 1 within the timeout, and each is named."""
    running.processes["function"].stop()  # and it stays so: this test is the last
    eventually(lambda: running.processes["function"].exit_code() is not None)
    run = smoke(running, "--timeout", "3")
    assert run.returncode == 1, run.stderr
    *lines, last = run.stdout.splitlines()
    summary = json.loads(last)
    assert 3 <= summary.pop("seconds") < 30
    assert summary == {"streams": 5, "found": 0, "missing": STREAMS}
    assert [line.split()[0] for line in lines] == STREAMS
    assert all("no row after 3 s; no dead letter either" in line for line in lines)
