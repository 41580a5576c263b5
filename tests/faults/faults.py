"""The faults of bridges and of Kafka: each gets an arena and how often, and returns with the faults off.

How long something waits is itself part of a fault here, and random where it says so; what follows from it is
awaited.
"""

import signal
import time
from itertools import cycle

from confluent_kafka import KafkaError, Producer

from local.kafka import MockCluster
from local.processes import Process
from local.real_kafka import RealCluster
from local.standin.faults import Fault
from tests.faults.arena import Arena
from tests.faults.mock_errors import OFFSET_COMMIT, answer_with
from tests.integration.waiting import eventually
from tests.integration.worlds import PARTITIONS, lines, says

# Longer than the time between two commits: what is stored by then is committed.
PAST_A_COMMIT_S = 2.5
COMMIT_ERRORS = (
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
)


def kill(arena: Arena, times: int) -> None:
    """SIGKILL at a random moment; every fifth while Pub/Sub hangs and a commit has passed."""
    bridge = arena.start()
    with arena.steady_load():
        for number in range(times):
            if number % 5 == 0:
                arena.break_pubsub(Fault("hang"))
                time.sleep(PAST_A_COMMIT_S)
            else:
                time.sleep(arena.random.uniform(0, 1))
            arena.kill(bridge)
            arena.injected += 1
            arena.mend_pubsub()
            bridge = arena.start()
            arena.await_recovery()


def terminate(arena: Arena, times: int) -> None:
    """SIGTERM under load, and a new bridge."""
    bridge = arena.start()
    with arena.steady_load(2_000):
        for _ in range(times):
            time.sleep(arena.random.uniform(0, 1))
            arena.terminate(bridge)
            arena.injected += 1
            bridge = arena.start()
            arena.await_recovery()


def members(arena: Arena, times: int) -> None:
    """Bridges join the group and leave it, one to three of them at a time."""
    running = [arena.start()]
    with arena.steady_load():
        for _ in range(times):
            joins = len(running) == 1 or (len(running) < 3 and arena.random.random() < 0.5)
            if joins:
                joined = arena.start()
                running.append(joined)
                _await_member(joined)
            else:
                arena.terminate(running.pop(arena.random.randrange(len(running))))
            arena.injected += 1
            arena.await_recovery()


def _await_member(bridge: Process) -> None:
    eventually(lambda: says(bridge, "assigned partitions"), 60)


def freeze(arena: Arena, times: int) -> None:
    """SIGSTOP past the session and max.poll.interval, records held or in flight; alone, beside another."""
    bridge, other = arena.start(), None
    with arena.steady_load():
        for number in range(times):
            if number % 2:
                other = arena.start()
                _await_member(other)
                arena.await_recovery()
                arena.recoveries.pop()
            holds = number % 4 in (0, 3)
            held, lost = says(bridge, "holding"), says(bridge, "lost partitions")
            arena.break_pubsub(Fault("error" if holds else "hang"))
            if holds:
                eventually(lambda before=held: says(bridge, "holding") > before)  # type: ignore[misc]
            else:
                time.sleep(1)  # the cycle's requests are out, and are served when the fault ends
            bridge.send(signal.SIGSTOP)
            arena.injected += 1
            if not holds:
                arena.mend_pubsub()
            time.sleep(8)  # both are 6 s here
            bridge.send(signal.SIGCONT)
            if holds:  # what it holds is another's, or its own anew, before Pub/Sub takes it
                eventually(lambda before=lost: says(bridge, "lost partitions") > before)  # type: ignore[misc]
                arena.mend_pubsub()
            arena.await_recovery()
            if other is not None:
                arena.terminate(other)
                other = None
                arena.await_recovery()
                arena.recoveries.pop()


def brokers(arena: Arena, times: int) -> None:
    """A broker of three is killed and started again, or stopped and continued, each in turn."""
    kafka = arena.kafka
    assert isinstance(kafka, RealCluster)
    arena.start()
    with arena.steady_load():
        for number in range(times):
            index = number % len(kafka.brokers)
            broker = kafka.brokers[index]
            paused = number % 2 == 1
            broker.send(signal.SIGSTOP if paused else signal.SIGKILL)
            arena.injected += 1
            time.sleep(arena.random.uniform(2, 8))
            if paused:
                broker.send(signal.SIGCONT)
            else:
                kafka.restart(index)
            arena.await_recovery()


def commit_errors(arena: Arena, times: int) -> None:
    """Commits are answered with errors, and the bridge is killed while they are."""
    kafka = arena.kafka
    assert isinstance(kafka, MockCluster)
    bridge = arena.start()
    errors = cycle(COMMIT_ERRORS)
    with arena.steady_load(500):
        for number in range(times):
            error = next(errors)
            answer_with(kafka.producer, OFFSET_COMMIT, [error] * 3)
            arena.injected += 1
            time.sleep(PAST_A_COMMIT_S)
            if number % 3 == 2:
                arena.kill(bridge)
                bridge = arena.start()
            arena.await_recovery()


def retention(arena: Arena, times: int) -> None:
    """The log begins after the committed offset; the bridge must report exactly what is gone."""
    bridge = arena.start(BRIDGE_ON_OUT_OF_RANGE="resume")
    arena.produce(400)
    arena.flush()
    eventually(lambda: arena.ledger.missing() == 0, 60)
    for number in range(times):
        arena.terminate(bridge)
        committed = arena.committed()
        arena.produce(800)
        arena.flush()
        gone = {n: committed[n] + 50 + n for n in range(PARTITIONS) if n != number % PARTITIONS}
        arena.delete_records(gone)
        arena.injected += 1
        began = time.monotonic()
        bridge = arena.start(BRIDGE_ON_OUT_OF_RANGE="resume")
        found = _await_gaps(bridge, set(gone))
        for partition, offset in gone.items():
            reported = range(*found[partition])
            assert reported == range(committed[partition], offset), f"{partition}: reported {reported}"
            arena.ledger.excuse(arena.topic, partition, reported)
        eventually(lambda: arena.ledger.missing() == 0, 60)
        arena.recoveries.append(time.monotonic() - began)


def _await_gaps(bridge: Process, partitions: set[int]) -> dict[int, tuple[int, int]]:
    def gaps() -> dict[int, tuple[int, int]]:
        return {
            int(str(line["kafka_partition"])): (int(str(line["committed"])), int(str(line["log_start"])))
            for line in lines(bridge)
            if str(line["message"]).startswith("gap: ")
        }

    eventually(lambda: partitions <= gaps().keys(), 60)
    return gaps()


def aborted(arena: Arena, times: int) -> None:
    """So many records in transactions of 100 at most, three of ten aborted."""
    arena.start()
    producer = Producer(
        {
            "bootstrap.servers": arena.kafka.bootstrap_servers,
            "transactional.id": arena.name,
            "log_level": 0,
        }
    )
    producer.init_transactions(60)
    for number in range(max(10, times // 100)):
        abort = number % 10 in (1, 4, 8)
        producer.begin_transaction()
        arena.produce(times // max(10, times // 100), producer=producer, expected=not abort)
        producer.flush(60)
        if abort:
            producer.abort_transaction(60)
            arena.injected += times // max(10, times // 100)
        else:
            producer.commit_transaction(60)
