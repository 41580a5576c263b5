"""The row and the dead letter that came last, asked for as often as they are cheap."""

import time
from collections.abc import Mapping

from google.cloud import bigquery as bq

from decoder.streams import DEAD_LETTERS
from local import tables

# After a query, the next one waits for so many times what it took, within these bounds.
SHARE = 15
EVERY_S, AT_LEAST_EVERY_S, AFTER_FAILURE_S = 1.0, 2.5, 30.0


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
        self._since: dict[str, int] = {}
        self._letter_was_last = False
        self._next_at = 0.0

    def look(self, counts: Mapping[str, int], streams: Mapping[str, str]) -> None:
        """Ask for what is new, given how many rows each table has, and the stream of each."""
        now = time.monotonic()
        if now < self._next_at:
            return
        wait = AFTER_FAILURE_S
        try:
            # In turns: one query is enough at a time.
            if self._is_new(DEAD_LETTERS, counts) and not self._letter_was_last:
                self._ask_dead_letter(counts)
            else:
                self._ask_row(counts, streams)
            wait = min(AT_LEAST_EVERY_S, max(EVERY_S, (time.monotonic() - now) * SHARE))
        finally:
            self._next_at = time.monotonic() + wait

    def _ask_dead_letter(self, counts: Mapping[str, int]) -> None:
        self._letter_was_last = True
        self._note(DEAD_LETTERS, counts)
        self.dead_letter = next(iter(tables.newest_dead_letters(self._client, 1)), self.dead_letter)

    def _ask_row(self, counts: Mapping[str, int], streams: Mapping[str, str]) -> None:
        self._letter_was_last = False
        changed = [table for table in streams if self._is_new(table, counts)]
        if not changed:
            return
        table = min(changed, key=lambda each: self._shown_at.get(each, 0))
        self._note(table, counts)
        # Not by list_rows, for which the emulator would use its connection from a second thread.
        rows = tables.newest(self._client, {table: streams[table]}, 1, self._since.get(table, 0))
        if rows:
            self.row = rows[0]
            self._since[table] = int(str(self.row["stream_timestamp"]))

    def _is_new(self, table: str, counts: Mapping[str, int]) -> bool:
        return counts.get(table, 0) > self._counts.get(table, 0)

    def _note(self, table: str, counts: Mapping[str, int]) -> None:
        self._counts[table], self._shown_at[table] = counts[table], time.monotonic()
