"""The sink as `handle` sees it: a row, its table, and an answer when BigQuery has it."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from rejection import Reason, RejectedError
from sink.batch import MAX_ROW_BYTES, GroupCommit, Row
from sink.bigquery import Outcome, Table

MAX_THREADS = 32


class Writer:
    """A group commit for each table, made when its first row comes: in the worker, not before its fork."""

    def __init__(self, connect: Callable[[str], Table]) -> None:
        self._connect = connect
        self._tables: dict[str, GroupCommit] = {}
        self._threads: ThreadPoolExecutor | None = None

    async def write(self, table: str, row: Row) -> None:
        """Return when the row is in the table.

        Raises:
            RejectedError: too_large or row_refused, it never will be.
            TransientError: it is not, or nobody knows.
        """
        if len(row.body) > MAX_ROW_BYTES:
            raise RejectedError(
                Reason.TOO_LARGE, f"the row is {len(row.body)} bytes of JSON, BigQuery takes {MAX_ROW_BYTES}"
            )
        if table not in self._tables:
            self._tables[table] = self._group_commit(self._connect(table))
        await self._tables[table].commit(row)

    def _group_commit(self, table: Table) -> GroupCommit:
        threads = self._threads = self._threads or ThreadPoolExecutor(MAX_THREADS, "insert")

        async def insert(rows: Sequence[Row]) -> Sequence[Outcome]:
            return await asyncio.get_running_loop().run_in_executor(threads, table.insert, rows)

        return GroupCommit(insert)
