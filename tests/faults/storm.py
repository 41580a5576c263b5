"""All at once: members join, leave and are killed while Pub/Sub fails and the log's beginning moves on."""

import time

from local.processes import Process
from local.standin.faults import Fault
from tests.faults.arena import Arena
from tests.integration.waiting import eventually
from tests.integration.worlds import PARTITIONS, lines, says

MEMBERS = 3


def storm(arena: Arena, times: int) -> None:
    """So many events, each one at random, to a group whose three members started at once."""
    running = [arena.start(BRIDGE_ON_OUT_OF_RANGE="resume") for _ in range(MEMBERS)]
    low = dict.fromkeys(range(PARTITIONS), 0)
    with arena.load():
        for bridge in running:
            eventually(lambda bridge=bridge: says(bridge, "assigned partitions"), 60)  # type: ignore[misc]
        arena.await_recovery()
        arena.recoveries.clear()
        for number in range(times):
            arena.break_pubsub(Fault("error", share=0.3, seed=number))
            happens = arena.random.choice((_leave, _kill, _move_the_beginning))
            happens(arena, running, low)
            arena.injected += 1
            while len(running) < MEMBERS and arena.random.random() < 0.7:
                running.append(arena.start(BRIDGE_ON_OUT_OF_RANGE="resume"))
            time.sleep(arena.random.uniform(0, 2))
            arena.mend_pubsub()
            running = running or [arena.start(BRIDGE_ON_OUT_OF_RANGE="resume")]
            arena.await_recovery()
            ended = [str(bridge.log) for bridge in running if bridge.exit_code() is not None]
            assert not ended, f"a bridge ended by itself: {ended}"
        _excuse(arena, low)


def _leave(arena: Arena, running: list[Process], _: dict[int, int]) -> None:
    arena.terminate(running.pop(arena.random.randrange(len(running))))


def _kill(arena: Arena, running: list[Process], _: dict[int, int]) -> None:
    arena.kill(running.pop(arena.random.randrange(len(running))))


def _move_the_beginning(arena: Arena, _: list[Process], low: dict[int, int]) -> None:
    """Delete most of what gathers in some partitions while Pub/Sub takes nothing, as retention does."""
    arena.break_pubsub(Fault("error"))
    time.sleep(arena.random.uniform(1, 3))
    moved = arena.random.sample(range(PARTITIONS), 2)
    low.update({n: max(low[n], arena.high(n) - arena.random.randint(10, 100)) for n in moved})
    arena.delete_records({n: low[n] for n in moved})


def _excuse(arena: Arena, low: dict[int, int]) -> None:
    """Take what the bridges reported as gone from what must have arrived; it has to be gone."""
    for bridge in arena.bridges:
        for line in lines(bridge):
            if not str(line["message"]).startswith("gap: "):
                continue
            partition = int(str(line["kafka_partition"]))
            reported = range(int(str(line["committed"])), int(str(line["log_start"])))
            assert reported.stop <= low[partition], f"{reported} of {partition} were still there"
            arena.ledger.excuse(arena.topic, partition, reported)
