"""The faults of `make faults`, a few times each: nothing is lost. And they find a bridge that loses."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.faults import PLANS
from tests.faults.mutants import MUTANTS
from tests.faults.run import Clusters, inject


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clusters]:
    """Give Kafka as each fault needs it, for all tests."""
    made = Clusters(tmp_path_factory.mktemp("kafka"))
    try:
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize("name", PLANS)
def test_nothing_is_lost(name: str, clusters: Clusters, tmp_path: Path) -> None:
    """Whatever happens, each record produced is in Pub/Sub or a dead letter, byte for byte."""
    plan = PLANS[name]
    outcome = inject(name, plan, plan.short, clusters, tmp_path)
    assert outcome.injected > 0
    assert outcome.lost == 0
    if plan.no_duplicates:
        assert outcome.duplicates == 0


# The fault that finds each mistake.
CAUGHT_BY = {
    "auto-store": "kill-9",
    "store-before-ack": "kill-9",
    "commit-in-on-lost": "sigstop-past-max-poll",
    "skip-after-failure": "pubsub-errors-100%",
    "headers-as-keywords": "aborted-transactions",
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_bridge_that_loses_is_caught(mutant: str, clusters: Clusters, tmp_path: Path) -> None:
    """With a mistake of others put back, records are missing at the end."""
    name = CAUGHT_BY[mutant]
    plan = PLANS[name]
    command = [sys.executable, "-m", "tests.faults.mutants", mutant, "--env", "faults"]
    outcome = inject(f"{mutant}-{name}", plan, plan.short, clusters, tmp_path, command=command, stalled_s=10)
    assert outcome.lost > 0
