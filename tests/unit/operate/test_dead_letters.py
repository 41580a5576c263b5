"""Replay: a row of dead_letters becomes the message that came, marked."""

from datetime import UTC, datetime
from typing import cast

import msgspec
import pytest

from decoder.dead_letters import DeadLetterRow, dead_letter_of_bytes, dead_letter_of_record
from envelope import MAX_PLAIN_HEADERS, Message, Record, pack, unpack
from operate import dead_letters
from operate.dead_letters import DeadLetter, mark, message_of, replay
from rejection import Reason, RejectedError

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TOPIC = "projects/p/topics/t"
REJECTION = RejectedError(Reason.UNDECODABLE, "byte 3")


def letter(row: DeadLetterRow, **changes: object) -> DeadLetter:
    """Return the row as BigQuery's client gives it: INTEGERs as int, BYTES as bytes."""
    columns = {name: getattr(row, name) for name in row.__struct_fields__}
    columns["kafka_headers"] = [{"name": cell.name, "value": cell.value} for cell in row.kafka_headers]
    for name in ("kafka_offset", "kafka_timestamp_ms"):
        columns[name] = None if columns[name] is None else int(columns[name])
    return DeadLetter("id", is_row=False, columns={**columns, **changes})


def of_record(record: Record) -> DeadLetterRow:
    """Return the dead letter of a record."""
    return dead_letter_of_record(record, REJECTION, env="prod", message_id="7", stream=None, now_ns=0)


@pytest.mark.parametrize(
    "record",
    [
        Record("t", 1, 2**62, 3, b"key", (("a", b"1"), ("b", b"2")), b"value"),
        Record("t", 1, 2, None, None, (), b""),
        Record("t", 1, 2, -3, b"\xff", (("a", None), ("a", b"\xff"), ("", b"")), None),
        Record("t", 1, 2, 3, b"k", tuple((f"h{n}", b"1") for n in range(94)), b"v"),
    ],
    ids=["plain", "bare", "bundle", "as many headers as attributes hold"],
)
def test_record_is_what_it_was(record: Record) -> None:
    """Position, timestamp, key, headers and value are those of Kafka, and the message says it is a replay."""
    message = message_of(letter(of_record(record)), NOW)
    assert message is not None
    assert len(message.attributes) <= 100
    opened = unpack(message)
    (replayed,) = opened.records
    assert (opened.env, opened.replayed_at) == ("prod", NOW)
    assert sorted(map(repr, replayed.headers)) == sorted(map(repr, record.headers))
    assert msgspec.structs.replace(replayed, headers=record.headers) == record


def test_message_without_a_record_is_what_it_was() -> None:
    """A malformed message goes out with its attributes, but for those that are Pub/Sub's own."""
    attributes = {"a": "b", "CloudPubSubDeadLetterSourceTopic": "x", "googclient_x": "y"}
    row = dead_letter_of_bytes(b"data", REJECTION, message_id="7", attributes=attributes, now_ns=0)
    assert message_of(letter(row), NOW) == Message(b"data", {"a": "b", "kafka.replayed": NOW.isoformat()})


def test_mark_fits_beside_as_many_attributes_as_pubsub_takes() -> None:
    """A message whose attributes are all taken becomes a bundle; one that no bridge made does not."""
    record = Record("t", 1, 2, 3, b"k", tuple((f"h{n:02}", b"1") for n in range(MAX_PLAIN_HEADERS)), b"v")
    message = pack(record, "prod")
    added = {f"CloudPubSubDeadLetterSource{n}": "x" for n in range(5)}
    marked = mark(Message(message.data, {**message.attributes, **added}), NOW)
    assert len(message.attributes) == 100
    assert (len(marked.attributes), unpack(marked).records) == (3, (record,))
    assert mark(marked, NOW) == marked
    foreign = {f"a{n}": "b" for n in range(100)}
    assert mark(Message(b"", foreign), NOW).attributes == {**foreign, "kafka.replayed": NOW.isoformat()}


def test_what_is_not_whole_is_not_replayed() -> None:
    """A row without the bytes, or a body that was no push, is named and left alone."""
    record = Record("t", 1, 2, 3, None, (), b"v")
    assert message_of(letter(of_record(record), complete=False), NOW) is None
    row = dead_letter_of_bytes(b"no push", REJECTION, message_id=None, attributes=None, now_ns=0)
    assert message_of(letter(row), NOW) is None


def test_replay_publishes_in_parts_what_is_no_row_yet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each part is one request; rows that a replay made already stay out; a dry run publishes nothing."""
    sent: list[int] = []
    monkeypatch.setattr(
        dead_letters, "publish", lambda _, messages: sent.append(len(cast("list[Message]", messages)))
    )
    rows = [letter(of_record(Record("t", 1, offset, 3, None, (), b"v"))) for offset in range(1_200)]
    rows[0] = msgspec.structs.replace(rows[0], is_row=True)
    rows[1] = DeadLetter("id", is_row=False, columns={**rows[1].columns, "complete": False})
    dry = replay(TOPIC, rows, now=NOW, dry_run=True)
    assert (sent, dry.published) == ([], 0)
    summary = replay(TOPIC, rows, now=NOW, dry_run=False)
    assert sent == [500, 500, 198]
    assert (summary.found, summary.published, summary.rows_already, summary.not_replayable) == (
        1_200,
        1_198,
        1,
        1,
    )
    assert "replay --from-subscription" in capsys.readouterr().out
