"""The program: what is done, and in which order, when the bridge ends."""

from types import SimpleNamespace
from typing import cast

import pytest
from confluent_kafka import TopicPartition

import bridge.__main__ as program
from bridge.commits import Commits
from bridge.config import Config, load
from bridge.health import Status
from tests.unit.bridge.test_forward import P0, At, FakeConsumer, FakePublisher, message

SETTINGS = {
    "KAFKA_BOOTSTRAP_SERVERS": "broker",
    "KAFKA_GROUP_ID": "group",
    "KAFKA_TOPICS": "t",
    "PORT": "0",
    "PUBSUB_DEAD_LETTER_TOPIC": "projects/my-project/topics/dead",
    "PUBSUB_TOPIC": "projects/my-project/topics/events",
}


class ClosingConsumer(FakeConsumer):
    """A consumer that has what the group committed when it is closed; its close commits nothing."""

    def __init__(self, commits: Commits) -> None:
        super().__init__([])
        self.answers = commits
        self.committed_at_close: dict[At, int] | None = None

    def commit(
        self, *, offsets: list[TopicPartition] | None = None, asynchronous: bool
    ) -> list[TopicPartition]:
        """Commit, and answer at once."""
        committed = super().commit(offsets=offsets, asynchronous=asynchronous)
        self.answers.on_commit(None, [])
        return committed

    def close(self) -> None:
        """Leave the group."""
        self.committed_at_close = dict(self.group)


def test_what_is_stored_is_committed_before_the_consumer_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A close commits once, and a rebalance may refuse it: what was forwarded would be read again."""
    opened: list[ClosingConsumer] = []
    leaves: list[float] = []

    def open_consumer(_: Config, __: Status, commits: Commits) -> ClosingConsumer:
        consumer = ClosingConsumer(commits)
        consumer.assigned = [P0]
        consumer.waiting = [message(P0, 4)]
        opened.append(consumer)
        return consumer

    monkeypatch.setattr(program, "_open_consumer", open_consumer)
    monkeypatch.setattr(program, "open_stub", lambda: None)
    monkeypatch.setattr(program, "Publisher", lambda *_, **__: FakePublisher("events", []))
    monkeypatch.setattr(program, "exit_after", leaves.append)
    monkeypatch.setattr(program, "gc", SimpleNamespace(freeze=lambda: None, set_threshold=lambda _: None))
    stop = SimpleNamespace(requested=lambda: not opened[0].waiting, overdue=lambda: False)
    assert program.run(load([], SETTINGS), cast("program.Stop", stop)) == 0
    assert opened[0].stored == [("t", 0, 5)]
    assert opened[0].committed_at_close == {P0: 5}
    assert leaves == [program.EXIT_AFTER_S]
