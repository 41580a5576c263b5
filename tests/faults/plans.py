"""How often each fault happens, and what it needs and promises."""

from collections.abc import Callable, Mapping

import msgspec

from tests.faults.arena import Arena
from tests.faults.faults import (
    aborted,
    brokers,
    commit_errors,
    freeze,
    kill,
    members,
    retention,
    terminate,
)
from tests.faults.outage import outage
from tests.faults.pubsub import RETRYABLE, answers, dead_connections, ordered, poison, resets
from tests.faults.storm import storm

# From the end of what Pub/Sub did until each partition's records are forwarded again.
RESUMES_WITHIN_S = 10.0


class Plan(msgspec.Struct, frozen=True):
    """A fault, how often it happens in `make faults` and in the tests, what it needs, and what is promised.

    After one that `resumes`, the bridge, which was there all the while, goes on within RESUMES_WITHIN_S.
    """

    fault: Callable[[Arena, int], None]
    times: int
    short: int
    on: str = "one broker"
    properties: Mapping[str, str] = {}
    proxied: bool = False
    no_duplicates: bool = False
    resumes: bool = False


COOPERATIVE = {"partition.assignment.strategy": "cooperative-sticky"}
# The broker says how long a member's session is, and the client must not.
KIP_848 = {"group.protocol": "consumer", "session.timeout.ms": "", "heartbeat.interval.ms": ""}
PATIENT = {"session.timeout.ms": "6000", "max.poll.interval.ms": "6000"}

PLANS: dict[str, Plan] = {
    "outage-in-seconds": Plan(outage, 600, 15, proxied=True, resumes=True),
    "kill-9": Plan(kill, 50, 2),
    "sigterm": Plan(terminate, 20, 2, no_duplicates=True),
    "members-eager": Plan(members, 18, 2),
    "members-cooperative": Plan(members, 16, 2, properties=COOPERATIVE),
    "members-kip-848": Plan(members, 16, 2, properties=KIP_848),
    "sigstop-past-max-poll": Plan(freeze, 5, 2, properties=PATIENT),
    "broker-killed-or-paused": Plan(brokers, 10, 2, on="three brokers"),
    "commit-errors": Plan(commit_errors, 14, 3, on="mock cluster"),
    "retention-past-commit": Plan(retention, 5, 1),
    "aborted-transactions": Plan(aborted, 10_000, 1_000, no_duplicates=True),
    "pubsub-errors-10%": Plan(answers("error", 0.1), 14, len(RETRYABLE), resumes=True),
    "pubsub-errors-100%": Plan(answers("error", 1.0), 7, len(RETRYABLE), resumes=True),
    "pubsub-errors-30%-ordered": Plan(ordered, 9, 3),
    "pubsub-hangs-10%": Plan(answers("hang", 0.1), 3, 1, resumes=True),
    "pubsub-hangs-100%": Plan(answers("hang", 1.0), 3, 1, resumes=True),
    "pubsub-loses-answers-10%": Plan(answers("lose_answer", 0.1), 5, 1, resumes=True),
    "pubsub-loses-answers-100%": Plan(answers("lose_answer", 1.0), 3, 1, resumes=True),
    "pubsub-resets": Plan(resets, 20, 3, proxied=True, resumes=True),
    "pubsub-connections-die": Plan(dead_connections, 5, 1, proxied=True),
    "poison": Plan(poison, 100, 10),
    "storm-eager": Plan(storm, 20, 3),
    "storm-cooperative": Plan(storm, 20, 3, properties=COOPERATIVE),
    "storm-kip-848": Plan(storm, 20, 3, properties=KIP_848),
}
