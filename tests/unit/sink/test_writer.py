"""The writer: one group commit a table, and rows that no table takes."""

import asyncio
import io
import json
import threading
import time
from collections.abc import Sequence

import pytest

from rejection import Reason, RejectedError, TransientError
from sink.batch import MAX_ROW_BYTES, Limits, Outcome, Row
from sink.bigquery import Table
from sink.writer import Writer


class _Table(Table):
    """A table that keeps its rows in memory."""

    def __init__(self, outcome: Outcome = None) -> None:
        self.rows: list[Row] = []
        self.groups = 0
        self.threads: set[int] = set()
        self._outcome = outcome

    def insert(self, rows: Sequence[Row]) -> list[Outcome]:
        self.threads.add(threading.get_ident())
        self.groups += 1
        self.rows += rows
        return [self._outcome] * len(rows)


class _Tables(dict[str, _Table]):
    """Tables by name, each made when it is first connected to."""

    connected = 0

    def connect(self, name: str) -> Table:
        self.connected += 1
        return self.setdefault(name, _Table())


def _row(size: int = 2) -> Row:
    return Row(b"x" * size)


def test_rows_go_to_their_tables() -> None:
    """Each table is connected to once, when its first row comes, and gets its own rows only."""
    tables = _Tables()
    writer = Writer(tables.connect)
    assert tables.connected == 0

    async def write() -> None:
        rows = [("a", Row(b"1")), ("b", Row(b"2")), ("a", Row(b"3"))]
        await asyncio.gather(*(writer.write(table, [row]) for table, row in rows))
        await writer.write("a", [Row(b"4")])

    asyncio.run(write())
    assert tables.connected == 2
    assert {name: [row.body.decode() for row in table.rows] for name, table in tables.items()} == {
        "a": ["1", "3", "4"],
        "b": ["2"],
    }


def test_concurrent_rows_share_an_insert() -> None:
    """Rows of one table that are written together are one request to BigQuery, off the loop's thread."""
    tables = _Tables()
    writer = Writer(tables.connect)

    async def write() -> None:
        await asyncio.gather(*(writer.write("a", [_row(), _row()]) for _ in range(50)))

    asyncio.run(write())
    assert (tables["a"].groups, len(tables["a"].rows)) == (1, 100)
    assert threading.get_ident() not in tables["a"].threads


def test_row_at_the_limit_is_written() -> None:
    """The largest row is written."""
    tables = _Tables()
    assert asyncio.run(Writer(tables.connect).write("a", [_row(MAX_ROW_BYTES)])) == [None]
    assert len(tables["a"].rows) == 1


def test_row_over_the_limit_is_too_large() -> None:
    """One byte more is refused with the sizes, and is not sent; its neighbours are."""
    tables = _Tables()
    rows = [_row(), _row(MAX_ROW_BYTES + 1), _row(3)]
    first, refused, last = asyncio.run(Writer(tables.connect).write("a", rows))
    assert (first, last) == (None, None)
    assert isinstance(refused, RejectedError)
    assert refused.reason == Reason.TOO_LARGE
    assert f"the row is {MAX_ROW_BYTES + 1} bytes" in str(refused)
    assert [len(row.body) for row in tables["a"].rows] == [2, 3]


def test_row_over_the_limit_alone_asks_nothing() -> None:
    """No request without rows is made, which BigQuery refuses: the table would be left alone for a while."""
    tables = _Tables()
    writer = Writer(tables.connect)

    async def write() -> list[Sequence[Outcome]]:
        return [await writer.write("a", [row]) for row in (_row(MAX_ROW_BYTES + 1), _row())]

    (refused,), after = asyncio.run(write())
    assert isinstance(refused, RejectedError)
    assert list(after) == [None]
    assert tables["a"].groups == 1


@pytest.mark.parametrize("outcome", [TransientError("later"), RejectedError(Reason.ROW_REFUSED, "never")])
def test_outcome_of_the_row_is_what_the_table_says(outcome: RejectedError | TransientError) -> None:
    """What the table says of a row is what its writer hears."""
    tables = _Tables(a=_Table(outcome))
    assert asyncio.run(Writer(tables.connect).write("a", [_row()])) == [outcome]


def test_failed_connection_is_tried_again() -> None:
    """A table that could not be connected to is connected to by the next row after the pause."""
    tables = _Tables()
    answers = [TransientError("no metadata server")]

    def connect(name: str) -> Table:
        if answers:
            raise answers.pop()
        return tables.connect(name)

    writer = Writer(connect, Limits(pause_s=0.0))

    async def write() -> None:
        (failed,) = await writer.write("a", [_row()])
        assert "no metadata server" in str(failed)
        assert await writer.write("a", [_row()]) == [None]

    asyncio.run(write())


def test_insert_that_does_not_end_is_given_up() -> None:
    """An insert that hangs in what no deadline of its own can interrupt is transient for its rows."""
    released = threading.Event()

    class Hanging(_Table):
        def insert(self, rows: Sequence[Row]) -> list[Outcome]:
            released.wait(20)
            return super().insert(rows)

    async def write() -> Outcome:
        (outcome,) = await Writer(lambda _: Hanging(), end_within_s=0.05).write("a", [_row()])
        released.set()
        return outcome

    assert isinstance(asyncio.run(write()), TransientError)


def test_an_insert_is_one_log_line(written: io.StringIO) -> None:
    """The line has the table, the rows, and how long the oldest of those taken came from Kafka."""
    now = time.time_ns() // 1_000_000
    rows = [Row(b"1", now - 5_000), Row(b"2", now - 90_000), Row(b"3"), Row(b"4", now)]
    asyncio.run(Writer(_Tables().connect).write("a", rows))
    asyncio.run(Writer(_Tables(a=_Table(TransientError("later"))).connect).write("a", rows))
    taken, not_taken = [json.loads(line) for line in written.getvalue().splitlines()]
    assert (taken["message"], taken["table"], taken["rows"], taken["not_taken"]) == ("inserted", "a", 4, 0)
    assert 90_000 <= taken["kafka_to_bigquery_ms"] < 100_000
    assert (not_taken["rows"], not_taken["not_taken"]) == (0, 4)
    assert "kafka_to_bigquery_ms" not in not_taken
