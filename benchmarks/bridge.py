"""`python -m benchmarks.bridge`: CPU per message of the bridge, beside what it is compared with, in one run.

A real broker and the gcloud CLI's Pub/Sub emulator; messages of about 170 bytes with four headers. CPU is
user and system time of the one process, as the operating system counts it, from its start of consuming to the
last message. Every contender is run several times in turn, and the median counts: the machine may be shared.
"""

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import requests
from confluent_kafka import Producer
from google.pubsub_v1.types import pubsub as messages
from rich.console import Console
from rich.progress import track

from local import pubsub
from local.processes import Process, accepts, free_port
from local.real_kafka import RealCluster

ROOT = Path(__file__).parents[1]
VALUE = bytes(range(170))
TIMESTAMP_NAME = "kafka.timestamp"
HEADERS: list[tuple[str, str | bytes | None]] = [
    ("item_type_name", b"delivery.events.v6.DeliveryEventV6"),
    ("source", b"benchmarks"),
    ("trace_id", b"4bf92f3577b34da6a3ce929d0e0e4736"),
    ("schema_version", b"6"),
]
LOOK_EVERY_S = 0.5  # each look is a request that the bridge answers
GIVE_UP_AFTER_S = 600.0
KEYED = 20_000
COMPRESSED: dict[str, str | int] = {"compression.type": "zstd", "linger.ms": 100, "batch.size": 1_000_000}
CONTENDERS = ("floor", "publisher", "plain", "bundle")
NAMES = {
    "floor": "consuming only",
    "publisher": "`PublisherClient.publish` a message",
    "plain": "the bridge",
    "bundle": "the bridge, `--bundle 500`",
}


class Run(msgspec.Struct, frozen=True):
    """One process over all messages of a topic."""

    messages: int
    cpu_s: float
    seconds: float
    peak_mb: float

    @property
    def cpu_us(self) -> float:
        """CPU a message, in microseconds."""
        return self.cpu_s / self.messages * 1e6


class Bench:
    """A broker and a Pub/Sub, with topics filled for the contenders."""

    def __init__(self, kafka: RealCluster, address: str, folder: Path) -> None:
        self.kafka = kafka
        self.address = address
        self._folder = folder
        self._runs = 0
        with pubsub.publisher(address) as client:
            for name in ("events", "dead-letters"):
                client.create_topic(name=f"projects/p/topics/{name}")

    def fill(self, topic: str, count: int, partitions: int, *, compressed: bool = False) -> None:
        """Create a topic and produce the messages."""
        self.kafka.create_topic(topic, partitions=partitions)
        producer = self.kafka.producer
        if compressed:
            producer = Producer({"bootstrap.servers": self.kafka.bootstrap_servers, **COMPRESSED})
        for number in range(count):
            while True:
                try:
                    producer.produce(topic, VALUE, b"%d" % number, headers=HEADERS)
                    break
                except BufferError:
                    producer.poll(0.1)
        if producer.flush(120):
            raise TimeoutError(f"Kafka did not take {count} messages")

    def run(self, contender: str, topic: str, count: int, **settings: str) -> Run:
        """Let a contender take all messages of the topic; the settings are the bridge's."""
        self._runs += 1
        env = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "KAFKA_GROUP_ID": f"{contender}-{self._runs}",
            "KAFKA_TOPICS": topic,
            "BRIDGE_START": "earliest",
            "PUBSUB_EMULATOR_HOST": self.address,
            "PUBSUB_TOPIC": "projects/p/topics/events",
            "PUBSUB_DEAD_LETTER_TOPIC": "projects/p/topics/dead-letters",
            **settings,
        }
        log = self._folder / f"{contender}-{self._runs}.log"
        if contender in ("floor", "publisher"):
            return self._run_other([contender, str(count)], log, env)
        return self._run_bridge(["--bundle", "500"] if contender == "bundle" else [], log, env, count)

    def _run_other(self, arguments: list[str], log: Path, env: Mapping[str, str]) -> Run:
        command = [sys.executable, "-m", "benchmarks.contender", *arguments]
        with stopped(Process(arguments[0], command, log, env=env, cwd=ROOT)) as process:
            peak = 0.0
            deadline = time.monotonic() + GIVE_UP_AFTER_S
            while process.exit_code() is None and time.monotonic() < deadline:
                peak = max(peak, peak_mb(process.pid))
                time.sleep(LOOK_EVERY_S)
            if process.exit_code() != 0:
                raise RuntimeError(f"{arguments[0]} failed, see {log}")
            last = json.loads(log.read_text().splitlines()[-1])
            return Run(last["messages"], last["cpu_s"], last["seconds"], peak)

    def _run_bridge(self, arguments: list[str], log: Path, env: Mapping[str, str], count: int) -> Run:
        with running_bridge(arguments, log, env) as (process, port):
            cpu, started = cpu_s(process.pid), time.monotonic()
            deadline = started + GIVE_UP_AFTER_S
            while forwarded(port) < count:
                if time.monotonic() > deadline or process.exit_code() is not None:
                    raise RuntimeError(f"the bridge forwarded {forwarded(port)} of {count}, see {log}")
                time.sleep(LOOK_EVERY_S)
            return Run(count, cpu_s(process.pid) - cpu, time.monotonic() - started, peak_mb(process.pid))

    def latency_ms(self, rate: float, seconds: float) -> tuple[float, float]:
        """Return median and 99th percentile from produce to Pub/Sub's taking, in milliseconds."""
        topic = "latency"
        self.kafka.create_topic(topic, partitions=4)
        with pubsub.publisher(self.address) as topics, pubsub.subscriber(self.address) as client:
            name = "projects/p/topics/latency"
            subscription = "projects/p/subscriptions/latency"
            topics.create_topic(name=name)
            client.create_subscription(name=subscription, topic=name)
            env = {
                "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
                "KAFKA_GROUP_ID": "latency",
                "KAFKA_TOPICS": topic,
                "BRIDGE_START": "earliest",
                "PUBSUB_EMULATOR_HOST": self.address,
                "PUBSUB_TOPIC": name,
                "PUBSUB_DEAD_LETTER_TOPIC": "projects/p/topics/dead-letters",
            }
            with running_bridge([], self._folder / "latency.log", env) as (_, port):
                producer = self.kafka.producer
                producer.produce(topic, VALUE, headers=HEADERS)
                producer.flush(10)
                while forwarded(port) < 1:
                    time.sleep(LOOK_EVERY_S)
                count = int(rate * seconds)
                started = time.monotonic()
                for number in range(count):
                    time.sleep(max(0.0, started + number / rate - time.monotonic()))
                    producer.produce(topic, VALUE, headers=HEADERS, timestamp=int(time.time() * 1_000))
                    producer.poll(0)
                producer.flush(10)
                taken: list[float] = []
                while len(taken) < count + 1:
                    request = messages.PullRequest(subscription=subscription, max_messages=1_000)
                    received = client.pull(request=request, timeout=30).received_messages
                    client.acknowledge(subscription=subscription, ack_ids=[r.ack_id for r in received])
                    taken += [
                        r.message.publish_time.timestamp() * 1e3 - int(r.message.attributes[TIMESTAMP_NAME])
                        for r in received
                    ]
        cuts = statistics.quantiles(taken[1:], n=100)
        return cuts[49], cuts[98]


@contextlib.contextmanager
def stopped(process: Process) -> Iterator[Process]:
    """Stop the process at the end."""
    try:
        yield process
    finally:
        process.stop()


@contextlib.contextmanager
def running_bridge(arguments: list[str], log: Path, env: Mapping[str, str]) -> Iterator[tuple[Process, int]]:
    """Give a bridge that has started, and the port of its health server."""
    port = free_port()
    command = [sys.executable, "-m", "bridge", "--env", "bench", *arguments]
    with stopped(Process("bridge", command, log, env={**env, "PORT": str(port)}, cwd=ROOT)) as process:
        process.await_ready(lambda: accepts(port))
        yield process, port


@contextlib.contextmanager
def started() -> Iterator[Bench]:
    """Give a broker and a Pub/Sub emulator, both gone at the end."""
    with tempfile.TemporaryDirectory(prefix="bench-bridge-") as name, contextlib.ExitStack() as ending:
        folder = Path(name)
        kafka = RealCluster(folder / "kafka")
        ending.callback(kafka.stop)
        port = free_port()
        emulator = Process("pubsub", pubsub.emulator_command(port), folder / "pubsub.log", cwd=ROOT)
        ending.callback(emulator.stop)
        pubsub.wait_until_ready(f"127.0.0.1:{port}", 60)
        yield Bench(kafka, f"127.0.0.1:{port}", folder)


def forwarded(port: int) -> int:
    """Return how many records the bridge has forwarded."""
    return int(requests.get(f"http://127.0.0.1:{port}/healthz", timeout=10).json()["forwarded"])


def cpu_s(pid: int) -> float:
    """Return user and system time of a process so far, in seconds: /proc would count hundredths."""
    # As glibc makes it in https://man7.org/linux/man-pages/man3/clock_getcpuclockid.3.html
    return time.clock_gettime((~pid << 3) | 2)


def peak_mb(pid: int) -> float:
    """Return the most memory that a process ever had resident, in MB; 0 once it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1_000
    return 0.0


def middle(runs: list[Run]) -> Run:
    """Return the run with the median CPU."""
    return sorted(runs, key=lambda run: run.cpu_s)[len(runs) // 2]


def main() -> None:
    """Run the comparison, and print it in Markdown and as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bridge", description=__doc__)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--repeat", type=int, default=5, help="runs of each contender (default: 5)")
    parser.add_argument(
        "--sweep",
        action="store_true",
        help="also 10,000 and 1,000,000 messages, compressed ones, 1 and 64 partitions, ordering",
    )
    arguments = parser.parse_args()
    console = Console(stderr=True)
    count = arguments.messages
    sweep: list[tuple[str, Run]] = []
    with started() as bench:
        bench.fill("bench", count, 8)
        runs: dict[str, list[Run]] = {name: [] for name in CONTENDERS}
        turns = [name for _ in range(arguments.repeat) for name in CONTENDERS]
        for name in track(turns, "contenders", console=console):
            runs[name].append(bench.run(name, "bench", count))
        if arguments.sweep:
            for size, partitions, compressed in (
                (10_000, 8, False),
                (1_000_000, 8, False),
                (1_000_000, 64, True),
                (count, 1, False),
                (count, 64, False),
            ):
                label = f"{size:,} messages, partitions: {partitions}" + (", in zstd" if compressed else "")
                topic = f"bench-{size}-{partitions}-{compressed}"
                bench.fill(topic, size, partitions, compressed=compressed)
                for name in ("plain", "bundle"):
                    found = middle([bench.run(name, topic, size) for _ in range(arguments.repeat)])
                    sweep.append((f"{NAMES[name]}, {label}", found))
            bench.fill("bench-keys", KEYED, 8)
            for ordering in ("none", "partition", "key"):
                found = bench.run("plain", "bench-keys", KEYED, BRIDGE_ORDERING=ordering)
                label = f"{KEYED:,} messages, each with a key of its own, ordering `{ordering}`"
                sweep.append((f"{NAMES['plain']}, {label}", found))
        p50, p99 = bench.latency_ms(100, 20)
    table = {name: middle(each) for name, each in runs.items()}
    publisher = table["publisher"]
    print(
        f"{count:,} messages of {len(VALUE)} bytes with four headers, 8 partitions, "
        f"median of {arguments.repeat}:\n"
    )
    print("| | CPU µs a message | to the publisher | messages/s | peak MB |")
    print("|---|---|---|---|---|")
    # Of the same turn: from one to the next the machine may be busier.
    ratios = {
        name: statistics.median(
            run.cpu_us / beside.cpu_us for run, beside in zip(each, runs["publisher"], strict=True)
        )
        for name, each in runs.items()
    }
    rows = [(NAMES[name], run, ratios[name]) for name, run in table.items()]
    rows += [(label, run, run.cpu_us / publisher.cpu_us) for label, run in sweep]
    for label, run, ratio in rows:
        print(
            f"| {label} | {run.cpu_us:.1f} | {ratio:.3f} | {run.messages / run.seconds:,.0f} | "
            f"{run.peak_mb:.0f} |"
        )
    print(f"\nAt 100 messages a second, from produce to Pub/Sub: p50 {p50:.0f} ms, p99 {p99:.0f} ms.\n")
    summary = {
        **{f"{name}_us": round(run.cpu_us, 1) for name, run in table.items()},
        "plain_ratio": round(ratios["plain"], 3),
        "bundle_ratio": round(ratios["bundle"], 3),
        "peak_mb": round(
            max(run.peak_mb for run in [table["plain"], table["bundle"], *(r for _, r in sweep)])
        ),
        "p99_ms": round(p99, 1),
    }
    print(json.dumps(summary), flush=True)


if __name__ == "__main__":
    main()
