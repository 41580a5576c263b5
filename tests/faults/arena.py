"""Where a fault happens: bridges between a Kafka topic under load and a Pub/Sub of their own."""

import contextlib
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from google.api_core.exceptions import DeadlineExceeded
from google.pubsub_v1.types import pubsub as messages

import envelope
from envelope import Header
from local.kafka import Cluster
from local.processes import Process, free_port
from local.pubsub import publisher, standin_command, subscriber, wait_until_ready
from local.real_kafka import RealCluster
from local.standin.faults import Fault, set_fault
from local.standin.proxy import Proxy
from tests.faults.ledger import Entry, Ledger, Verdict, entry_of
from tests.integration.waiting import eventually
from tests.integration.worlds import PARTITIONS, ROOT, STOP_S, committed

BRIDGE = (sys.executable, "-m", "bridge", "--env", "faults")
# As Kafka's clients have it by default, but for the time that a killed member keeps its partitions.
PROPERTIES = {"session.timeout.ms": "3000", "heartbeat.interval.ms": "300", "max.poll.interval.ms": "20000"}
BATCHES_A_SECOND = 20
# Nothing new for so long, and it will not come.
STALLED_S = 30.0

# Where others lost some: names that a publish() has as parameters, bytes that are no text, null, repeats.
HEADERS: tuple[tuple[Header, ...], ...] = (
    (),
    (("item_type_name", b"a.b.C"),),
    (("item_type_name", b"a.b.C"), ("source", b"shop"), ("trace_id", b"4bf92f3577b34da6"), ("v", b"6")),
    (("topic", b"x"), ("data", b"y"), ("retry", b"z"), ("timeout", b"1"), ("ordering_key", b"k")),
    (("binary", b"\xff\x00\xfe"),),
    (("null", None), ("empty", b"")),
    (("again", b"1"), ("again", b"2")),
    (("заголовок", "значение".encode()),),
)


class Outcome(msgspec.Struct, frozen=True):
    """What a fault did."""

    name: str
    injected: int
    lost: int
    duplicates: int
    recovery_s: float


class Arena:
    """One fault's own topic, group and Pub/Sub; everything it started has ended after `with`."""

    def __init__(
        self,
        kafka: Cluster,
        folder: Path,
        name: str,
        *,
        command: Sequence[str] = BRIDGE,
        properties: Mapping[str, str] = {},
        proxied: bool = False,
        stalled_s: float = STALLED_S,
        seed: int = 0,
    ) -> None:
        self.kafka = kafka
        self.name = self.topic = self.group = name
        self.random = random.Random(f"{name}{seed}")
        self.ledger = Ledger()
        self.bridges: list[Process] = []
        self.injected = 0
        self.recoveries: list[float] = []
        self._folder = folder / name
        self._command = command
        self._stalled_s = stalled_s
        self._ending = contextlib.ExitStack()
        self._stopping = threading.Event()
        self._failures: list[str] = []
        self._folder.mkdir(parents=True)
        self._properties = self._folder / "kafka.properties"
        self._properties.write_text(
            "".join(f"{key}={value}\n" for key, value in {**PROPERTIES, **properties}.items() if value)
        )
        try:
            self._open(proxied=proxied)
        except BaseException:
            self._ending.close()
            raise

    def _open(self, *, proxied: bool) -> None:
        if isinstance(self.kafka, RealCluster):
            self.kafka.create_topic(self.topic, partitions=PARTITIONS)
        else:
            self.kafka.producer.list_topics(self.topic, timeout=10)  # asking the mock cluster makes it
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        server = Process("pubsub", standin_command(port), self._folder / "pubsub.log", cwd=ROOT)
        self._ending.callback(server.stop)
        wait_until_ready(self.address, 60)
        self.producer = Producer(
            {
                "bootstrap.servers": self.kafka.bootstrap_servers,
                "enable.idempotence": True,
                "linger.ms": 5,
                "socket.timeout.ms": 5_000,
                "request.timeout.ms": 5_000,
                "log_level": 0,
            }
        )
        for topic in (self.name, f"{self.name}-dead-letter"):
            self._collect_from(topic)
        self._ending.callback(self._stopping.set)
        self.proxy: Proxy | None = None
        if proxied:
            self.proxy = Proxy(self.address)
            self._ending.callback(self.proxy.stop)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all of it."""
        for bridge in self.bridges:
            if bridge.exit_code() is None:
                bridge.send(signal.SIGKILL)
            bridge.stop()
        self._ending.close()

    # Bridges

    def start(self, **env: str) -> Process:
        """Start a bridge, which begins at the earliest records where its group has no commits."""
        settings = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "KAFKA_GROUP_ID": self.group,
            "KAFKA_TOPICS": self.topic,
            "KAFKA_PROPERTIES_FILE": str(self._properties),
            "BRIDGE_START": "earliest",
            "PUBSUB_EMULATOR_HOST": self.proxy.address if self.proxy else self.address,
            "PUBSUB_TOPIC": f"projects/p/topics/{self.name}",
            "PUBSUB_DEAD_LETTER_TOPIC": f"projects/p/topics/{self.name}-dead-letter",
            "PORT": "0",
        }
        log = self._folder / f"bridge-{len(self.bridges)}.log"
        bridge = Process("bridge", self._command, log, env={**settings, **env}, cwd=ROOT)
        self.bridges.append(bridge)
        return bridge

    def kill(self, bridge: Process) -> None:
        """End a bridge with SIGKILL."""
        bridge.send(signal.SIGKILL)
        bridge.wait(STOP_S)

    def terminate(self, bridge: Process) -> None:
        """End a bridge with SIGTERM; fails unless it exits with 0 within Cloud Run's 10 s."""
        bridge.send(signal.SIGTERM)
        code = bridge.wait(STOP_S)
        assert code == 0, f"SIGTERM ended the bridge with {code}, see {bridge.log}"

    def committed(self) -> dict[int, int]:
        """Return the offset that the group committed, by partition, where it did."""
        return committed(self.kafka, self.group, self.topic)

    # Kafka

    def high(self, partition: int) -> int:
        """Return where a partition's log ends."""
        settings = {"bootstrap.servers": self.kafka.bootstrap_servers, "group.id": "none", "log_level": 0}
        consumer = Consumer(settings)
        try:
            return consumer.get_watermark_offsets(TopicPartition(self.topic, partition), timeout=30)[1]
        finally:
            consumer.close()

    def delete_records(self, before: Mapping[int, int]) -> None:
        """Move the beginning of partitions' logs to these offsets, as retention does."""
        admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap_servers, "log_level": 0})
        offsets = [TopicPartition(self.topic, partition, offset) for partition, offset in before.items()]
        for deleted in admin.delete_records(offsets).values():
            deleted.result(30)

    # Pub/Sub

    def break_pubsub(self, fault: Fault) -> None:
        """Have Pub/Sub fail so from now on, on both topics."""
        set_fault(self.address, fault)

    def mend_pubsub(self) -> int:
        """Have Pub/Sub serve again; returns how many requests the fault has hit."""
        return set_fault(self.address, Fault())

    def _collect_from(self, name: str) -> None:
        topic, subscription = f"projects/p/topics/{name}", f"projects/p/subscriptions/{name}"
        with publisher(self.address) as topics, subscriber(self.address) as subscriptions:
            topics.create_topic(name=topic)
            subscriptions.create_subscription(
                request=messages.Subscription(name=subscription, topic=topic, ack_deadline_seconds=10)
            )
        thread = threading.Thread(target=self._collect, args=(subscription,), daemon=True)
        thread.start()
        self._ending.callback(thread.join, 10)

    def _collect(self, subscription: str) -> None:
        request = messages.PullRequest(subscription=subscription, max_messages=1_000)
        # What an answer that came too late had in it is delivered again: that copy is not the bridge's.
        seen: set[str] = set()
        with subscriber(self.address) as client:
            while not self._stopping.is_set():
                try:
                    # Protobuf's own objects: the wrapped ones take three times as long.
                    answer = messages.PullResponse.pb(client.pull(request=request, timeout=1))
                except DeadlineExceeded:
                    continue
                received = answer.received_messages
                for each in received:
                    if each.message.message_id in seen:
                        continue
                    seen.add(each.message.message_id)
                    attributes = dict(each.message.attributes)
                    self.ledger.arrived(envelope.Message(each.message.data, attributes))
                if received:
                    client.acknowledge(subscription=subscription, ack_ids=[r.ack_id for r in received])

    # Load

    @contextlib.contextmanager
    def load(self, rate: int = 1_000) -> Iterator[None]:
        """Produce so many records a second, to all partitions, until the end of `with`."""
        ending = threading.Event()

        def produce() -> None:
            began, sent = time.monotonic(), 0
            while not ending.wait(1 / BATCHES_A_SECOND):
                due = int((time.monotonic() - began) * rate)
                self.produce(due - sent)
                sent = due

        thread = threading.Thread(target=produce, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join(60)

    @contextlib.contextmanager
    def steady_load(self, rate: int = 1_000) -> Iterator[None]:
        """Give a load that is forwarded from every partition; how long the first bridge took is left out."""
        with self.load(rate):
            self.await_recovery()
            self.recoveries.clear()
            yield

    def produce(
        self, count: int, *, marker: bytes = b"", producer: Producer | None = None, expected: bool = True
    ) -> None:
        """Produce records of all kinds, to the partitions in turn; `expected` ones go into the ledger."""
        producer = producer or self.producer
        for number in range(count):
            headers = self.random.choice(HEADERS)
            key = self.random.choice((None, b"", b"key", b"\xff\xfe"))
            value: bytes | None = marker + self.random.randbytes(self.random.randint(0, 300))
            if not marker and self.random.random() < 0.02:
                value = None
            entry = entry_of(key, headers, value)
            while True:
                try:
                    producer.produce(
                        self.topic,
                        value,
                        key,
                        partition=number % PARTITIONS,
                        headers=list(headers),
                        on_delivery=self._delivered(entry) if expected else None,
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
        producer.poll(0)

    def _delivered(self, entry: Entry) -> Callable[[KafkaError | None, Message], None]:
        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self._failures.append(str(error))
                return
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            assert topic is not None
            assert partition is not None
            assert offset is not None
            self.ledger.produced((topic, partition, offset), entry)

        return delivered

    def flush(self) -> None:
        """Return when Kafka has everything that was produced."""
        assert self.producer.flush(120) == 0, "Kafka did not take all records"
        assert not self._failures, f"Kafka did not take {len(self._failures)} records: {self._failures[0]}"

    # Judgement

    def await_recovery(self, seconds: float = 180.0, *, caught_up: bool = True) -> None:
        """Wait, under load, until every partition has forwarded a record that Kafka did not have yet.

        Called as soon as a fault has ended. Where a backlog is part of it, `caught_up` False asks only that
        every partition has moved on.
        """
        began = time.monotonic()
        before = self.ledger.highest_produced() if caught_up else self.ledger.highest()
        partitions = [(self.topic, number) for number in range(PARTITIONS)]

        def moved() -> bool:
            now = self.ledger.highest()
            return all(now.get(each, -1) > before.get(each, -1) for each in partitions)

        eventually(moved, seconds)
        self.recoveries.append(time.monotonic() - began)

    def settle(self) -> Verdict:
        """Return the verdict when everything has arrived, or nothing more comes."""
        self.mend_pubsub()
        if self.proxy is not None:
            self.proxy.restore()
        self.flush()
        before, moved_at = self.ledger.missing(), time.monotonic()
        while before and time.monotonic() - moved_at < self._stalled_s:
            time.sleep(0.1)
            now = self.ledger.missing()
            if now < before:
                before, moved_at = now, time.monotonic()
        # A copy too many may still be on its way: the collectors empty both subscriptions.
        for bridge in self.bridges:
            if bridge.exit_code() is None:
                bridge.send(signal.SIGTERM)
        for bridge in self.bridges:
            bridge.stop()
        time.sleep(1.5)  # the collectors' pull waits 1 s
        return self.ledger.verdict()


def memory_mb(pid: int) -> float:
    """Return how much memory a process has resident, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1_000
    raise ProcessLookupError(pid)
