"""Pub/Sub is not there for a while, each way of it last in turn."""

import time
from collections import deque
from collections.abc import Callable, Sequence

from local.processes import Process
from local.standin.faults import Fault
from tests.faults.arena import Arena, memory_mb
from tests.integration.waiting import eventually
from tests.integration.worlds import says

GROWTH_MB = 40.0
SHORT_S = 15.0


def outage(arena: Arena, seconds: int) -> None:
    """Pub/Sub is not there: refused, silent, and answering errors; each comes last once.

    The first outage is of so many seconds, the others are short. The bridge stays a member.
    """
    proxy = arena.proxy
    assert proxy is not None

    def refused() -> None:
        proxy.refuse()
        proxy.reset()
        arena.mend_pubsub()

    def errors() -> None:
        arena.break_pubsub(Fault("error"))
        proxy.restore()

    phases = deque([refused, proxy.blackhole, errors])
    phases.rotate(arena.random.randrange(len(phases)))
    bridge = arena.start()
    with arena.load(200):
        for number in range(len(phases)):
            arena.await_recovery()
            arena.recoveries.pop()  # what the one before left behind
            early = _outage(bridge, list(phases), seconds if number == 0 else min(seconds, SHORT_S))
            proxy.restore()
            arena.mend_pubsub()
            arena.injected += 1
            arena.await_recovery(caught_up=False)
            eventually(lambda ended=number: says(bridge, "Pub/Sub takes records again") > ended)  # type: ignore[misc]
            grown = memory_mb(bridge.pid) - early
            assert bridge.exit_code() is None
            assert says(bridge, "holding") == number + 1, "it says once that it is degraded"
            assert says(bridge, "Pub/Sub takes records again") == number + 1, "it says once that it recovered"
            assert not says(bridge, "revoked"), "it keeps its membership"
            assert not says(bridge, "lost"), "it keeps its membership"
            assert grown < GROWTH_MB, f"it grew by {grown:.0f} MB"
            phases.rotate(1)


def _outage(bridge: Process, phases: Sequence[Callable[[], None]], seconds: float) -> float:
    """Have Pub/Sub fail in these ways, one after the other; returns the bridge's MB after the first."""
    held, early = says(bridge, "holding"), 0.0
    for phase in phases:
        phase()
        if not early:
            eventually(lambda: says(bridge, "holding") > held, 60)
        time.sleep(seconds / len(phases))
        early = early or memory_mb(bridge.pid)
    return early
