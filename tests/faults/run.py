"""Running a fault: the Kafka it needs, its arena, and its outcome."""

import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path

from local.kafka import Cluster, MockCluster
from local.real_kafka import RealCluster
from tests.faults.arena import BRIDGE, STALLED_S, Arena, Outcome
from tests.faults.plans import RESUMES_WITHIN_S, Plan


class Clusters:
    """Kafka as the faults need it, each started when first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._ending = contextlib.ExitStack()
        self._made: dict[str, Cluster] = {}

    def get(self, what: str) -> Cluster:
        """Return the one of this name."""
        if what == "mock cluster":
            return MockCluster([])
        with self._lock:
            if what not in self._made:
                made = RealCluster(
                    self._folder / what.replace(" ", "-"), brokers=3 if what == "three brokers" else 1
                )
                self._ending.callback(made.stop)
                self._made[what] = made
            return self._made[what]

    def stop(self) -> None:
        """End them."""
        self._ending.close()


def inject(
    name: str,
    plan: Plan,
    times: int,
    clusters: Clusters,
    folder: Path,
    *,
    command: Sequence[str] = BRIDGE,
    stalled_s: float = STALLED_S,
    seed: int = 0,
) -> Outcome:
    """Inject a fault so many times, and return what it did.

    Raises:
        AssertionError: the bridge did not do what it must, beside losing nothing.
    """
    arena = Arena(
        clusters.get(plan.on),
        folder,
        name.replace("%", ""),
        command=command,
        properties=plan.properties,
        proxied=plan.proxied,
        stalled_s=stalled_s,
        seed=seed,
    )
    with arena:
        plan.fault(arena, times)
        verdict = arena.settle()
    assert verdict.produced, "nothing was produced"
    assert verdict.lost < verdict.produced, "nothing arrived: was there a bridge?"
    assert verdict.unexpected == 0, f"{verdict.unexpected} records came that nobody committed to Kafka"
    return Outcome(
        name, arena.injected, verdict.lost, verdict.duplicates, round(max(arena.recoveries, default=0.0), 1)
    )


def broken_promises(plan: Plan, outcome: Outcome) -> list[str]:
    """Return what a fault's outcome has that its plan promises not to have."""
    broken = []
    if outcome.lost:
        broken.append(f"{outcome.lost} records are lost")
    if plan.no_duplicates and outcome.duplicates:
        broken.append(f"{outcome.duplicates} records came twice")
    if plan.resumes and outcome.recovery_s > RESUMES_WITHIN_S:
        broken.append(f"it took {outcome.recovery_s} s to go on, not {RESUMES_WITHIN_S:.0f}")
    return broken
