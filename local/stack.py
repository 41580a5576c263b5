"""The whole pipeline as real processes: started in order, stopped in reverse, whatever happens."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from decoder.catalog import Catalog
from decoder.streams import CATALOG, ROOT, Stream, catalog_files, load_streams
from local import bigquery, pubsub, runs, snapshot
from local.interrupts import interrupts
from local.kafka import MockCluster
from local.processes import Process, StartError, accepts, free_port
from local.real_kafka import RealCluster
from local.state import DATASET, ENV, PROJECT, State

__all__ = ["DATASET", "ENV", "PROJECT", "Ports", "Stack", "State", "started"]

GROUP = "bridge"

# A bridge that was killed keeps its partitions for the session's timeout; on the mock cluster, so does one
# that left. The usual 45 s would be a long time to look at nothing.
PROPERTIES = "session.timeout.ms=6000\nheartbeat.interval.ms=1000\n"

# As in production, so that an outage here ends as it would there.
MAX_DELIVERY_ATTEMPTS = 100


class Ports(msgspec.Struct, frozen=True):
    """Ports of 127.0.0.1 that were asked for; None takes a free one."""

    pubsub: int | None = None
    bigquery: int | None = None
    function: int | None = None
    bridge: int | None = None
    kafka: int | None = None


class Stack(msgspec.Struct, frozen=True):
    """A running stack: where it listens, its Kafka, and its processes by name.

    `catalog` is what the function started with, in the folder `snapshot`. `function_env` and `bridge_env` are
    settings that both get again when they are started again.
    """

    state: State
    cluster: MockCluster | RealCluster
    streams: dict[str, Stream]
    processes: dict[str, Process]
    catalog: Catalog
    snapshot: Path
    function_env: dict[str, str]
    bridge_env: dict[str, str]


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
    ports: Ports = Ports(),  # noqa: B008 - it is frozen
) -> Iterator[Stack]:
    """Start every part and stop it at the end; logs go to a new folder of a run under `folder` (.local).

    Raises:
        CatalogError: the catalog is wrong.
        StartError: a part did not start, or a port that was asked for is in use.
    """
    _require_free(ports)
    folder = folder or runs.FOLDER
    # Kafka has a stack of its own, as it ends after what uses it.
    with (
        contextlib.ExitStack() as at_the_end,
        contextlib.ExitStack() as stopping_kafka,
        contextlib.ExitStack() as stopping,
    ):
        logs = runs.create(folder)
        at_the_end.callback(runs.close, logs)
        files = catalog_files()
        copy, catalog = snapshot.take(files, logs / "catalog-1")
        streams = load_streams(copy / files.streams.name)
        topics = [topic.name for stream in streams.values() for topic in stream.topics]
        processes: dict[str, Process] = {}
        stopping.callback(_stop_all, processes)
        # Before anything is stopped: the next Ctrl-C hurries, and does not break off.
        stopping.callback(interrupts.disarm)

        def add(process: Process) -> Process:
            processes[process.name] = process
            return process

        pubsub_port = ports.pubsub or free_port()
        address = f"127.0.0.1:{pubsub_port}"
        command = (
            pubsub.emulator_command(pubsub_port)
            if pubsub_server == "emulator"
            else pubsub.standin_command(pubsub_port)
        )
        state = State(
            kafka="",
            pubsub=address,
            bigquery_port=ports.bigquery or free_port(),
            function_port=ports.function or free_port(),
            bridge_port=ports.bridge or free_port(),
            logs=str(logs),
            catalog=None if files == catalog_files({}) else str(files.streams.parent.resolve()),
        )
        properties = logs / "bridge.properties"
        properties.write_text(PROPERTIES)
        bridge_settings = {"KAFKA_PROPERTIES_FILE": str(properties), **(bridge_env or {})}
        function_settings = {CATALOG: str(copy), **(function_env or {})}
        with interrupts.held():
            pubsub_process = add(Process("pubsub", command, logs / "pubsub.log", cwd=ROOT))
            emulator = add(
                bigquery.start(state.bigquery_port, free_port(), folder / "home", logs / "bigquery.log")
            )
            function = add(start_function(state, logs / "function.log", function_settings))
        cluster: MockCluster | RealCluster
        if kafka == "real":
            cluster = real = RealCluster(logs / "kafka", topics, port=ports.kafka)
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
        with interrupts.held():
            bridge = add(start_bridge(state, topics, logs / "bridge.log", bridge_settings))
        emulator.await_ready(lambda: accepts(state.bigquery_port))
        bigquery.create_tables(state.bigquery, DATASET, streams)
        function.await_ready(lambda: accepts(state.function_port))
        bridge.await_ready(lambda: accepts(state.bridge_port))
        runs.publish(logs, state)
        yield Stack(
            state,
            cluster,
            streams,
            processes,
            catalog,
            copy,
            dict(function_env or {}),
            bridge_settings,
        )


def _stop_all(processes: dict[str, Process]) -> None:
    """Stop what is there at the end, also what a test started in another's place: the bridge first."""
    with contextlib.ExitStack() as stopping:
        for process in processes.values():
            stopping.callback(process.stop)


def _require_free(ports: Ports) -> None:
    for name, port in msgspec.structs.asdict(ports).items():
        if port is not None and accepts(port):
            raise StartError(f"port {port} of 127.0.0.1 is in use: choose another for --{name}-port")


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


def start_bridge(
    state: State, topics: Sequence[str], log: Path, env: dict[str, str] | None = None
) -> Process:
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
