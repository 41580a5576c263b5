"""Real bridge processes against Apache Kafka itself: gaps, rebalances, transactions, a broker that dies."""

import contextlib
import itertools
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]

from envelope import Record
from local.processes import Process
from local.real_kafka import RealCluster
from tests.integration.waiting import eventually
from tests.integration.worlds import (
    PARTITIONS,
    SHORT_SESSION,
    STOP_S,
    Pubsub,
    World,
    lines,
    metrics,
    says,
    terminate,
)

pytestmark = pytest.mark.needs("java", "maven")

PROTOCOLS = {
    "eager": SHORT_SESSION,
    "cooperative": (*SHORT_SESSION, "partition.assignment.strategy=cooperative-sticky"),
    "consumer": ("group.protocol=consumer",),  # KIP-848; the session's timeout is the broker's
}
NOTICED_SOON = "topic.metadata.refresh.interval.ms=1000"
PAUSE_S = 0.002  # between two records of a load

Protocol = Literal["eager", "cooperative", "consumer"]
every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


class RealWorld(World):
    """A world whose Kafka is a real one, with a topic of its own."""

    def __init__(
        self, cluster: RealCluster, pubsub_server: Pubsub, folder: Path, name: str, protocol: str
    ) -> None:
        super().__init__(cluster, pubsub_server, folder, name, (*PROTOCOLS[protocol], NOTICED_SOON))
        self.real = cluster
        self.admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers, "log_level": 0})
        cluster.create_topic(name, partitions=PARTITIONS)

    def producer(self, **settings: str) -> Producer:
        """Return a producer that knows no topic yet, nor one that was deleted."""
        return Producer(
            {
                "bootstrap.servers": self.cluster.bootstrap_servers,
                "enable.idempotence": True,
                "linger.ms": 1,
                "log_level": 0,
                **settings,
            }
        )

    def delete_records(self, partition: int, before: int) -> None:
        """Move the beginning of a partition's log, as retention does."""
        at = TopicPartition(self.topic, partition, before)
        assert self.admin.delete_records([at])[at].result(30).low_watermark == before

    def delete_topic(self) -> None:
        """Delete the topic, and return when it is gone."""
        self.admin.delete_topics([self.topic])[self.topic].result(30)
        eventually(lambda: self.topic not in self.admin.list_topics(timeout=5).topics)

    def commit(self, offsets: dict[int, int]) -> None:
        """Commit for the group, which has no member."""
        consumer = Consumer(
            {"bootstrap.servers": self.cluster.bootstrap_servers, "group.id": self.group, "log_level": 0}
        )
        try:
            positions = [TopicPartition(self.topic, p, offset) for p, offset in offsets.items()]
            committed = consumer.commit(offsets=positions, asynchronous=False)
            assert all(p.error is None for p in committed)
        finally:
            consumer.close()

    def forward(self, values: Sequence[bytes], **env: str) -> None:
        """Have a bridge forward and commit these, and end."""
        self.produce(values)
        bridge = self.start(**env)
        eventually(lambda: self.tap.values() >= {*values})
        assert terminate(bridge)[0] == 0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    """Give a broker for all tests; a test may kill it, and has to bring it back."""
    made = RealCluster(
        tmp_path_factory.mktemp("kafka"), settings={"group.consumer.session.timeout.ms": "3000"}
    )
    try:
        yield made
    finally:
        made.stop()


_numbers = itertools.count()


@contextlib.contextmanager
def _world(cluster: RealCluster, server: Pubsub, folder: Path, protocol: str) -> Iterator[RealWorld]:
    world = RealWorld(cluster, server, folder, f"real-{next(_numbers)}", protocol)
    try:
        yield world
    finally:
        world.end()


@pytest.fixture
def protocol() -> str:
    """Give the group's protocol of a test that does not say which."""
    return "eager"


@pytest.fixture
def world(cluster: RealCluster, shared_pubsub: Pubsub, tmp_path: Path, protocol: str) -> Iterator[RealWorld]:
    """Give Kafka with a topic of four partitions, and the shared Pub/Sub."""
    with _world(cluster, shared_pubsub, tmp_path, protocol) as made:
        yield made


@pytest.fixture
def fragile(cluster: RealCluster, own_pubsub: Pubsub, tmp_path: Path, protocol: str) -> Iterator[RealWorld]:
    """Give the same, and a Pub/Sub of the test's own."""
    with _world(cluster, own_pubsub, tmp_path, protocol) as made:
        yield made


@contextlib.contextmanager
def stopped(bridge: Process) -> Iterator[None]:
    """Let a bridge notice nothing of what happens meanwhile."""
    bridge.send(signal.SIGSTOP)
    try:
        yield
    finally:
        bridge.send(signal.SIGCONT)


@contextlib.contextmanager
def load(world: RealWorld) -> Iterator[list[bytes]]:
    """Produce without a pause to all partitions in turn, until the end of `with`; give what was sent."""
    sent: list[bytes] = []
    producer = world.producer()
    ending = threading.Event()

    def produce() -> None:
        while not ending.wait(PAUSE_S):
            value = b"%d" % len(sent)
            producer.produce(world.topic, value, partition=len(sent) % PARTITIONS)
            producer.poll(0)
            sent.append(value)

    thread = threading.Thread(target=produce)
    thread.start()
    try:
        yield sent
    finally:
        ending.set()
        thread.join()
        assert producer.flush(30) == 0


def partitions_of(bridge: Process) -> set[str]:
    """Return the partitions that a bridge has now, as its log says."""
    having: set[str] = set()
    for line in lines(bridge):
        named = line.get("partitions")
        if not isinstance(named, list):
            continue
        if line["message"] == "assigned partitions":
            having |= {*named}
        elif line["message"] in ("revoked partitions", "lost partitions"):
            having -= {*named}
    return having


def gaps(bridge: Process) -> list[dict[str, object]]:
    """Return the gaps that a bridge has logged."""
    return [{**line} for line in lines(bridge) if str(line["message"]).startswith("gap: ")]


def duplicates(records: Sequence[Record]) -> dict[tuple[int, int], int]:
    """Return the positions that arrived more than once."""
    counts = Counter((record.partition, record.offset) for record in records)
    return {at: count for at, count in counts.items() if count > 1}


def numbered(name: str, count: int) -> list[bytes]:
    """Return values that differ from all others."""
    return [f"{name} {number}".encode() for number in range(count)]


def test_gap_stops_the_bridge(world: RealWorld) -> None:
    """Records deleted behind the commit end the bridge with 1, naming topic, partition and exact gap."""
    world.forward(numbered("before", 40))
    world.produce(numbered("after", 40))
    world.delete_records(1, 15)
    bridge = world.start()
    assert bridge.wait(20) == 1
    (gap,) = gaps(bridge)
    expected = {"kafka_topic": world.topic, "kafka_partition": 1, "committed": 10, "log_start": 15}
    assert gap | expected | {"log_end": 20, "missing": 5, "severity": "ERROR"} == gap
    assert says(bridge, f"stopped: {world.topic}/1: the committed offset 10 is out of range")
    assert world.committed()[1] == 10


@every_protocol
def test_gap_is_passed_where_it_should_be(world: RealWorld) -> None:
    """With `resume` the exact gap is logged and counted; all that is still there arrives, nothing twice."""
    before, after, later = numbered("before", 40), numbered("after", 40), numbered("later", 8)
    world.forward(before)
    world.produce(after)
    world.delete_records(1, 15)
    world.delete_records(3, 11)
    bridge = world.start(BRIDGE_ON_OUT_OF_RANGE="resume")
    gone = {*after[1::4][:5], after[3]}
    eventually(lambda: world.tap.values() >= {*before, *after} - gone)
    world.produce(later)
    eventually(lambda: world.tap.values() >= {*later})
    assert world.tap.values() == {*before, *after, *later} - gone
    assert {(g["kafka_partition"], g["committed"], g["missing"]) for g in gaps(bridge)} == {
        (1, 10, 5),
        (3, 10, 1),
    }
    counted = metrics(bridge)
    labels = f'topic="{world.topic}"'
    assert counted[f'bridge_gap_offsets_total{{partition="1",{labels}}}'] == 5
    assert counted[f'bridge_gap_offsets_total{{partition="3",{labels}}}'] == 1
    assert terminate(bridge)[0] == 0
    assert world.committed() == dict.fromkeys(range(PARTITIONS), 22)


def test_gap_that_opens_in_an_outage_is_exact(fragile: RealWorld) -> None:
    """What retention takes while the bridge holds is counted from what it has forwarded, held records too."""
    before, later = numbered("before", 40), numbered("later", 40)
    fragile.produce(before)
    bridge = fragile.start(BRIDGE_ON_OUT_OF_RANGE="resume")
    eventually(lambda: fragile.tap.values() >= {*before})
    fragile.pubsub.stop()
    fragile.produce([b"held"], partition=1)
    eventually(lambda: says(bridge, "holding"))
    fragile.produce(later)
    fragile.delete_records(1, 16)
    # The stand-in forgets its topics; a message must not arrive between a topic and its subscription.
    with stopped(bridge):
        fragile.pubsub.start()
        tap = fragile.pubsub.tap(fragile.topic)
        fragile.pubsub.tap(f"{fragile.topic}-dead-letter")
    wanted = {b"held", *later} - {*later[1::4][:5]}
    eventually(lambda: tap.values() >= wanted)
    assert tap.values() == wanted
    (gap,) = gaps(bridge)
    assert (gap["kafka_partition"], gap["committed"], gap["log_start"], gap["missing"]) == (1, 11, 16, 5)
    assert terminate(bridge)[0] == 0
    assert fragile.committed() == {0: 20, 1: 21, 2: 20, 3: 20}


@every_protocol
def test_truncated_log_is_read_from_its_beginning(world: RealWorld) -> None:
    """A commit past the end of a log, as of a topic made anew, is said; then all of the log is forwarded."""
    world.forward(numbered("before", 40))
    world.delete_topic()
    world.real.create_topic(world.topic, partitions=PARTITIONS)
    world.commit(dict.fromkeys(range(PARTITIONS), 10))  # Kafka deletes them with the topic
    producer = world.producer()
    anew = numbered("anew", 12)
    for number, value in enumerate(anew):
        producer.produce(world.topic, value, partition=number % PARTITIONS)
    assert producer.flush(20) == 0
    bridge = world.start(BRIDGE_ON_OUT_OF_RANGE="resume")
    eventually(lambda: world.tap.values() >= {*anew})
    found = {(g["kafka_partition"], g["committed"], g["log_end"], g["missing"]) for g in gaps(bridge)}
    assert found == {(n, 10, 3, 0) for n in range(PARTITIONS)}
    assert terminate(bridge)[0] == 0
    assert world.committed() == dict.fromkeys(range(PARTITIONS), 3)


@pytest.mark.parametrize("noticed", [False, True])
@pytest.mark.parametrize("protocol", ["eager", "consumer"])
def test_topic_made_anew_while_it_is_read(world: RealWorld, noticed: bool) -> None:  # noqa: FBT001
    """A topic made anew under a running bridge is forwarded whole, also by a group of `latest`."""
    bridge = world.start(BRIDGE_START="latest", BRIDGE_ON_OUT_OF_RANGE="resume")
    eventually(lambda: says(bridge, "start positions committed"))
    before, anew = numbered("before", 40), numbered("anew", 12)
    world.produce(before)
    eventually(lambda: world.tap.values() == {*before})
    world.delete_topic()
    if noticed:
        eventually(lambda: not partitions_of(bridge))
        bridge.send(signal.SIGSTOP)  # until the new one has records
    world.real.create_topic(world.topic, partitions=PARTITIONS)
    producer = world.producer()
    for number, value in enumerate(anew):
        producer.produce(world.topic, value, partition=number % PARTITIONS)
    assert producer.flush(20) == 0
    bridge.send(signal.SIGCONT)
    eventually(lambda: world.tap.values() >= {*anew})
    assert bridge.exit_code() is None


@every_protocol
def test_new_latest_group_of_two_starts_at_the_end(world: RealWorld) -> None:
    """Positions committed within the assignment hold: two members that start a group skip what was there."""
    world.produce(numbered("old", 40))
    bridges = [world.start(BRIDGE_START="latest") for _ in range(2)]
    eventually(lambda: [len(partitions_of(bridge)) for bridge in bridges] == [PARTITIONS / 2] * 2)
    assert world.committed() == dict.fromkeys(range(PARTITIONS), 10)
    new = numbered("new", 40)
    world.produce(new)
    eventually(lambda: world.tap.values() >= {*new})
    assert [terminate(bridge)[0] for bridge in bridges] == [0, 0]
    assert world.committed() == dict.fromkeys(range(PARTITIONS), 20)
    assert world.tap.values() == {*new}


@every_protocol
def test_members_that_come_and_go_repeat_nothing(world: RealWorld) -> None:
    """Under load, members join and leave by SIGTERM: every record arrives, and none twice."""
    with load(world) as sent:
        first = world.start()
        eventually(lambda: len(partitions_of(first)) == PARTITIONS)
        second = world.start()
        eventually(lambda: len(partitions_of(second)) == 2)
        third = world.start()
        eventually(lambda: partitions_of(third))
        eventually(lambda: len(partitions_of(first)) < PARTITIONS)
        assert terminate(first)[0] == 0
        eventually(lambda: len(partitions_of(second) | partitions_of(third)) == PARTITIONS)
        assert terminate(third)[0] == 0
        eventually(lambda: len(partitions_of(second)) == PARTITIONS)
    eventually(lambda: world.tap.values() >= {*sent})
    assert terminate(second)[0] == 0
    assert duplicates(world.tap.records()) == {}
    assert sum(world.committed().values()) == len(sent)


@every_protocol
def test_members_that_stop_together_repeat_nothing(world: RealWorld) -> None:
    """Under load, members stop one upon the other, as when all are replaced: none leaves a repeat."""
    with load(world) as sent:
        bridges = [world.start() for _ in range(PARTITIONS)]
        eventually(lambda: [len(partitions_of(bridge)) for bridge in bridges] == [1] * PARTITIONS)
        for bridge in bridges:
            bridge.send(signal.SIGTERM)
            time.sleep(0.2)  # while the group settles without it, the next one goes
        assert [bridge.wait(STOP_S) for bridge in bridges] == [0] * PARTITIONS
        last = world.start()
    eventually(lambda: world.tap.values() >= {*sent})
    assert terminate(last)[0] == 0
    assert duplicates(world.tap.records()) == {}


@every_protocol
def test_killed_member_loses_nothing(world: RealWorld) -> None:
    """Under load, the partitions of a member that was killed go to the others, and every record arrives."""
    with load(world) as sent:
        bridges = [world.start() for _ in range(3)]
        eventually(lambda: all(partitions_of(bridge) for bridge in bridges))
        bridges[0].send(signal.SIGKILL)
        others = bridges[1:]
        eventually(lambda: len(set[str]().union(*map(partitions_of, others))) == PARTITIONS)
    eventually(lambda: world.tap.values() >= {*sent})
    assert [terminate(bridge)[0] for bridge in others] == [0, 0]
    assert sum(world.committed().values()) == len(sent)


@pytest.mark.parametrize("protocol", ["eager", "consumer"])
def test_new_partitions_lose_nothing(world: RealWorld) -> None:
    """What is written to a new partition before a `latest` bridge noticed it is forwarded."""
    bridge = world.start(BRIDGE_START="latest")
    eventually(lambda: says(bridge, "start positions committed"))
    new = numbered("new", 20)
    with stopped(bridge):
        world.admin.create_partitions([NewPartitions(world.topic, 6)])[world.topic].result(30)
        producer = world.producer()
        eventually(
            lambda: len(producer.list_topics(world.topic, timeout=5).topics[world.topic].partitions) == 6
        )
        for number, value in enumerate(new):
            producer.produce(world.topic, value, partition=4 + number % 2)
        assert producer.flush(20) == 0
    eventually(lambda: world.tap.values() == {*new}, 90)
    assert duplicates(world.tap.records()) == {}


@pytest.mark.parametrize("protocol", ["eager", "consumer"])
def test_new_topics_of_a_pattern_lose_nothing(world: RealWorld) -> None:
    """What is written to a new topic of a pattern before a `latest` bridge noticed it is forwarded."""
    bridge = world.start(BRIDGE_START="latest", KAFKA_TOPICS=f"^{world.topic}(-.*)?$")
    eventually(lambda: says(bridge, "start positions committed"))
    new = numbered("new", 20)
    late = f"{world.topic}-late"
    with stopped(bridge):
        world.real.create_topic(late, partitions=2)
        producer = world.producer()
        for number, value in enumerate(new):
            producer.produce(late, value, partition=number % 2)
        assert producer.flush(20) == 0
    eventually(lambda: world.tap.values() == {*new})
    assert duplicates(world.tap.records()) == {}


@pytest.mark.parametrize("protocol", ["eager", "consumer"])
def test_only_committed_transactions_arrive(world: RealWorld) -> None:
    """Of transactions, the committed records arrive in order; commit and lag pass the rest."""
    producer = world.producer(**{"transactional.id": world.topic})
    producer.init_transactions()
    bridge = world.start()
    expected = []
    for turn in range(6):
        values = numbered(f"transaction {turn}", 10)
        producer.begin_transaction()
        for value in values:
            producer.produce(world.topic, value, partition=0)
        if turn % 2:
            assert producer.flush(20) == 0  # an abort would otherwise forget them
            producer.abort_transaction()
        else:
            producer.commit_transaction()
            expected += values
    end = 6 * (10 + 1)  # each ends with a control record
    eventually(lambda: len(world.tap.pull()) >= len(expected))
    assert [record.value for record in world.tap.records()] == expected
    eventually(lambda: world.committed().get(0) == end)
    lag = f'bridge_lag_records{{partition="0",topic="{world.topic}"}}'
    eventually(lambda: metrics(bridge).get(lag) == 0)
    assert terminate(bridge)[0] == 0
    # Retention takes it all: there is no gap, though the last record that was forwarded is long gone.
    world.delete_records(0, end)
    again = world.start()
    producer.begin_transaction()
    producer.produce(world.topic, b"after", partition=0)
    producer.commit_transaction()
    eventually(lambda: b"after" in world.tap.values())
    assert not gaps(again)


@pytest.mark.parametrize("protocol", ["eager", "consumer"])
def test_broker_that_dies_and_comes_back(world: RealWorld) -> None:
    """The same bridge goes on when the broker is killed and started again, and nothing is lost."""
    with load(world) as sent:
        bridge = world.start()
        eventually(lambda: world.tap.pull(once=True))
        world.real.brokers[0].send(signal.SIGKILL)
        world.real.restart(0)
        before = len(sent)
        eventually(lambda: len(sent) > before + 100)
    eventually(lambda: world.tap.values() >= {*sent}, 60)
    assert bridge.exit_code() is None
    assert terminate(bridge)[0] == 0
    assert sum(world.committed().values()) >= len(sent)


def test_sigterm_while_the_broker_hangs(world: RealWorld) -> None:
    """A broker that answers nothing any more cannot keep the bridge: SIGTERM ends it before SIGKILL comes."""
    world.produce(numbered("before", 8))
    bridge = world.start()
    eventually(lambda: len(world.tap.values()) == 8)
    world.real.brokers[0].send(signal.SIGSTOP)
    try:
        _, seconds = terminate(bridge)
    finally:
        world.real.brokers[0].send(signal.SIGCONT)
    assert seconds < STOP_S
    # Whether or not the last commit got through, nothing is missing.
    world.produce(numbered("after", 8))
    world.start()
    eventually(lambda: world.tap.values() == {*numbered("before", 8), *numbered("after", 8)})
