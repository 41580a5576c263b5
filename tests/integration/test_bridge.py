"""Real bridge processes between a mock Kafka cluster and the Pub/Sub stand-in: killed, stopped, cut off."""

import contextlib
import hashlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from msgspec.structs import replace

import envelope
from envelope import Header, Record
from local.kafka import MockCluster
from local.processes import free_port
from local.standin.proxy import Proxy
from tests.integration.waiting import eventually
from tests.integration.worlds import (
    PARTITIONS,
    ROOT,
    SHORT_SESSION,
    Pubsub,
    World,
    lines,
    metrics,
    says,
    terminate,
)

SECRET = "hunter2-do-not-print"
STAMP = 1_700_000_000_123


@pytest.fixture(scope="module")
def cluster() -> MockCluster:
    """Give a Kafka cluster for all tests."""
    return MockCluster([])


_numbers = itertools.count()


@contextlib.contextmanager
def _world(cluster: MockCluster, server: Pubsub, folder: Path) -> Iterator[World]:
    name = f"bridge-test-{next(_numbers)}"
    world = World(cluster, server, folder, name, SHORT_SESSION)
    cluster.producer.list_topics(name, timeout=10)  # asking for a topic makes it
    try:
        yield world
    finally:
        world.end()


@pytest.fixture
def world(cluster: MockCluster, shared_pubsub: Pubsub, tmp_path: Path) -> Iterator[World]:
    """Give Kafka and the shared Pub/Sub."""
    with _world(cluster, shared_pubsub, tmp_path) as made:
        yield made


@pytest.fixture
def fragile(cluster: MockCluster, own_pubsub: Pubsub, tmp_path: Path) -> Iterator[World]:
    """Give Kafka and a Pub/Sub of the test's own."""
    with _world(cluster, own_pubsub, tmp_path) as made:
        yield made


# Each has one cause at most for the bundle form.
KINDS: list[tuple[bytes | None, bytes | None, list[Header]]] = [
    (b"key", b"value", [("item_type_name", b"a.b.C")]),
    (None, b"value", []),
    (b"", b"", []),
    (b"\xff\x00\xfe", bytes(range(256)), [("binary", b"\xff\x00")]),
    ("ключ 🔑".encode(), "značka €".encode(), [("заголовок", "значение".encode())]),
    (b"tombstone", None, [("item_type_name", b"a.b.C")]),
    (None, None, []),
    (b"k", b"null", [("null", None)]),
    (b"k", b"empty", [("empty", b"")]),
    (b"k", b"repeated", [("a", b"1"), ("b", b"2"), ("a", b"3"), ("b", b"2")]),
    (b"k", b"names", [(n, b"x") for n in ("data", "retry", "self", "timeout", "topic", "ordering_key")]),
    (b"k", b"reserved by Pub/Sub", [("googclient_x", b"1")]),
    (b"k", b"position", [("kafka.topic", b"1")]),
    (b"k", b"prefix", [("kafka.x", b"1")]),
    (b"k", b"no name", [("", b"x")]),
    (b"k", b"long name", [("n" * 257, b"x")]),
    (b"k", b"long value", [("v", b"x" * 1_025)]),
    (b"k", b"longest plain", [("n" * 256, b"x"), ("v", b"x" * 1_024)]),
    (b"x" * 1_025, b"long key", []),
    (b"k", b"many", [(f"h{n:03}", b"x") for n in range(150)]),
    (b"k", bytes(3_000_000), []),
]


def test_every_kind_of_record_arrives_as_it_is(world: World) -> None:
    """Key, value, headers, timestamp and position of every kind of record arrive byte for byte."""
    expected = []
    for offset, (key, value, headers) in enumerate(KINDS):
        world.cluster.producer.produce(
            world.topic,
            value,
            key,
            partition=1,
            timestamp=STAMP,
            headers=headers,  # type: ignore[arg-type] # a value may be None
        )
        expected.append(Record(world.topic, 1, offset, STAMP, key, tuple(headers), value))
    assert world.cluster.producer.flush(20) == 0
    bridge = world.start()
    eventually(lambda: len(world.tap.pull()) >= len(KINDS))
    arrived = {}
    for message in world.tap.pull():
        unpacked = envelope.unpack(message)
        assert unpacked.env == "test"
        for record in unpacked.records:
            arrived[record.offset] = (record, envelope.BUNDLE in message.attributes)
    for record in expected:
        found, in_bundle = arrived[record.offset]
        # The plain form keeps every header, but no order between different names.
        assert found == (record if in_bundle else replace(record, headers=tuple(sorted(record.headers))))
    assert len(world.tap.messages) == len(KINDS)
    assert world.dead_letters.pull() == []
    assert bridge.exit_code() is None


def test_log_is_json_lines(world: World) -> None:
    """Each line of a whole life is a JSON object with severity, message and time; SIGTERM ends it with 0."""
    world.produce([b"one"])
    bridge = world.start()
    eventually(world.tap.pull)
    assert terminate(bridge)[0] == 0
    found = lines(bridge)
    assert len(found) == len(bridge.log.read_text().splitlines())
    assert all({"severity", "message", "time"} <= line.keys() for line in found)
    assert {line["severity"] for line in found} <= {"INFO", "WARNING"}
    by_message = {line["message"]: line for line in found}
    assert by_message["bridge is starting"]["env"] == "test"
    assert by_message["assigned partitions"]["partitions"] == [
        f"{world.topic}/{n}" for n in range(PARTITIONS)
    ]
    assert by_message["stopped"]["forwarded"] == 1


def in_order(records: list[Record]) -> dict[int, list[bytes | None]]:
    """Return the values of each partition as they arrived."""
    values = defaultdict(list)
    for record in records:
        values[record.partition].append(record.value)
    return values


def test_bundle_of_the_environment(world: World) -> None:
    """BRIDGE_BUNDLE makes messages of so many records at most, and each record arrives whole and in order."""
    produced = [b"%d" % n for n in range(1_000)]
    world.produce(produced)
    world.start(BRIDGE_BUNDLE="50")
    eventually(lambda: len(world.tap.records()) >= len(produced))
    sizes = [
        len(envelope.unpack(message).records)
        for message in world.tap.messages
        if envelope.BUNDLE in message.attributes
    ]
    assert max(sizes) == 50
    assert in_order(world.tap.records()) == {n: produced[n::PARTITIONS] for n in range(PARTITIONS)}


def test_auto_bundles_what_has_gathered_alone(world: World) -> None:
    """With `auto` a burst that waited comes in bundles, and a few records after it in plain messages."""
    burst, few = ([b"%s %d" % (what, n) for n in range(count)] for what, count in ((b"a", 4_000), (b"b", 20)))
    world.produce(burst)
    world.start(BRIDGE_BUNDLE="auto")
    eventually(lambda: len(world.tap.records()) >= len(burst))
    bundles = [message for message in world.tap.messages if envelope.BUNDLE in message.attributes]
    assert bundles
    assert in_order(world.tap.records()) == {n: burst[n::PARTITIONS] for n in range(PARTITIONS)}
    before = len(world.tap.messages)
    world.produce(few, partition=0)  # one batch, which the bridge takes whole
    eventually(lambda: world.tap.values() == {*burst, *few})
    assert len(world.tap.messages) == before + len(few)


def test_ordering_by_key(world: World) -> None:
    """BRIDGE_ORDERING=key gives each message its key's ordering key, and each key's records stay in order."""
    keys = [b"a", b"b", b"c"]
    produced = {key: [b"%s %d" % (key, n) for n in range(200)] for key in keys}
    for number in range(200):
        for key in keys:
            world.cluster.producer.produce(world.topic, produced[key][number], key, partition=1)
    assert world.cluster.producer.flush(20) == 0
    world.start(BRIDGE_ORDERING="key", BRIDGE_MAX_RECORDS="50")
    eventually(lambda: len(world.tap.pull()) >= 600)
    arrived = defaultdict(list)
    for record, ordering_key in zip(world.tap.records(), world.tap.ordering_keys, strict=True):
        assert ordering_key == envelope.ordering_key(record, "key")
        arrived[record.key].append(record.value)
    assert arrived == produced


def test_metrics_of_a_running_bridge(world: World) -> None:
    """What Pub/Sub acknowledged to a real bridge is in its /metrics: requests, bytes and records."""
    world.produce([b"%d" % n for n in range(10)])
    port = free_port()
    bridge = world.start(PORT=str(port))
    eventually(lambda: says(bridge, "health server is listening"))
    assert [line["port"] for line in lines(bridge) if "port" in line] == [port]
    eventually(lambda: metrics(bridge)["bridge_forwarded_total"] == 10)
    found = metrics(bridge)
    assert 0 < found["bridge_publish_seconds_count"] <= 10
    assert found["bridge_forwarded_bytes_total"] > 10


def test_too_large_record_is_a_dead_letter(world: World) -> None:
    """A record over 10 MB becomes a dead letter with position, size and hash; the next one is forwarded."""
    large = bytes(10_100_000)
    # Compressed, because the mock cluster keeps 5 MB a partition.
    producer = Producer(
        {
            "bootstrap.servers": world.cluster.bootstrap_servers,
            "compression.type": "gzip",
            "message.max.bytes": 20_000_000,
        }
    )
    for value in (b"before", large, b"after"):
        producer.produce(world.topic, value, partition=2)
    assert producer.flush(20) == 0
    bridge = world.start()
    eventually(world.dead_letters.pull)
    eventually(lambda: world.tap.values() == {b"before", b"after"})
    (message,) = world.dead_letters.pull()
    attributes = message.attributes
    assert attributes[envelope.DEAD_LETTER_REASON] == "too_large"
    assert "10000000" in attributes[envelope.DEAD_LETTER_MESSAGE]
    assert attributes[envelope.VALUE_SIZE] == "10100000"
    assert attributes[envelope.VALUE_SHA256] == hashlib.sha256(large).hexdigest()
    own = {k: v for k, v in attributes.items() if not k.startswith("kafka.dead_letter.")}
    (record,) = envelope.unpack(envelope.Message(message.data, own)).records
    assert (record.topic, record.partition, record.offset, record.value) == (world.topic, 2, 1, None)
    assert terminate(bridge)[0] == 0
    assert world.committed()[2] == 3
    assert len(world.tap.messages) == 2


def test_killed_mid_stream_loses_nothing(world: World) -> None:
    """Killed with SIGKILL between any two steps and started again, the bridge forwards every record."""
    values = [b"%d" % n for n in range(3_000)]
    world.produce(values)
    first = world.start(BRIDGE_MAX_RECORDS="1")
    eventually(lambda: world.tap.pull(once=True))
    first.send(signal.SIGKILL)
    first.wait(5)
    assert len(world.tap.values()) < len(values), "killed too late to prove anything"
    late = [b"late %d" % n for n in range(200)]
    world.produce(late)
    world.start()
    eventually(lambda: world.tap.values() == {*values, *late}, 40)


def test_sigterm_mid_stream_commits_what_was_forwarded(world: World) -> None:
    """SIGTERM ends the bridge with 0 in time, and the commits say exactly what was forwarded, each once."""
    world.produce([b"%d" % n for n in range(3_000)])
    bridge = world.start(BRIDGE_MAX_RECORDS="1")
    eventually(lambda: world.tap.pull(once=True))
    code, _ = terminate(bridge)
    assert code == 0
    forwarded = Counter((r.partition, r.offset) for r in world.tap.records())
    committed = world.committed()
    assert forwarded == Counter((p, o) for p, end in committed.items() for o in range(end))
    assert 0 < len(forwarded) < 3_000


def test_latest_group_loses_nothing_of_a_quiet_partition(world: World) -> None:
    """A new group starts at the end; what comes while it is down, on quiet partitions too, is read."""
    world.produce([b"old"] * 8)
    first = world.start(BRIDGE_START="latest")
    eventually(lambda: says(first, "start positions committed"))
    world.produce([b"new"], partition=0)
    eventually(lambda: b"new" in world.tap.values())
    assert terminate(first)[0] == 0
    assert world.committed() == {0: 3, 1: 2, 2: 2, 3: 2}
    world.produce([b"quiet %d" % n for n in range(12)])
    second = world.start(BRIDGE_START="latest")
    wanted = {b"new", *(b"quiet %d" % n for n in range(12))}
    eventually(lambda: world.tap.values() >= wanted)
    assert world.tap.values() == wanted
    assert not says(second, "start positions committed")
    assert len(world.tap.messages) == len(wanted)


def test_outage_of_pubsub_loses_nothing(fragile: World) -> None:
    """Pub/Sub down and back: the same process holds, keeps its partitions, and forwards everything."""
    fragile.produce([b"before"])
    bridge = fragile.start()
    eventually(lambda: b"before" in fragile.tap.values())
    fragile.pubsub.stop()
    fragile.produce([b"during %d" % n for n in range(400)])
    eventually(lambda: says(bridge, "holding"))
    time.sleep(4)  # longer than the session's timeout: only polls and heartbeats keep the membership
    # The stand-in forgets its topics; a message must not arrive between a topic and its subscription.
    bridge.send(signal.SIGSTOP)
    try:
        fragile.pubsub.start()
        tap = fragile.pubsub.tap(fragile.topic)
        fragile.pubsub.tap(f"{fragile.topic}-dead-letter")
    finally:
        bridge.send(signal.SIGCONT)
    fragile.produce([b"after"])
    wanted = {b"after", *(b"during %d" % n for n in range(400))}
    eventually(lambda: tap.values() >= wanted, 40)
    assert bridge.exit_code() is None
    assert says(bridge, "Pub/Sub takes records again")
    assert not says(bridge, "revoked")
    assert terminate(bridge)[0] == 0
    assert sum(fragile.committed().values()) == 402


def test_connection_that_dies_without_a_word_is_left(world: World) -> None:
    """Where a firewall forgets the connection, a new one is tried: gRPC would wait a minute for it."""
    proxy = Proxy(world.pubsub.address)
    try:
        world.produce([b"before"])
        bridge = world.start(PUBSUB_EMULATOR_HOST=proxy.address)
        eventually(lambda: b"before" in world.tap.values())
        proxy.forget()
        world.produce([b"after"])
        eventually(lambda: b"after" in world.tap.values(), 30)
        assert says(bridge, "DEADLINE_EXCEEDED")
    finally:
        proxy.stop()


def test_sigterm_while_kafka_does_not_answer(world: World) -> None:
    """Brokers that are down at the start are said once, not at each try; SIGTERM ends the bridge with 0."""
    bridge = world.start(KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    eventually(lambda: says(bridge, "brokers are down"))
    code, _ = terminate(bridge)
    assert code == 0
    assert len([line for line in lines(bridge) if "Connection refused" in str(line["message"])]) == 1


def test_sigterm_while_pubsub_is_down(fragile: World) -> None:
    """Told to stop during an outage, the bridge ends in time with 0; what it held is read again."""
    fragile.produce([b"before"])
    first = fragile.start()
    eventually(lambda: b"before" in fragile.tap.values())
    fragile.pubsub.stop()
    held = [b"held %d" % n for n in range(50)]
    fragile.produce(held)
    eventually(lambda: says(first, "holding"))
    code, _ = terminate(first)
    assert code == 0
    assert sum(fragile.committed().values()) == 1
    fragile.pubsub.start()
    tap = fragile.pubsub.tap(fragile.topic)
    fragile.pubsub.tap(f"{fragile.topic}-dead-letter")
    fragile.start()
    eventually(lambda: tap.values() >= {*held})
    assert len(tap.messages) == len(held)


def test_sigterm_while_pubsub_does_not_answer(fragile: World) -> None:
    """Where Pub/Sub hangs with a full cycle of requests in flight, the bridge ends in time with 0 too."""
    fragile.produce([b"before"])
    bridge = fragile.start()
    eventually(lambda: b"before" in fragile.tap.values())
    fragile.pubsub.send(signal.SIGSTOP)
    # The first record starts a cycle of its own; held until its request is out, the rest makes the next.
    fragile.produce([bytes(1_000_000)] * 16)
    eventually(lambda: says(bridge, "assigned"))
    time.sleep(1)
    code, seconds = terminate(bridge)
    assert code == 0, f"ended with {code} after {seconds:.1f} s"
    assert sum(fragile.committed().values()) == 1


def start_with(world: World, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a bridge that is expected to refuse its settings."""
    command = [sys.executable, "-m", "bridge"]
    settings = {**os.environ, **world.settings(), **env}
    return subprocess.run(
        command, env=settings, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
    )


def assert_refused(done: subprocess.CompletedProcess[str], name: str) -> None:
    """Assert exit code 2 and one line on stderr with the name of the setting."""
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert name in line


@pytest.mark.parametrize(
    ("name", "value"), [("KAFKA_TOPICS", ""), ("BRIDGE_START", "newest"), ("PORT", "http")]
)
def test_wrong_setting_stops_the_start(world: World, name: str, value: str) -> None:
    """A wrong setting ends the start with 2 and one line that names it."""
    assert_refused(start_with(world, **{name: value}), name)


@pytest.mark.parametrize(
    ("name", "value"),
    [("no.such.property", SECRET), ("security.protocol", SECRET), ("oauth_cb", SECRET), ("stats_cb", SECRET)],
)
def test_property_that_librdkafka_refuses_is_named_without_its_value(
    world: World, tmp_path: Path, name: str, value: str
) -> None:
    """A property that the client refuses is named in one line; its value, perhaps a secret, is not."""
    file = tmp_path / "wrong.properties"
    file.write_text(f"{name}={value}\n")
    done = start_with(world, KAFKA_PROPERTIES_FILE=str(file))
    assert SECRET not in done.stderr + done.stdout
    assert_refused(done, name)


def test_port_in_use_is_named(world: World) -> None:
    """A port that is another's ends the start with 2 and a line that names PORT."""
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        done = start_with(world, PORT=str(other.getsockname()[1]))
    assert_refused(done, "PORT")
