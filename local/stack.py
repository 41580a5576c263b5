"""The whole pipeline as real processes: started in order, stopped in reverse, whatever happens."""

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
import requests
from google.cloud import bigquery as bq

from decoder.streams import ROOT, Stream, load_streams
from local import bigquery, pubsub
from local.kafka import Cluster, MockCluster
from local.processes import Process, accepts, free_port
from local.real_kafka import RealCluster

PROJECT = "local"
DATASET = "events"
ENV = "local"
GROUP = "bridge"
STATE_FOLDER = ROOT / ".local"
STATE_FILE = STATE_FOLDER / "state.json"

# As in production, so that an outage here ends as it would there.
MAX_DELIVERY_ATTEMPTS = 100


class State(msgspec.Struct, frozen=True):
    """Where the parts of a running stack listen; kept in .local/state.json for `python -m local query`."""

    kafka: str
    pubsub: str
    bigquery_port: int
    function_port: int
    bridge_port: int
    logs: str

    @property
    def bigquery(self) -> bq.Client:
        """A client of the BigQuery emulator."""
        return bigquery.connect(self.bigquery_port, PROJECT)

    def bridge_counts(self) -> dict[str, int]:
        """Return what the bridge says it forwarded; empty while it does not answer."""
        try:
            counts = requests.get(f"http://127.0.0.1:{self.bridge_port}/healthz", timeout=2).json()
        except requests.RequestException:
            return {}
        return {name: counts[name] for name in ("forwarded", "dead_lettered")}


class Stack(msgspec.Struct, frozen=True):
    """A running stack: where it listens, its Kafka, and its processes by name."""

    state: State
    cluster: Cluster
    streams: dict[str, Stream]
    processes: dict[str, Process]


def default_pubsub() -> Literal["emulator", "embedded"]:
    """Return the official emulator where the gcloud CLI has it, and otherwise the stand-in."""
    return "emulator" if pubsub.find_emulator() else "embedded"


@contextlib.contextmanager
def started(
    pubsub_server: Literal["emulator", "embedded"],
    folder: Path | None = None,
    *,
    kafka: Literal["embedded", "real"] = "embedded",
    max_delivery_attempts: int = MAX_DELIVERY_ATTEMPTS,
    bridge_env: dict[str, str] | None = None,
    function_env: dict[str, str] | None = None,
) -> Iterator[Stack]:
    """Start every part and stop it at the end; logs go to a new folder under `folder` (.local)."""
    folder = folder or STATE_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    logs = Path(tempfile.mkdtemp(prefix="run-", dir=folder))
    streams = load_streams()
    topics = [topic.name for stream in streams.values() for topic in stream.topics]
    # Kafka has a stack of its own, as it ends after what uses it.
    with contextlib.ExitStack() as stopping_kafka, contextlib.ExitStack() as stopping:
        processes: dict[str, Process] = {}
        stopping.callback(_stop_all, processes)

        def add(process: Process) -> Process:
            processes[process.name] = process
            return process

        pubsub_port = free_port()
        address = f"127.0.0.1:{pubsub_port}"
        command = (
            pubsub.emulator_command(pubsub_port)
            if pubsub_server == "emulator"
            else pubsub.standin_command(pubsub_port)
        )
        pubsub_process = add(Process("pubsub", command, logs / "pubsub.log", cwd=ROOT))
        state = State(
            kafka="",
            pubsub=address,
            bigquery_port=free_port(),
            function_port=free_port(),
            bridge_port=free_port(),
            logs=str(logs),
        )
        emulator = add(
            bigquery.start(state.bigquery_port, free_port(), folder / "home", logs / "bigquery.log")
        )
        function = add(start_function(state, logs / "function.log", function_env))
        cluster: Cluster
        if kafka == "real":
            cluster = real = RealCluster(logs / "kafka", topics)
            stopping_kafka.callback(real.stop)
            processes |= {broker.name: broker for broker in real.brokers}
        else:
            cluster = MockCluster(topics)
        state = msgspec.structs.replace(state, kafka=cluster.bootstrap_servers)
        pubsub_process.await_ready(lambda: accepts(pubsub_port))
        pubsub.wait_until_ready(address, 60)
        pubsub.create_topics_and_subscriptions(
            address,
            PROJECT,
            f"http://127.0.0.1:{state.function_port}",
            max_delivery_attempts=max_delivery_attempts,
        )
        bridge = add(start_bridge(state, topics, logs / "bridge.log", bridge_env))
        emulator.await_ready(lambda: accepts(state.bigquery_port))
        bigquery.create_tables(state.bigquery, DATASET, streams)
        function.await_ready(lambda: accepts(state.function_port))
        bridge.await_ready(lambda: accepts(state.bridge_port))
        yield Stack(state, cluster, streams, processes)


def _stop_all(processes: dict[str, Process]) -> None:
    """Stop what is there at the end, also what a test started in another's place: the bridge first."""
    with contextlib.ExitStack() as stopping:
        for process in processes.values():
            stopping.callback(process.stop)


def start_function(state: State, log: Path, env: dict[str, str] | None = None) -> Process:
    """Start the function as its user would: functions-framework --target=handle."""
    command = [
        str(Path(sys.executable).with_name("functions-framework")),
        *("--target=handle", "--host=127.0.0.1", f"--port={state.function_port}"),
    ]
    settings = {
        "BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{state.bigquery_port}",
        "BIGQUERY_PROJECT": PROJECT,
        "BIGQUERY_DATASET": DATASET,
    }
    return Process("function", command, log, env={**settings, **(env or {})}, cwd=ROOT)


def start_bridge(state: State, topics: list[str], log: Path, env: dict[str, str] | None = None) -> Process:
    """Start the bridge from the earliest records."""
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": state.kafka,
        "KAFKA_GROUP_ID": GROUP,
        "KAFKA_TOPICS": ",".join(topics),
        "BRIDGE_START": "earliest",
        "PUBSUB_EMULATOR_HOST": state.pubsub,
        "PUBSUB_TOPIC": f"projects/{PROJECT}/topics/{pubsub.TOPIC}",
        "PUBSUB_DEAD_LETTER_TOPIC": f"projects/{PROJECT}/topics/{pubsub.DEAD_LETTERS}",
        "PORT": str(state.bridge_port),
    }
    command = [sys.executable, "-m", "bridge", "--env", ENV]
    return Process("bridge", command, log, env={**settings, **(env or {})}, cwd=ROOT)
