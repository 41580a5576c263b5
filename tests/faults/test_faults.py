"""The faults of `make faults`, a few times each: nothing is lost. And they find a bridge that loses."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

import tests.faults.__main__ as command
from tests.faults.arena import Outcome
from tests.faults.mutants import MUTANTS
from tests.faults.plans import PLANS
from tests.faults.run import Clusters, broken_promises, inject

REAL_KAFKA = pytest.mark.needs("java", "maven")


def marked(plans: Mapping[str, str]) -> list[object]:
    """Return the keys as parameters, marked where the plan of that name wants Apache Kafka."""
    return [
        pytest.param(key, marks=() if PLANS[plan].on == "mock cluster" else REAL_KAFKA)
        for key, plan in plans.items()
    ]


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clusters]:
    """Give Kafka as each fault needs it, for all tests."""
    made = Clusters(tmp_path_factory.mktemp("kafka"))
    try:
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize("name", marked({name: name for name in PLANS}))
def test_nothing_is_lost(name: str, clusters: Clusters, tmp_path: Path) -> None:
    """Whatever happens, each record produced is in Pub/Sub or a dead letter, byte for byte."""
    plan = PLANS[name]
    outcome = inject(name, plan, plan.short, clusters, tmp_path)
    assert outcome.injected > 0
    assert broken_promises(plan, outcome) == []


OUTCOMES = {
    "kept": (Outcome("", 1, 0, 0, 10.0), None),
    "lost": (Outcome("", 1, 2, 0, 1.0), "2 records are lost"),
    "duplicates": (Outcome("", 1, 0, 3, 1.0), "3 records came twice"),
    "late": (Outcome("", 1, 0, 0, 10.1), "it took 10.1 s to go on, not 10"),
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_broken_promise_fails_the_command(
    case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`make faults` ends with 1 and says why after a loss, a duplicate or a recovery too late."""
    outcome, said = OUTCOMES[case]
    promising = replace(PLANS["outage-in-seconds"], no_duplicates=True)
    monkeypatch.setitem(PLANS, "outage-in-seconds", promising)
    monkeypatch.setattr(command, "inject", lambda *_, **__: outcome)
    monkeypatch.setattr(sys, "argv", ["faults", "outage-in-seconds"])
    assert command.main() == (1 if said else 0)
    told = [line for line in capsys.readouterr().err.splitlines() if " failed: " in line]
    assert told == ([f"outage-in-seconds failed: {said}"] if said else [])


def test_every_fault_of_pubsub_has_an_end() -> None:
    """Whatever Pub/Sub does to it, a bridge that runs goes on within 10 s of the end.

    Not where it is killed meanwhile, nor where there is no end but the bridge's own, a request's 8 s.
    """
    assert {name for name, plan in PLANS.items() if plan.resumes} == {
        name
        for name in PLANS
        if name.startswith(("outage", "pubsub-")) and not name.endswith(("-ordered", "-die"))
    }


# The fault that finds each mistake.
CAUGHT_BY = {
    "auto-store": "kill-9",
    "store-before-ack": "kill-9",
    "commit-in-on-lost": "sigstop-past-max-poll",
    "skip-after-failure": "pubsub-errors-100%",
    "headers-as-keywords": "aborted-transactions",
}


@pytest.mark.parametrize("mutant", marked({mutant: CAUGHT_BY[mutant] for mutant in MUTANTS}))
def test_a_bridge_that_loses_is_caught(mutant: str, clusters: Clusters, tmp_path: Path) -> None:
    """With a mistake of others put back, records are missing at the end, and others arrive."""
    name = CAUGHT_BY[mutant]
    plan = PLANS[name]
    command = [sys.executable, "-m", "tests.faults.mutants", mutant, "--env", "faults"]
    outcome = inject(f"{mutant}-{name}", plan, plan.short, clusters, tmp_path, command=command, stalled_s=10)
    assert outcome.lost > 0  # and not all, see `inject`: a bridge that never starts is no mutant
