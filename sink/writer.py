"""The sink as `handle` sees it: rows, their table, and an answer when BigQuery has them."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from logs import fields, log
from rejection import Reason, RejectedError, TransientError
from sink.batch import MAX_ROW_BYTES, GroupCommit, Limits, Outcome, Room, Row
from sink.bigquery import INSERT_S, Table

MAX_THREADS = 32
# Beside the insert's own deadline, for what that cannot interrupt, as a token that does not come.
GRACE_S = 5.0


class Writer:
    """A group commit for each table, made when its first row comes: in the worker, not before its fork."""

    def __init__(
        self,
        connect: Callable[[str], Table],
        limits: Limits = Limits(),  # noqa: B008 - frozen
        room: Room | None = None,
        end_within_s: float = INSERT_S + GRACE_S,
    ) -> None:
        self._connect = connect
        self._limits = limits
        self._room = room or Room()
        self._end_within_s = end_within_s
        self._tables: dict[str, GroupCommit] = {}
        self._threads: ThreadPoolExecutor | None = None

    async def write(self, table: str, rows: Sequence[Row]) -> Sequence[Outcome]:
        """Return, once it is known, for each row None where it is in the table.

        Otherwise why it is not: a RejectedError (too_large or row_refused, it never will be) or a
        TransientError (it is not, or nobody knows).
        """
        commit = self._tables.get(table)
        if commit is None:
            commit = self._tables[table] = self._group_commit(table)
        if max((len(row.body) for row in rows), default=0) <= MAX_ROW_BYTES:
            return await commit.commit(rows)
        too_large = [_too_large(row) for row in rows]
        rest = [row for row in rows if len(row.body) <= MAX_ROW_BYTES]
        # BigQuery answers 400 to a request without rows, which would pause the table for all others.
        written = iter(await commit.commit(rest) if rest else ())
        return [refusal or next(written) for refusal in too_large]

    def _group_commit(self, name: str) -> GroupCommit:
        threads = self._threads = self._threads or ThreadPoolExecutor(MAX_THREADS, "insert")
        connected: list[Table] = []

        def insert_in_thread(rows: Sequence[Row]) -> Sequence[Outcome]:
            # Here and not in the loop: credentials may be asked for over the network.
            if not connected:
                connected.append(self._connect(name))
            return connected[0].insert(rows)

        async def insert(rows: Sequence[Row]) -> Sequence[Outcome]:
            started = time.monotonic()
            try:
                async with asyncio.timeout(self._end_within_s):
                    outcomes = await asyncio.get_running_loop().run_in_executor(
                        threads, insert_in_thread, rows
                    )
            except TimeoutError:
                text = f"{name}: the insert did not end within {self._end_within_s:g} s"
                log.error("%s", text, extra=fields(table=name, rows=len(rows)))
                raise TransientError(text) from None
            _log(name, rows, outcomes, time.monotonic() - started)
            return outcomes

        return GroupCommit(insert, self._limits, self._room, name=name)


def _too_large(row: Row) -> RejectedError | None:
    if len(row.body) <= MAX_ROW_BYTES:
        return None
    text = f"the row is {len(row.body)} bytes of JSON, BigQuery takes {MAX_ROW_BYTES}"
    return RejectedError(Reason.TOO_LARGE, text)


def _log(table: str, rows: Sequence[Row], outcomes: Sequence[Outcome], seconds: float) -> None:
    """Write the one line of an insert: how many rows, and how long the oldest took from Kafka to here."""
    taken = rows
    if outcomes.count(None) < len(rows):
        taken = [row for row, outcome in zip(rows, outcomes, strict=True) if outcome is None]
    values: dict[str, object] = {
        "table": table,
        "rows": len(taken),
        "not_taken": len(rows) - len(taken),
        "insert_ms": round(seconds * 1_000),
    }
    timestamps = [row.kafka_timestamp for row in taken if row.kafka_timestamp is not None]
    if timestamps:
        values["kafka_to_bigquery_ms"] = max(0, round(time.time() * 1_000) - min(timestamps))
    log.info("inserted", extra=fields(**values))
