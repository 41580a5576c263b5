"""Group commit: what goes together, and that each caller hears of its own row."""

import asyncio
from collections.abc import Coroutine, Sequence

import pytest

from rejection import Reason, RejectedError
from sink.batch import GroupCommit, Row, TransientError

_Outcomes = Sequence[RejectedError | TransientError | None]


class _Table:
    """An insert that waits until it is told how it ended."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self._answers: list[asyncio.Future[_Outcomes]] = []

    async def insert(self, rows: Sequence[Row]) -> _Outcomes:
        self.groups.append([row.insert_id for row in rows])
        self._answers.append(asyncio.get_running_loop().create_future())
        return await self._answers[-1]

    async def answer(self, outcome: Exception | _Outcomes | None = None) -> None:
        """End the insert that runs, and let everybody who waits for it run on."""
        if isinstance(outcome, Exception):
            self._answers[-1].set_exception(outcome)
        else:
            self._answers[-1].set_result(outcome or [None] * len(self.groups[-1]))
        await _settle()


async def _settle() -> None:
    """Let all tasks go as far as they can."""
    for _ in range(10):
        await asyncio.sleep(0)


def _row(name: str, size: int = 2) -> Row:
    return Row(name, b"x" * size)


async def _commits(commit: GroupCommit, *rows: Row) -> list[asyncio.Task[None]]:
    """Start a request for each row; return when each waits."""
    tasks = [asyncio.create_task(commit.commit(row)) for row in rows]
    await _settle()
    return tasks


def _run(test: Coroutine[object, object, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 5))


def test_first_row_is_inserted_at_once() -> None:
    """An idle table adds no delay: one row is a group of one, done when its insert is."""

    async def scenario() -> None:
        table = _Table()
        (task,) = await _commits(GroupCommit(table.insert), _row("a"))
        assert table.groups == [["a"]]
        assert not task.done()
        await table.answer()
        assert task.done()
        assert task.exception() is None

    _run(scenario())


def test_rows_that_come_meanwhile_are_the_next_group() -> None:
    """While one insert runs no other starts; all rows that came go together, in order, in the next."""

    async def scenario() -> None:
        table = _Table()
        commit = GroupCommit(table.insert)
        first = await _commits(commit, _row("a"))
        second = await _commits(commit, _row("b"), _row("c"))
        second += await _commits(commit, _row("d"))
        assert table.groups == [["a"]]
        await table.answer()
        assert table.groups == [["a"], ["b", "c", "d"]]
        assert all(task.done() for task in first)
        assert not any(task.done() for task in second)
        await table.answer()
        assert all(task.exception() is None for task in second)
        assert len(table.groups) == 2

    _run(scenario())


def test_idle_again_starts_at_once_again() -> None:
    """After the last row the table is idle: the next row does not wait for anything."""

    async def scenario() -> None:
        table = _Table()
        commit = GroupCommit(table.insert)
        for name in "abc":
            (task,) = await _commits(commit, _row(name))
            assert table.groups[-1] == [name]
            await table.answer()
            assert task.done()

    _run(scenario())


def test_group_is_bounded_by_rows() -> None:
    """A group has at most so many rows; the others stay in line."""

    async def scenario() -> None:
        table = _Table()
        commit = GroupCommit(table.insert, max_rows=2)
        tasks = await _commits(commit, *map(_row, "abcde"))
        for _ in range(3):
            await table.answer()
        assert table.groups == [["a", "b"], ["c", "d"], ["e"]]
        assert all(task.done() for task in tasks)

    _run(scenario())


def test_group_is_bounded_by_bytes() -> None:
    """A group has at most so many bytes, to the byte, and a row over the bound goes alone."""

    async def scenario() -> None:
        table = _Table()
        commit = GroupCommit(table.insert, max_bytes=10)
        rows = (_row("a", 4), _row("b", 6), _row("c", 5), _row("d", 6), _row("e", 30), _row("f", 1))
        tasks = await _commits(commit, *rows)
        while not all(task.done() for task in tasks):
            await table.answer()
        assert table.groups == [["a", "b"], ["c"], ["d"], ["e"], ["f"]]

    _run(scenario())


def test_refused_row_fails_alone() -> None:
    """Each caller hears of its own row: refused, transient, or in the table."""

    async def scenario() -> None:
        table = _Table()
        tasks = await _commits(GroupCommit(table.insert), *map(_row, "abcd"))
        refused, later = RejectedError(Reason.ROW_REFUSED, "b is wrong"), TransientError("stopped")
        await table.answer([None, refused, later, None])
        assert [task.exception() for task in tasks] == [None, refused, later, None]

    _run(scenario())


@pytest.mark.parametrize("error", [TransientError("no answer"), ZeroDivisionError("a bug"), OSError("reset")])
def test_error_of_the_insert_reaches_every_caller(error: Exception) -> None:
    """No caller of a group waits for ever, or takes an error for success, whatever was raised."""

    async def scenario() -> None:
        table = _Table()
        tasks = await _commits(GroupCommit(table.insert), *map(_row, "abc"))
        await table.answer(error)
        assert [task.exception() for task in tasks] == [error] * 3

    _run(scenario())


def test_it_works_again_after_an_error() -> None:
    """Rows that waited behind a failed group are inserted, and so are those that come later."""

    async def scenario() -> None:
        table = _Table()
        commit = GroupCommit(table.insert)
        (failed,) = await _commits(commit, _row("a"))
        (waiting,) = await _commits(commit, _row("b"))
        await table.answer(TransientError("no answer"))
        assert isinstance(failed.exception(), TransientError)
        await table.answer()
        (later,) = await _commits(commit, _row("c"))
        await table.answer()
        assert (waiting.exception(), later.exception()) == (None, None)
        assert table.groups == [["a"], ["b"], ["c"]]

    _run(scenario())


@pytest.mark.parametrize("outcomes", [[None], [None, None, None]], ids=["too few", "too many"])
def test_insert_that_answers_for_other_rows_leaves_nobody_waiting(outcomes: list[None]) -> None:
    """An insert with more or fewer outcomes than rows breaks its promise: its callers hear of an error."""

    async def scenario() -> None:
        table = _Table()
        tasks = await _commits(GroupCommit(table.insert), *map(_row, "ab"))
        await table.answer(outcomes)
        assert all(task.done() for task in tasks)
        assert any(task.exception() for task in tasks)

    _run(scenario())


def test_cancelled_request_harms_no_neighbour() -> None:
    """Requests that went away, in the running group or in line, leave the others their outcomes."""

    async def scenario() -> None:
        table = _Table()
        commit = GroupCommit(table.insert)
        running = await _commits(commit, *map(_row, "ab"))
        waiting = await _commits(commit, *map(_row, "cd"))
        running[0].cancel()
        waiting[0].cancel()
        await _settle()
        await table.answer()
        await table.answer()
        assert [task.cancelled() for task in (*running, *waiting)] == [True, False, True, False]
        assert (running[1].exception(), waiting[1].exception()) == (None, None)
        (later,) = await _commits(commit, _row("e"))
        await table.answer()
        assert later.exception() is None

    _run(scenario())
