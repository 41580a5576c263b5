"""Group commit: while one insert of a table runs, the rows of other requests gather for the next.

An idle table adds no delay: its first row starts an insert at once. A table that does not take rows is asked
by one group at a time, and who comes meanwhile is answered at once.
"""

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from logs import fields, log, stack
from rejection import RejectedError, TransientError

# BigQuery advises at most 500 rows and takes at most 10 MB a request, and a row.
# https://cloud.google.com/bigquery/quotas#streaming_inserts
MAX_ROWS = 500
MAX_BYTES = 10_000_000
MAX_ROW_BYTES = 9_400_000
# Of a request, what is around its rows; a comma after each is counted with the row.
FRAME_BYTES = 64
# Rows, and the requests that they come in, that wait at once: what an outage may cost in memory.
MAX_WAITING_BYTES = 64_000_000
# How long a table that did not take rows is left alone before it is asked again.
PAUSE_S = 2.0


class Row(msgspec.Struct, frozen=True, gc=False):
    """A row as insertAll takes it, JSON text with its insertId, and when Kafka got it: ms since the epoch."""

    body: bytes
    kafka_timestamp: int | None = None


class TurnedAwayError(TransientError):
    """Answered at once, nobody asked BigQuery: the table does not take rows now, or too much waits."""


Outcome = RejectedError | TransientError | None

# For each row None, or why it is not in the table; raises TransientError where that is so for all of them.
Insert = Callable[[Sequence[Row]], Awaitable[Sequence[Outcome]]]


class Limits(msgspec.Struct, frozen=True):
    """What a group holds at most, and for how many seconds a table that failed is left alone."""

    max_rows: int = MAX_ROWS
    max_bytes: int = MAX_BYTES
    pause_s: float = PAUSE_S


class Room:
    """Bytes that may wait at once. Whoever comes to an empty room is let in, however large."""

    def __init__(self, max_bytes: int = MAX_WAITING_BYTES) -> None:
        self._max_bytes = max_bytes
        self.used = 0

    def has(self, size: int) -> bool:
        """Return whether there is room for `size` bytes."""
        return not self.used or self.used + size <= self._max_bytes

    def take(self, size: int) -> bool:
        """Take `size` bytes where there is room for them, and return whether there was."""
        if not self.has(size):
            return False
        self.used += size
        return True

    def give_back(self, size: int) -> None:
        """Free what was taken."""
        self.used -= size


class _Batch(msgspec.Struct, eq=False):
    """Rows that came together and go together, and who waits for what becomes of them."""

    rows: Sequence[Row]
    size: int
    settled: asyncio.Future[Sequence[Outcome]]


class GroupCommit:
    """The rows of one table on their way into it, in one event loop."""

    def __init__(
        self,
        insert: Insert,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        room: Room | None = None,
        clock: Callable[[], float] = time.monotonic,
        name: str = "",
    ) -> None:
        self._insert = insert
        self._max_rows = limits.max_rows
        self._max_bytes = limits.max_bytes - FRAME_BYTES
        self._pause_s = limits.pause_s
        self._room = room or Room()
        self._clock = clock
        self._name = name
        self._waiting: deque[_Batch] = deque()
        self._running: asyncio.Task[None] | None = None
        self._failure: TransientError | None = None  # of the last group, as long as none has succeeded since
        self._ask_again_at = 0.0
        self._turned_away = 0

    async def commit(self, rows: Sequence[Row]) -> Sequence[Outcome]:
        """Return, once it is known, for each row None where it is in the table, or why it is not."""
        if self._failure is not None and (self._running or self._clock() < self._ask_again_at):
            self._turned_away += len(rows)
            return [TurnedAwayError(f"the table was just asked: {self._failure}")] * len(rows)
        if len(rows) == 1:
            return await self._add(rows, len(rows[0].body) + 1)
        outcomes: list[Outcome] = []
        parts: deque[asyncio.Future[Sequence[Outcome]]] = deque()
        for part, size in self._parts(rows):
            while parts and not self._room.has(size):  # what fills the room may be this bundle's own
                outcomes += await parts.popleft()
            parts.append(self._add(part, size))
        for settled in parts:
            outcomes += await settled
        return outcomes

    def _add(self, rows: Sequence[Row], size: int) -> "asyncio.Future[Sequence[Outcome]]":
        settled: asyncio.Future[Sequence[Outcome]] = asyncio.get_running_loop().create_future()
        if not self._room.take(size):
            settled.set_result([TurnedAwayError("too much waits for BigQuery")] * len(rows))
            return settled
        self._waiting.append(_Batch(rows, size, settled))
        if self._running is None:
            # In a context of its own: its log lines are not those of the request that happens to start it.
            self._running = asyncio.create_task(self._run(), context=contextvars.Context())
        return settled

    def _parts(self, rows: Sequence[Row]) -> list[tuple[Sequence[Row], int]]:
        """Return the rows as they come, in parts that each fit a group, with their sizes."""
        parts, start, size = [], 0, 0
        for index, row in enumerate(rows):
            length = len(row.body) + 1
            if index > start and (index - start == self._max_rows or size + length > self._max_bytes):
                parts.append((rows[start:index], size))
                start, size = index, 0
            size += length
        return [*parts, (rows[start:], size)]

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._commit_group(self._next_group())
        finally:
            self._running = None

    def _next_group(self) -> list[_Batch]:
        group = [self._waiting.popleft()]
        count, size = len(group[0].rows), group[0].size
        while self._waiting:
            count += len(self._waiting[0].rows)
            size += self._waiting[0].size
            if count > self._max_rows or size > self._max_bytes:
                break
            group.append(self._waiting.popleft())
        return group

    async def _commit_group(self, group: list[_Batch]) -> None:
        rows = [row for batch in group for row in batch.rows] if len(group) > 1 else group[0].rows
        outcomes: Sequence[Outcome]
        try:
            outcomes = await self._insert(rows)
            if len(outcomes) != len(rows):
                raise TransientError(f"{len(outcomes)} outcomes for {len(rows)} rows")  # noqa: TRY301 - one way to fail
        except TransientError as error:
            self._fail(error, group)
            return
        except Exception as error:  # noqa: BLE001 - a bug: whatever it is, every waiting request must hear of it
            log.error(
                "inserting into %s failed: %s", self._name, stack(error), extra=fields(table=self._name)
            )
            self._fail(TransientError(f"{type(error).__name__} while inserting"), group)
            return
        self._succeed()
        start = 0
        for batch in group:
            end = start + len(batch.rows)
            self._settle(batch, outcomes[start:end])
            start = end

    def _fail(self, error: TransientError, group: list[_Batch]) -> None:
        """Answer the group and all who wait behind it: each would only wait for the same."""
        self._failure = error
        self._ask_again_at = self._clock() + self._pause_s
        for batch in group:
            self._settle(batch, [error] * len(batch.rows))
        turned_away = TurnedAwayError(f"the group before was not taken: {error}")
        while self._waiting:
            batch = self._waiting.popleft()
            self._turned_away += len(batch.rows)
            self._settle(batch, [turned_away] * len(batch.rows))

    def _succeed(self) -> None:
        if self._failure is not None:
            log.info(
                "%s takes rows again",
                self._name,
                extra=fields(table=self._name, turned_away=self._turned_away),
            )
            self._failure, self._turned_away = None, 0

    def _settle(self, batch: _Batch, outcomes: Sequence[Outcome]) -> None:
        self._room.give_back(batch.size)
        if not batch.settled.done():  # its request was cancelled
            batch.settled.set_result(outcomes)
