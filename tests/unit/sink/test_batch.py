"""Group commit: what goes together, who hears of what, and that an outage stays small."""

import asyncio
import contextvars
from collections.abc import Coroutine, Sequence

import pytest

from rejection import Reason, RejectedError, TransientError
from sink.batch import FRAME_BYTES, GroupCommit, Limits, Outcome, Room, Row, TurnedAwayError

_Outcomes = Sequence[Outcome]
_Task = asyncio.Task[Sequence[Outcome]]


class _Table:
    """An insert that waits until it is told how it ended."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self._answers: list[asyncio.Future[_Outcomes]] = []

    async def insert(self, rows: Sequence[Row]) -> _Outcomes:
        self.groups.append([row.body.decode().strip() for row in rows])
        self._answers.append(asyncio.get_running_loop().create_future())
        return await self._answers[-1]

    async def answer(self, outcome: Exception | _Outcomes | None = None) -> None:
        """End the insert that runs, and let everybody who waits for it run on."""
        if isinstance(outcome, Exception):
            self._answers[-1].set_exception(outcome)
        else:
            self._answers[-1].set_result(outcome or [None] * len(self.groups[-1]))
        await _settle()


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


async def _settle() -> None:
    """Let all tasks go as far as they can."""
    for _ in range(10):
        await asyncio.sleep(0)


def _row(name: str, size: int = 2) -> Row:
    return Row(name.ljust(size).encode())


async def _commits(commit: GroupCommit, *rows: Row | Sequence[Row]) -> list[_Task]:
    """Start a request for each row or bundle; return when each waits."""
    bundles = [[row] if isinstance(row, Row) else row for row in rows]
    tasks = [asyncio.create_task(commit.commit(bundle)) for bundle in bundles]
    await _settle()
    return tasks


def _run(test: Coroutine[object, object, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 5))


def test_first_row_is_inserted_at_once() -> None:
    """An idle table adds no delay: one row is a group of one, done when its insert is."""

    async def scenario() -> None:
        table = _Table()
        commit = GroupCommit(table.insert)
        for name in "abc":
            (task,) = await _commits(commit, _row(name))
            assert table.groups[-1] == [name]
            assert not task.done()
            await table.answer()
            assert task.result() == [None]

    _run(scenario())


def test_rows_that_come_meanwhile_are_the_next_group() -> None:
    """While one insert runs no other starts; all rows that came go together, in order, in the next."""

    async def scenario() -> None:
        table = _Table()
        commit = GroupCommit(table.insert)
        first = await _commits(commit, _row("a"))
        second = await _commits(commit, _row("b"), [_row("c"), _row("d")])
        second += await _commits(commit, _row("e"))
        assert table.groups == [["a"]]
        await table.answer()
        assert table.groups == [["a"], ["b", "c", "d", "e"]]
        assert all(task.done() for task in first)
        assert not any(task.done() for task in second)
        await table.answer()
        assert [task.result() for task in second] == [[None], [None, None], [None]]
        assert len(table.groups) == 2

    _run(scenario())


def test_group_is_bounded_by_rows() -> None:
    """A group has at most so many rows; the others stay in line, and a bundle is parted where it must."""

    async def scenario() -> None:
        table = _Table()
        commit = GroupCommit(table.insert, Limits(max_rows=2))
        tasks = await _commits(commit, *map(_row, "abc"), [*map(_row, "defgh")])
        while not all(task.done() for task in tasks):
            await table.answer()
        assert table.groups == [["a", "b"], ["c"], ["d", "e"], ["f", "g"], ["h"]]
        assert tasks[-1].result() == [None] * 5

    _run(scenario())


def test_group_is_bounded_by_bytes() -> None:
    """A group has at most so many bytes, commas too, to the byte, and a row over the bound goes alone."""

    async def scenario() -> None:
        table = _Table()
        commit = GroupCommit(table.insert, Limits(max_bytes=FRAME_BYTES + 12))
        rows = (_row("a", 4), _row("b", 6), _row("c", 5), _row("d", 6), _row("e", 30), _row("f", 1))
        tasks = await _commits(commit, *rows, [*rows])
        while not all(task.done() for task in tasks):
            await table.answer()
        assert table.groups == [
            ["a", "b"],
            ["c"],
            ["d"],
            ["e"],
            ["f"],
            ["a", "b"],
            ["c"],
            ["d"],
            ["e"],
            ["f"],
        ]

    _run(scenario())


def test_each_row_has_its_own_outcome() -> None:
    """Each caller hears of its own rows: refused, transient, or in the table."""

    async def scenario() -> None:
        table = _Table()
        tasks = await _commits(GroupCommit(table.insert), _row("a"), [*map(_row, "bc")], _row("d"))
        refused, later = RejectedError(Reason.ROW_REFUSED, "b is wrong"), TransientError("stopped")
        await table.answer([None, refused, later, None])
        assert [task.result() for task in tasks] == [[None], [refused, later], [None]]

    _run(scenario())


@pytest.mark.parametrize("error", [TransientError("no answer"), ZeroDivisionError("a bug"), OSError("reset")])
def test_error_of_the_insert_reaches_every_caller(error: Exception) -> None:
    """No caller of a group waits for ever, or takes an error for success, whatever was raised."""

    async def scenario() -> None:
        table = _Table()
        tasks = await _commits(GroupCommit(table.insert), _row("a"), [*map(_row, "bc")])
        await table.answer(error)
        for task in tasks:
            assert all(isinstance(outcome, TransientError) for outcome in task.result())
        assert [len(task.result()) for task in tasks] == [1, 2]

    _run(scenario())


@pytest.mark.parametrize("outcomes", [[None], [None, None, None]], ids=["too few", "too many"])
def test_insert_that_answers_for_other_rows_is_believed_of_none(outcomes: list[None]) -> None:
    """An insert with more or fewer outcomes than rows breaks its promise: its callers hear of an error."""

    async def scenario() -> None:
        table = _Table()
        tasks = await _commits(GroupCommit(table.insert), *map(_row, "ab"))
        await table.answer(outcomes)
        for task in tasks:
            assert isinstance(task.result()[0], TransientError)

    _run(scenario())


def test_who_waits_behind_a_failed_group_is_answered_at_once() -> None:
    """After a failure nobody waits for the same: neither those in line nor those who come in the pause."""

    async def scenario() -> None:
        table, clock = _Table(), _Clock()
        commit = GroupCommit(table.insert, Limits(pause_s=2.0), clock=clock)
        (failed,) = await _commits(commit, _row("a"))
        waiting = await _commits(commit, _row("b"), [*map(_row, "cd")])
        await table.answer(TransientError("no answer"))
        assert not isinstance(failed.result()[0], TurnedAwayError)
        clock.now += 1.9
        waiting += await _commits(commit, _row("e"))
        outcomes = [outcome for task in waiting for outcome in task.result()]
        assert [type(outcome) for outcome in outcomes] == [TurnedAwayError] * 4
        assert table.groups == [["a"]]

    _run(scenario())


def test_a_table_that_failed_is_asked_by_one_group_at_a_time() -> None:
    """After the pause one group asks; until it has its answer nobody waits; then all is as before."""

    async def scenario() -> None:
        table, clock = _Table(), _Clock()
        commit = GroupCommit(table.insert, Limits(pause_s=2.0), clock=clock)
        await _commits(commit, _row("a"))
        await table.answer(TransientError("no answer"))
        clock.now += 2.0
        (asks,) = await _commits(commit, _row("b"))
        (turned_away,) = await _commits(commit, _row("c"))
        assert isinstance(turned_away.result()[0], TurnedAwayError)
        assert table.groups == [["a"], ["b"]]
        await table.answer()
        assert asks.result() == [None]
        (first,) = await _commits(commit, _row("d"))
        (second,) = await _commits(commit, _row("e"))
        await table.answer()
        await table.answer()
        assert first.result() == second.result() == [None]

    _run(scenario())


def test_what_waits_has_a_bound() -> None:
    """While an insert takes long, rows over the room are turned away, and room is given back after it."""

    async def scenario() -> None:
        table, room = _Table(), Room(max_bytes=100)
        commit = GroupCommit(table.insert, room=room)
        tasks = await _commits(commit, *[_row(str(number), 19) for number in range(8)])
        assert room.used == 100
        turned_away = [task for task in tasks if task.done()]
        assert len(turned_away) == 3
        assert all(isinstance(task.result()[0], TurnedAwayError) for task in turned_away)
        while room.used:
            await table.answer()
        assert [task.result() for task in tasks[:5]] == [[None]] * 5
        (large,) = await _commits(commit, _row("large", 500))
        await table.answer()
        assert large.result() == [None]

    _run(scenario())


def test_a_bundle_larger_than_the_room_waits_for_itself() -> None:
    """A bundle whose rows are more than may wait goes part by part, instead of turning itself away."""

    async def scenario() -> None:
        table, room = _Table(), Room(max_bytes=50)
        commit = GroupCommit(table.insert, Limits(max_rows=2), room)
        (task,) = await _commits(commit, [_row(name, 19) for name in "abcdefg"])
        while not task.done():
            assert room.used <= 50
            await table.answer()
        assert task.result() == [None] * 7
        assert room.used == 0

    _run(scenario())


def test_cancelled_request_harms_no_neighbour() -> None:
    """Requests that went away, in the running group or in line, leave the others their outcomes."""

    async def scenario() -> None:
        table, room = _Table(), Room()
        commit = GroupCommit(table.insert, room=room)
        running = await _commits(commit, *map(_row, "ab"))
        waiting = await _commits(commit, *map(_row, "cd"))
        running[0].cancel()
        waiting[0].cancel()
        await _settle()
        while not (running[1].done() and waiting[1].done()):
            await table.answer()
        assert [task.cancelled() for task in (*running, *waiting)] == [True, False, True, False]
        assert running[1].result() == waiting[1].result() == [None]
        assert room.used == 0

    _run(scenario())


def test_an_insert_has_no_request_of_its_own() -> None:
    """The insert runs outside the context of the request that starts it: its log lines are nobody's trace."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    seen = []

    async def insert(rows: Sequence[Row]) -> _Outcomes:
        seen.append(variable.get())
        return [None] * len(rows)

    async def scenario() -> None:
        variable.set("a request")
        await GroupCommit(insert).commit([_row("a")])

    _run(scenario())
    assert seen == ["none"]
