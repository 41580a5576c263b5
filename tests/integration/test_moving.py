"""Moving from the legacy consumer: the commands of docs/deploy.md against Apache Kafka."""

import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from decoder.streams import load_streams
from local.real_kafka import JARS, RealCluster
from tests.integration.waiting import eventually

pytestmark = pytest.mark.needs("java", "maven")

PAGE = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()
TOPICS = sorted(topic.name for stream in load_streams().values() for topic in stream.topics)
LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RealCluster]:
    """A cluster with all topics, of two partitions each, and a listener that wants a password."""
    made = RealCluster(
        tmp_path,
        TOPICS,
        partitions=2,
        listeners={"SECURE": "SASL_PLAINTEXT"},
        scram_users={"bridge": "secret"},
        settings={
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.secure.scram-sha-512.sasl.jaas.config": f"{LOGIN};",
        },
    )
    try:
        yield made
    finally:
        made.stop()


def produce(cluster: RealCluster, partition: int, count: int, hours_ago: float) -> None:
    """Produce so many records to a partition of the first topic, with that time."""
    then = int((time.time() - hours_ago * 3_600) * 1_000)
    for _ in range(count):
        cluster.producer.produce(TOPICS[0], b"value", partition=partition, timestamp=then)
    assert cluster.producer.flush(30) == 0


def documented(cluster: RealCluster, folder: Path, group: str, time_: str) -> list[list[str]]:
    """Return the page's commands as this cluster takes them: no TLS, Kafka's tool by its class."""
    (admin,) = re.findall(r"(   security\.protocol=SASL_SSL\n   sasl\.mechanism=.*?)   ```", PAGE, re.DOTALL)
    properties = folder / "admin.properties"
    properties.write_text(admin.replace("SASL_SSL", "SASL_PLAINTEXT").replace("…", "secret"))
    (block,) = re.findall(r"(   kafka-consumer-groups\.sh .*?)   ```", PAGE, re.DOTALL)
    tool = f"java -cp {JARS}/* org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
    commands = [line for line in block.replace("\\\n", " ").splitlines() if line.strip()]
    replaced = {
        "kafka-consumer-groups.sh": tool,
        "BROKER": cluster.addresses["SECURE"],
        "admin.properties": str(properties),
        "NEW_GROUP": group,
    }
    for old, new in replaced.items():
        commands = [command.replace(old, new) for command in commands]
    return [shlex.split(re.sub(r"(--to-datetime )\S+", rf"\g<1>{time_}", each)) for each in commands]


def run(command: list[str]) -> str:
    """Return what a command prints."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def test_a_new_group_gets_the_position_of_a_time(cluster: RealCluster, tmp_path: Path) -> None:
    """Each partition gets its first record since then, or its end; a group that has members is refused."""
    produce(cluster, 0, 3, hours_ago=2)
    produce(cluster, 0, 2, hours_ago=0.5)
    produce(cluster, 1, 4, hours_ago=2)
    hour_ago = datetime.fromtimestamp(time.time() - 3_600, UTC).strftime("%Y-%m-%dT%H:%M:%S.000")
    reset, describe = documented(cluster, tmp_path, "bridge", hour_ago)
    run(reset)

    settings = {"bootstrap.servers": cluster.bootstrap_servers, "group.id": "bridge", "log_level": 0}
    consumer = Consumer(settings)
    try:
        asked = [TopicPartition(topic, partition) for topic in TOPICS for partition in (0, 1)]
        committed = {(each.topic, each.partition): each.offset for each in consumer.committed(asked, 30)}
        expected = {(each.topic, each.partition): 0 for each in asked}
        assert committed == expected | {(TOPICS[0], 0): 3, (TOPICS[0], 1): 4}
        rows = re.findall(r"^bridge +(\S+) +(\d) +(\d+) ", run(describe), re.MULTILINE)
        assert {(topic, int(partition)): int(offset) for topic, partition, offset in rows} == committed

        consumer.subscribe(TOPICS)
        eventually(lambda: consumer.poll(0.1) is not None or bool(consumer.assignment()))
        assert "can only be reset if the group 'bridge' is inactive" in run(reset)
    finally:
        consumer.close()
