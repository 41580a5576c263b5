"""The faults of Pub/Sub. As those of tests/faults/faults.py, they return with the faults off."""

import time
from collections.abc import Callable
from itertools import cycle

from local.standin.faults import Fault
from tests.faults.arena import Arena
from tests.integration.waiting import eventually
from tests.integration.worlds import says

# https://cloud.google.com/pubsub/docs/reference/error-codes, and what gRPC itself makes of lost connections
RETRYABLE = (
    "ABORTED",
    "CANCELLED",
    "DEADLINE_EXCEEDED",
    "INTERNAL",
    "RESOURCE_EXHAUSTED",
    "UNAVAILABLE",
    "UNKNOWN",
)
POISON = b"poison: "


def answers(kind: str, share: float) -> Callable[[Arena, int], None]:
    """Return the fault of Pub/Sub that hits a share of the requests; errors come with each code in turn."""

    def pubsub_fails(arena: Arena, times: int) -> None:
        arena.start()
        codes = cycle(RETRYABLE)
        with arena.steady_load():
            for number in range(times):
                code = next(codes)
                if kind == "hang":
                    fault = Fault("hang", share=share, seed=number)
                elif kind == "lose_answer":
                    fault = Fault("lose_answer", share=share, seed=number)
                else:
                    fault = Fault("error", code=code, share=share, seed=number)
                arena.break_pubsub(fault)
                time.sleep(arena.random.uniform(2, 5))
                hit = arena.mend_pubsub()
                assert hit or share < 1, f"no request met {fault}"
                arena.injected += hit
                arena.await_recovery()

    return pubsub_fails


def ordered(arena: Arena, times: int) -> None:
    """With ordering by partition, requests fail and a bridge is killed: no record overtakes another."""
    bridge = arena.start(BRIDGE_ORDERING="partition")
    with arena.steady_load(500):
        for number in range(times):
            arena.break_pubsub(Fault("error", share=0.3, seed=number))
            time.sleep(arena.random.uniform(1, 3))
            if number % 3 == 2:
                arena.kill(bridge)
                bridge = arena.start(BRIDGE_ORDERING="partition")
            arena.injected += arena.mend_pubsub()
            arena.await_recovery()
    assert arena.ledger.overtaken == 0, f"{arena.ledger.overtaken} records came after later ones"


def resets(arena: Arena, times: int) -> None:
    """Connections to Pub/Sub are reset at random moments, and every third time refused for a while."""
    assert arena.proxy is not None
    arena.start()
    with arena.steady_load():
        for number in range(times):
            if number % 3 == 0:
                arena.proxy.refuse()
            arena.proxy.reset()
            arena.injected += 1
            time.sleep(arena.random.uniform(0, 2))
            arena.proxy.restore()
            arena.await_recovery()


def dead_connections(arena: Arena, times: int) -> None:
    """Connections to Pub/Sub carry nothing more and do not end, as where a firewall forgets them."""
    assert arena.proxy is not None
    arena.start()
    with arena.steady_load():
        for _ in range(times):
            time.sleep(arena.random.uniform(0, 2))
            arena.proxy.forget()
            arena.injected += 1
            arena.await_recovery()


def poison(arena: Arena, times: int) -> None:
    """So many records that Pub/Sub refuses, each among a hundred good ones."""
    arena.break_pubsub(Fault("refuse", marker=POISON))
    for _ in range(times):
        arena.produce(arena.random.randint(50, 150))
        arena.produce(1, marker=POISON)
        arena.injected += 1
    arena.flush()
    bridge = arena.start()
    eventually(lambda: arena.ledger.missing() == 0, 120)
    assert says(bridge, "dead letter: refused_by_pubsub") == times
