"""`dead-letters replay --from-subscription`, as its operator runs it, against Pub/Sub on this machine."""

import contextlib
import json
import os
import subprocess
import sys

import pytest
from google.api_core.exceptions import DeadlineExceeded
from google.pubsub_v1.types import pubsub

from decoder.streams import ROOT
from envelope import Message, Record, pack, pack_bundle, unpack
from local.pubsub import publisher, subscriber
from tests.integration.waiting import eventually
from tests.integration.worlds import Pubsub, Tap

# What Pub/Sub adds to a message that it forwards: local/standin/message.py.
FORWARDED = {
    "CloudPubSubDeadLetterSourceDeliveryCount": "100",
    "CloudPubSubDeadLetterSourceSubscription": "events-push",
    "CloudPubSubDeadLetterSourceSubscriptionProject": "p",
    "CloudPubSubDeadLetterSourceTopicPublishTime": "2026-11-24T12:00:00.000Z",
}
NOTICE = Message(b"", {"kafka.dead_letter.reason": "too_large", "kafka.topic": "t"})

ACK_DEADLINE_S = 10  # the shortest that Pub/Sub has


class Topics:
    """The events topic and the dead-letter topic of one test."""

    def __init__(self, server: Pubsub, name: str) -> None:
        self._address = server.address
        self.events, self.dead_letters = server.tap(name), server.tap(f"{name}-dead-letter", ACK_DEADLINE_S)

    def put(self, *messages: Message) -> None:
        """Publish to the dead-letter topic."""
        with publisher(self._address) as client:
            for each in messages:
                sent = pubsub.PubsubMessage(data=each.data, attributes=each.attributes)
                client.publish(topic=self.dead_letters.topic, messages=[sent])

    def left(self) -> list[bytes]:
        """Return the data of all that is not acknowledged, where a notice is: each came back once it did."""
        seen: list[bytes] = []
        with subscriber(self._address) as client:

            def notice_came_twice() -> bool:
                request = pubsub.PullRequest(subscription=self.dead_letters.subscription, max_messages=100)
                with contextlib.suppress(DeadlineExceeded):
                    received = client.pull(request=request, timeout=0.6).received_messages
                    seen.extend(each.message.data for each in received)
                return seen.count(NOTICE.data) > 1

            eventually(notice_came_twice)
        return seen

    def replay(self, *options: str, **names: str) -> subprocess.CompletedProcess[str]:
        """Run the command."""
        subscription = names.get("subscription", self.dead_letters.subscription)
        topic = names.get("topic", self.events.topic)
        command = ["dead-letters", "replay", "--from-subscription", subscription, "--topic", topic]
        return subprocess.run(
            [sys.executable, "-m", "operate", *command, "--project", "p", "--dataset", "d", *options],
            cwd=ROOT,
            env={**os.environ, "PUBSUB_EMULATOR_HOST": self._address},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture
def topics(shared_pubsub: Pubsub, request: pytest.FixtureRequest) -> Topics:
    """Topics that no other test has."""
    return Topics(shared_pubsub, request.node.name.replace("_", "-")[:100])


def forwarded(message: Message) -> Message:
    """Return the message as it arrives at the dead-letter topic."""
    return Message(message.data, {**message.attributes, **FORWARDED})


def summary(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Return the last line of a run that went well."""
    assert done.returncode == 0, done.stderr
    counts: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return counts


def unmarked(tap: Tap) -> list[tuple[bytes, dict[str, str]]]:
    """Return what came out of a topic, without the mark that each has."""
    found = []
    for message in tap.pull():
        assert unpack(message).replayed_at is not None
        found.append((message.data, {n: v for n, v in message.attributes.items() if n != "kafka.replayed"}))
    return sorted(found)


def test_whole_messages_go_out_again_and_notices_stay(topics: Topics) -> None:
    """What no row could hold is published as the bridge published it, marked, and is gone after that."""
    large = Record("t", 1, 7, 3, b"\xff", (("a", None), ("a", b"\xff")), b"v" * 6_000_000)
    sent = [
        pack(Record("t", 1, 5, 3, b"key", (("item_type_name", b"n.A"),), b"value"), "prod"),
        pack_bundle([Record("t", 1, 6, 3, None, (), None)] * 2, "prod"),
        pack(large, "prod"),
    ]
    topics.put(*map(forwarded, sent), NOTICE)
    done = topics.replay()
    assert summary(done) == {"found": 4, "published": 3, "rows_already": 0, "not_replayable": 1}
    assert [line.split("\t")[1] for line in done.stdout.splitlines()[:-1]].count("published") == 3
    assert unmarked(topics.events) == sorted((each.data, each.attributes) for each in sent)
    assert set(topics.left()) == {NOTICE.data}


def test_dry_run_changes_nothing(topics: Topics) -> None:
    """It says what would be published, publishes nothing, and everything can be had at once after it."""
    message = forwarded(pack(Record("t", 1, 5, 3, b"key", (), b"value"), "prod"))
    topics.put(message, NOTICE)
    done = topics.replay("--dry-run")
    assert summary(done) == {"found": 2, "published": 0, "rows_already": 0, "not_replayable": 1}
    said = sorted(line.split("\t")[1] for line in done.stdout.splitlines()[:-1])
    assert said == ["a notice: its value is in Kafka", "would be published"]
    assert topics.events.pull() == []
    assert sorted(each.data for each in topics.dead_letters.pull()) == sorted([message.data, b""])
    assert message in topics.dead_letters.messages


def test_empty_subscription_is_no_error(topics: Topics) -> None:
    """Where nothing is, the counts are 0 and so is the status."""
    assert summary(topics.replay()) == {"found": 0, "published": 0, "rows_already": 0, "not_replayable": 0}


def test_what_cannot_be_published_stays(topics: Topics) -> None:
    """A topic that is not there is one line and status 2, and the message can be had at once."""
    message = forwarded(pack(Record("t", 1, 5, 3, b"key", (), b"value"), "prod"))
    topics.put(message)
    nowhere = topics.replay(topic="projects/p/topics/nowhere")
    assert (nowhere.returncode, nowhere.stdout) == (2, "")
    assert "topic projects/p/topics/nowhere is not there" in nowhere.stderr
    lost = topics.replay(subscription="projects/p/subscriptions/nowhere")
    assert (lost.returncode, lost.stdout) == (2, "")
    assert len(lost.stderr.splitlines()) == 1
    assert "check --from-subscription" in lost.stderr
    picky = topics.replay("--reason", "too_large")
    assert picky.returncode == 2
    assert "leave --id, --reason and --since out" in picky.stderr
    assert topics.events.pull() == []
    assert topics.dead_letters.pull() == [message]
