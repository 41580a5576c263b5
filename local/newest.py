"""The row and the dead letter that came last, asked for as often as they are cheap."""

import time
from collections.abc import Mapping

from google.cloud import bigquery as bq

from decoder.streams import DEAD_LETTERS
from local import tables

# After asking, the next time waits for so many seconds, and for so many times what asking took.
EVERY_S, SHARE = 1.0, 15


class Newest:
    """Moves through the tables that have new rows, so that each stream is seen.

    Attributes:
        row: The columns of `tables.ROW` and the name of the stream, None before the first.
        dead_letter: Those of `tables.DEAD_LETTER`.
    """

    def __init__(self, client: bq.Client) -> None:
        self.row: dict[str, object] | None = None
        self.dead_letter: dict[str, object] | None = None
        self._client = client
        self._counts: dict[str, int] = {}
        self._shown_at: dict[str, float] = {}
        self._next_at = 0.0

    def look(self, counts: Mapping[str, int], streams: Mapping[str, str]) -> None:
        """Ask for what is new, given how many rows each table has, and the stream of each."""
        now = time.monotonic()
        if now < self._next_at:
            return
        changed = [table for table in streams if self._is_new(table, counts)]
        if changed:
            table = min(changed, key=lambda each: self._shown_at.get(each, 0))
            row = self._ask(table, tables.ROW, counts)
            self.row = self.row if row is None else {**row, "stream": streams[table]}
        if self._is_new(DEAD_LETTERS, counts):
            self.dead_letter = self._ask(DEAD_LETTERS, tables.DEAD_LETTER, counts) or self.dead_letter
        self._next_at = now + max(EVERY_S, (time.monotonic() - now) * SHARE)

    def _is_new(self, table: str, counts: Mapping[str, int]) -> bool:
        return counts.get(table, 0) > self._counts.get(table, 0)

    def _ask(
        self, table: str, columns: tuple[str, ...], counts: Mapping[str, int]
    ) -> dict[str, object] | None:
        self._counts[table], self._shown_at[table] = counts[table], time.monotonic()
        return tables.row_at(self._client, table, columns, counts[table] - 1)
