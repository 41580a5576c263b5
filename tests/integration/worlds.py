"""Kafka, Pub/Sub and real bridge processes between them, for one test."""

import contextlib
import itertools
import json
import re
import signal
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from google.api_core.exceptions import DeadlineExceeded
from google.pubsub_v1.types import pubsub

import envelope
from envelope import Record
from local.kafka import Cluster
from local.processes import Process, free_port
from local.pubsub import publisher, standin_command, subscriber, wait_until_ready

ROOT = Path(__file__).parents[2]
PARTITIONS = 4  # what the mock cluster gives a topic
STOP_S = 10.0  # from SIGTERM to SIGKILL on Cloud Run
# A killed member would otherwise keep its partitions for 45 s.
SHORT_SESSION = ("session.timeout.ms=3000", "heartbeat.interval.ms=300")


class Pubsub:
    """A stand-in, and what arrived on two subscriptions of one topic and its dead-letter topic."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.address = f"127.0.0.1:{self._port}"
        self._process: Process | None = None

    def start(self) -> None:
        """Start the server, empty."""
        self._process = Process(
            "pubsub", standin_command(self._port), self._folder / f"pubsub-{self._port}.log", cwd=ROOT
        )
        wait_until_ready(self.address, 30)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the server."""
        assert self._process is not None
        self._process.send(number)

    def stop(self) -> None:
        """End the server, also one that is stopped by a signal."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send(signal.SIGCONT)
            self._process.stop()

    def tap(self, name: str, ack_deadline_s: int = 600) -> "Tap":
        """Create a topic with a pull subscription, and return what comes out of it."""
        tap = Tap(self.address, name)
        with publisher(self.address) as topics, subscriber(self.address) as subscriptions:
            topics.create_topic(name=tap.topic)
            subscriptions.create_subscription(
                request=pubsub.Subscription(
                    name=tap.subscription, topic=tap.topic, ack_deadline_seconds=ack_deadline_s
                )
            )
        return tap


class Tap:
    """What came out of a topic so far; `ordering_keys` has one for each of the messages."""

    def __init__(self, address: str, name: str) -> None:
        self.topic = f"projects/p/topics/{name}"
        self.subscription = f"projects/p/subscriptions/{name}"
        self.messages: list[envelope.Message] = []
        self.ordering_keys: list[str] = []
        self._address = address

    def pull(self, *, once: bool = False) -> list[envelope.Message]:
        """Take all that is there, or all of one answer, and return what has arrived so far."""
        with subscriber(self._address) as client, contextlib.suppress(DeadlineExceeded):
            while True:
                request = pubsub.PullRequest(subscription=self.subscription, max_messages=1_000)
                received = client.pull(request=request, timeout=0.6).received_messages
                if not received:
                    break
                self.messages += [
                    envelope.Message(r.message.data, dict(r.message.attributes)) for r in received
                ]
                self.ordering_keys += [r.message.ordering_key for r in received]
                client.acknowledge(subscription=self.subscription, ack_ids=[r.ack_id for r in received])
                if once:
                    break
        return self.messages

    def records(self) -> list[Record]:
        """Return the records that have arrived."""
        return [record for message in self.pull() for record in envelope.unpack(message).records]

    def values(self) -> set[bytes | None]:
        """Return the values that have arrived."""
        return {record.value for record in self.records()}


class World:
    """Kafka, Pub/Sub, and bridges that end with the test; the topic is the test's to make.

    `properties` are the lines of the bridges' properties file.
    """

    def __init__(
        self, cluster: Cluster, pubsub_server: Pubsub, folder: Path, name: str, properties: Sequence[str]
    ) -> None:
        self.cluster = cluster
        self.pubsub = pubsub_server
        self.topic = self.group = name
        self.tap = pubsub_server.tap(name)
        self.dead_letters = pubsub_server.tap(f"{name}-dead-letter")
        self.bridges: list[Process] = []
        self._folder = folder
        self._properties = folder / "kafka.properties"
        self._properties.write_text("".join(f"{line}\n" for line in properties))

    def end(self) -> None:
        """End the bridges."""
        for bridge in self.bridges:
            if bridge.exit_code() is None:
                bridge.send(signal.SIGKILL)
            bridge.stop()

    def settings(self) -> dict[str, str]:
        """Return a bridge's settings, from the earliest records."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.cluster.bootstrap_servers,
            "KAFKA_GROUP_ID": self.group,
            "KAFKA_TOPICS": self.topic,
            "KAFKA_PROPERTIES_FILE": str(self._properties),
            "BRIDGE_START": "earliest",
            "PUBSUB_EMULATOR_HOST": self.pubsub.address,
            "PUBSUB_TOPIC": self.tap.topic,
            "PUBSUB_DEAD_LETTER_TOPIC": self.dead_letters.topic,
            "PORT": "0",
        }

    def start(self, **env: str) -> Process:
        """Start a bridge."""
        log = self._folder / f"bridge-{len(self.bridges)}.log"
        command = [sys.executable, "-m", "bridge", "--env", "test"]
        bridge = Process("bridge", command, log, env={**self.settings(), **env}, cwd=ROOT)
        self.bridges.append(bridge)
        return bridge

    def produce(self, values: Sequence[bytes], partition: int | None = None) -> None:
        """Produce values, over all partitions in turn or to one, and wait until Kafka has them."""
        turns = itertools.cycle(range(PARTITIONS)) if partition is None else itertools.repeat(partition)
        for value, at in zip(values, turns, strict=False):
            self.cluster.producer.produce(self.topic, value, partition=at)
        assert self.cluster.producer.flush(20) == 0

    def committed(self) -> dict[int, int]:
        """Return the offset that the group committed, by partition, where it did."""
        return committed(self.cluster, self.group, self.topic)


def committed(cluster: Cluster, group: str, topic: str) -> dict[int, int]:
    """Return the offset that a group committed of a topic, by partition, where it did."""
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap_servers, "group.id": group, "log_level": 0})
    try:
        found = consumer.committed([TopicPartition(topic, n) for n in range(PARTITIONS)], timeout=30)
        return {p.partition: p.offset for p in found if p.offset >= 0}
    finally:
        consumer.close()


def lines(bridge: Process) -> list[dict[str, object]]:
    """Return a bridge's log lines, without what gRPC's library says on stderr of a lost connection."""
    text = bridge.log.read_text()
    complete = text[: text.rfind("\n") + 1].splitlines()
    return [json.loads(line) for line in complete if line.startswith("{")]


def says(bridge: Process, text: str) -> int:
    """Return how many of a bridge's log lines say this."""
    return sum(text in str(line["message"]) for line in lines(bridge))


def metrics(bridge: Process) -> dict[str, float]:
    """Return what a bridge's /metrics says, by name and labels."""
    (port,) = (line["port"] for line in lines(bridge) if "port" in line)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return {
        name: float(value)
        for name, value in re.findall(r"^(\w+(?:\{[^}]*\})?) (\S+)$", text, flags=re.MULTILINE)
    }


def terminate(bridge: Process) -> tuple[int, float]:
    """Send SIGTERM and return the exit code and the seconds it took; fails after a bridge's last moment."""
    before = time.monotonic()
    bridge.send(signal.SIGTERM)
    return bridge.wait(STOP_S), time.monotonic() - before
