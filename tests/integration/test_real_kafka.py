"""Apache Kafka as local/ starts it: it answers, outlives one of its brokers, and leaves nothing behind."""

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message

from local import real_kafka
from local.processes import Process, StartError, accepts
from local.real_kafka import RealCluster
from tests.integration.waiting import eventually

SASL = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "reader"}


@pytest.fixture
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RealCluster]:
    """A cluster with a topic, of as many brokers as the test asks for."""
    made = RealCluster(
        tmp_path,
        ["events"],
        brokers=request.param,
        listeners={"SECURE": "SASL_PLAINTEXT"},
        scram_users={"reader": "pass\\word"},
        settings={
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.secure.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
        },
    )
    try:
        yield made
    finally:
        made.stop()
        addresses = ",".join(made.addresses.values()).split(",")
        assert not [address for address in addresses if accepts(int(address.rpartition(":")[2]))]


def consume(cluster: RealCluster, count: int, **settings: str) -> list[Message]:
    """Return so many records of the topic, from its beginning."""
    consumer = Consumer(
        {
            "bootstrap.servers": cluster.bootstrap_servers,
            "group.id": "readers",
            "group.protocol": "consumer",
            "auto.offset.reset": "earliest",
            "log_level": 0,
            **settings,
        }
    )
    consumer.subscribe(["events"])
    got: list[Message] = []

    def complete() -> bool:
        got.extend(consumer.consume(count, 1))
        return len(got) >= count

    try:
        eventually(complete)
    finally:
        consumer.close()
    return got


@pytest.mark.needs("java", "maven")
@pytest.mark.parametrize("cluster", [1], indirect=True)
def test_a_record_of_ten_megabytes_keeps_its_headers(cluster: RealCluster) -> None:
    """What was produced is consumed, over either listener, with all headers; also repeated and empty ones."""
    headers: list[tuple[str, str | bytes | None]] = [("a", b"1"), ("a", b"\xff"), ("b", None), ("c", b"")]
    cluster.producer.produce("events", bytes(10_000_000), key=b"key", headers=headers)
    assert cluster.producer.flush(20) == 0
    secure = SASL | {"bootstrap.servers": cluster.addresses["SECURE"], "sasl.password": "pass\\word"}
    for settings in ({}, {"group.id": "others", **secure}):
        (message,) = consume(cluster, 1, **settings)
        assert message.error() is None
        assert message.headers() == headers
        assert message.key() == b"key"
        assert len(message.value() or b"") == 10_000_000
    with pytest.raises(KafkaException):
        cluster.create_topic("events")


@pytest.mark.needs("java", "maven")
@pytest.mark.parametrize("cluster", [3], indirect=True)
def test_three_brokers_go_on_without_one(cluster: RealCluster) -> None:
    """With one killed or stopped, records are taken and read; a killed one comes back."""
    errors: list[KafkaError | None] = []

    def produce(count: int) -> None:
        for number in range(count):
            cluster.producer.produce("events", str(number), on_delivery=lambda error, _: errors.append(error))
        assert cluster.producer.flush(60) == 0

    cluster.brokers[0].send(signal.SIGKILL)
    produce(50)
    assert len(consume(cluster, 50)) == 50
    cluster.restart(0)
    assert cluster.brokers[0].exit_code() is None
    cluster.brokers[1].send(signal.SIGSTOP)
    produce(50)
    assert errors == [None] * 100


@pytest.mark.needs("java", "maven")
def test_a_broker_that_does_not_start_leaves_no_process_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the log; the others are ended."""
    started: list[Process] = []

    class Seen(Process):
        def __init__(self, name: str, command: Sequence[str], log: Path, *, cwd: Path | None = None) -> None:
            super().__init__(name, command, log, cwd=cwd)
            started.append(self)

    monkeypatch.setattr(real_kafka, "Process", Seen)
    settings = {"sasl.enabled.mechanisms": "PLAIN", "broker.heartbeat.interval.ms": "nonsense"}
    with pytest.raises(StartError, match="nonsense"):
        RealCluster(tmp_path / "format", settings=settings)
    with pytest.raises(StartError, match=r"kafka-0 ended with 1: see .*broker-0\.log"):
        RealCluster(tmp_path, brokers=2, listeners={"SECURE": "SASL_PLAINTEXT"})
    assert len(started) == 2
    assert all(process.exit_code() is not None for process in started)


def test_without_java_or_maven_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, for either."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartError, match=r"^Apache Kafka needs Java 17 or newer: install it .*$"):
        RealCluster(tmp_path)
    java = tmp_path / "java"
    java.touch(0o755)
    monkeypatch.setattr(real_kafka, "JARS", tmp_path / "jars")
    with pytest.raises(StartError, match=r"^Apache Kafka \S+ is fetched with Maven: install it .*$"):
        RealCluster(tmp_path)
