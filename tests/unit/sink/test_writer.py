"""The writer: one group commit a table, and rows that no table takes."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from rejection import Reason, RejectedError
from sink.batch import MAX_ROW_BYTES, Row, TransientError
from sink.bigquery import Outcome, Table
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
    return Row("id", b"x" * size)


def test_rows_go_to_their_tables() -> None:
    """Each table is connected to once, when its first row comes, and gets its own rows only."""
    tables = _Tables()
    writer = Writer(tables.connect)
    assert tables.connected == 0

    async def write() -> None:
        rows = [("a", Row("1", b"{}")), ("b", Row("2", b"{}")), ("a", Row("3", b"{}"))]
        await asyncio.gather(*(writer.write(table, row) for table, row in rows))
        await writer.write("a", Row("4", b"{}"))

    asyncio.run(write())
    assert tables.connected == 2
    assert {name: [row.insert_id for row in table.rows] for name, table in tables.items()} == {
        "a": ["1", "3", "4"],
        "b": ["2"],
    }


def test_concurrent_rows_share_an_insert() -> None:
    """Rows of one table that are written together are one request to BigQuery, off the loop's thread."""
    tables = _Tables()
    writer = Writer(tables.connect)

    async def write() -> None:
        await asyncio.gather(*(writer.write("a", _row()) for _ in range(50)))

    asyncio.run(write())
    assert (tables["a"].groups, len(tables["a"].rows)) == (1, 50)
    assert threading.get_ident() not in tables["a"].threads


def test_row_at_the_limit_is_written() -> None:
    """The largest row is written."""
    tables = _Tables()
    asyncio.run(Writer(tables.connect).write("a", _row(MAX_ROW_BYTES)))
    assert len(tables["a"].rows) == 1


def test_row_over_the_limit_is_too_large() -> None:
    """One byte more is refused with the sizes, and nothing is sent."""
    tables = _Tables()
    with pytest.raises(
        RejectedError, match=f"the row is {MAX_ROW_BYTES + 1} bytes .* takes {MAX_ROW_BYTES}"
    ) as caught:
        asyncio.run(Writer(tables.connect).write("a", _row(MAX_ROW_BYTES + 1)))
    assert caught.value.reason == Reason.TOO_LARGE
    assert not tables


@pytest.mark.parametrize("outcome", [TransientError("later"), RejectedError(Reason.ROW_REFUSED, "never")])
def test_outcome_of_the_row_is_raised(outcome: RejectedError | TransientError) -> None:
    """What the table says of a row is what its writer hears."""
    tables = _Tables(a=_Table(outcome))
    with pytest.raises(type(outcome), match=str(outcome)):
        asyncio.run(Writer(tables.connect).write("a", _row()))


def test_failed_connection_is_tried_again() -> None:
    """A table that could not be connected to is connected to by the next row."""
    tables = _Tables()
    answers = [OSError("no metadata server")]

    def connect(name: str) -> Table:
        if answers:
            raise answers.pop()
        return tables.connect(name)

    writer = Writer(connect)
    with pytest.raises(OSError, match="no metadata server"):
        asyncio.run(writer.write("a", _row()))
    asyncio.run(writer.write("a", _row()))
    assert len(tables["a"].rows) == 1
