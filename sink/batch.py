"""Group commit: while one insert of a table runs, the rows of other requests gather for the next.

An idle table adds no delay: its first row starts an insert at once.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from rejection import RejectedError

# BigQuery advises at most 500 rows and takes at most 10 MB a request.
# https://cloud.google.com/bigquery/quotas#streaming_inserts
MAX_ROWS = 500
MAX_BYTES = 9_500_000
MAX_ROW_BYTES = 9_400_000


class Row(msgspec.Struct, frozen=True):
    """A row as JSON text, and the id by which BigQuery drops repeats of it."""

    insert_id: str
    body: bytes


class TransientError(Exception):
    """The row may be accepted later: do not acknowledge, let Pub/Sub deliver again."""


# For each row None, or why BigQuery refused it; raises TransientError when that cannot be known.
Insert = Callable[[Sequence[Row]], Awaitable[Sequence[RejectedError | TransientError | None]]]


class GroupCommit:
    """The rows of one table on their way into it, in one event loop."""

    def __init__(self, insert: Insert, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES) -> None:
        self._insert = insert
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._waiting: deque[tuple[Row, asyncio.Future[None]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def commit(self, row: Row) -> None:
        """Return when the row is in the table.

        Raises:
            RejectedError: BigQuery will never take this row.
            TransientError: it was not taken, or nobody knows.
        """
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, committed))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        await committed

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._commit_group(self._next_group())
        finally:
            self._running = None

    def _next_group(self) -> list[tuple[Row, asyncio.Future[None]]]:
        group = [self._waiting.popleft()]
        size = len(group[0][0].body)
        while self._waiting and len(group) < self._max_rows:
            size += len(self._waiting[0][0].body)
            if size > self._max_bytes:
                break
            group.append(self._waiting.popleft())
        return group

    async def _commit_group(self, group: list[tuple[Row, asyncio.Future[None]]]) -> None:
        outcomes: Sequence[Exception | None]
        try:
            outcomes = await self._insert([row for row, _ in group])
        except Exception as error:  # noqa: BLE001 - whatever it is, every waiting request must hear of it
            outcomes = [error] * len(group)
        if len(outcomes) != len(group):
            outcomes = [TransientError(f"{len(outcomes)} outcomes for {len(group)} rows")] * len(group)
        for (_, committed), outcome in zip(group, outcomes, strict=True):
            if committed.done():  # its request was cancelled
                continue
            if outcome is None:
                committed.set_result(None)
            else:
                committed.set_exception(outcome)
