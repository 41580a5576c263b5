"""One look at every stage: what Kafka, the bridge, the function and BigQuery say at this moment."""

import contextlib
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import msgspec

from decoder.streams import DEAD_LETTERS, Stream
from local import tables
from local.latency import InsertLog
from local.newest import Newest
from local.offsets import Offsets
from local.processes import Process
from local.state import State
from local.tail import Tail

GROUP = "bridge"
RATES_OVER_S = 6.0
# Counting repeats reads every row: the next time waits for so many seconds, and so many times what this took.
REPEATS_EVERY_S, REPEATS_SHARE = 5.0, 50
NOT_ACKNOWLEDGED = (b"not acknowledged", b"did not take rows")


class Look(msgspec.Struct, frozen=True):
    """Counts since the start, some by stream; `rows` and `dead_letters` are inserts, so they include repeats.

    `at` is in seconds of the monotonic clock, `repeats` of when they were counted last, with `stored` inserts
    as `counted`. `retries` are the bridge's, `unacknowledged` the log lines of the function that say that a
    message comes again.
    """

    at: float
    produced: dict[str, int]
    forwarded: int
    rows: dict[str, int]
    dead_letters: int
    repeats: tables.Repeats
    counted: int
    retries: int
    unacknowledged: int
    newest_row: Mapping[str, object] | None
    newest_dead_letter: Mapping[str, object] | None

    @property
    def stored(self) -> int:
        """Rows and dead letters, repeats included."""
        return sum(self.rows.values()) + self.dead_letters

    @property
    def arrived(self) -> int:
        """Records that are in the tables, each once; since they were counted, as inserts.

        `counted` was read before the tables were, so what was inserted between the two is in both.
        """
        since = self.repeats.records + self.stored - self.counted
        return max(self.repeats.records, min(self.stored, since))

    @property
    def lag(self) -> int:
        """Records that are in Kafka only."""
        return max(0, sum(self.produced.values()) - self.forwarded)

    @property
    def in_flight(self) -> int:
        """Records that are forwarded and not stored: in Pub/Sub or in the function."""
        return max(0, self.forwarded - self.arrived)


class Rates(msgspec.Struct, frozen=True):
    """Events per second over the last seconds; `rows` by stream."""

    produced: float
    forwarded: float
    stored: float
    rows: dict[str, float]


class Watched:
    """All topics and tables that the run has had, also those that a reload has removed since."""

    def __init__(self, streams: Mapping[str, Stream]) -> None:
        self.streams: dict[str, Stream] = {}
        self.tables: dict[str, str] = {}
        self.topics: dict[str, str] = {}
        self.add(streams)

    def add(self, streams: Mapping[str, Stream]) -> None:
        """Watch these as well."""
        for name, stream in streams.items():
            known = self.streams.get(name)
            # What is in the former table of a stream stays there, and counts.
            label = name if known is None or known.table == stream.table else f"{name} ({stream.table})"
            self.streams[label] = stream
            self.tables.setdefault(stream.table, label)
            for topic in stream.topics:
                self.topics[topic.name] = label


class Looker:
    """Asks every stage; what does not answer keeps its last count."""

    def __init__(self, state: State, watched: Watched) -> None:
        log = Path(state.logs) / "function.log"
        self.inserts = InsertLog(log)
        self._watched = watched
        self._state = state
        self._client = state.bigquery
        self._offsets = Offsets(state.kafka)
        self._bridge: Process | None = None
        self._forwarded_before = self._retries_before = 0
        self._retry_log = Tail(log)
        self._newest = Newest(self._client)
        self._repeats_at = 0.0
        self._looks: deque[Look] = deque()
        self._last = Look(0, {}, 0, {}, 0, tables.Repeats(0, 0), 0, 0, 0, None, None)

    def look(self, bridge: Process, *, recount: bool = False) -> Look:
        """Ask every stage; `bridge` is the process that forwards now.

        With `recount` the tables are counted again, however short ago they were.
        """
        if recount:
            self._repeats_at = 0.0
        last = self._last
        forwarded, retries = self._ask_bridge(bridge)
        produced = self._offsets.records(self._watched.topics)
        self.inserts.read()
        now = time.monotonic()
        look = msgspec.structs.replace(
            last,
            at=now,
            produced=last.produced if produced is None else self._by_stream(produced),
            forwarded=forwarded,
            rows=self._rows(),
            dead_letters=self.inserts.rows[DEAD_LETTERS],
            retries=retries,
            unacknowledged=last.unacknowledged + self._count_unacknowledged(),
        )
        # Busy or gone: whether it still runs is asked elsewhere.
        with contextlib.suppress(*tables.NO_ANSWER):
            look = self._with_repeats(look)
            self._newest.look(self.inserts.rows, self._watched.tables)
        look = msgspec.structs.replace(
            look, newest_row=self._newest.row, newest_dead_letter=self._newest.dead_letter
        )
        self._last = look
        self._looks.append(look)
        while len(self._looks) > 2 and now - self._looks[0].at > RATES_OVER_S:  # noqa: PLR2004 - a rate needs two
            self._looks.popleft()
        return look

    def rates(self) -> Rates:
        """Return what changed over the last looks."""
        first, last = self._looks[0], self._looks[-1]
        seconds = max(last.at - first.at, 0.001)

        def rate(before: int, after: int) -> float:
            return max(0.0, (after - before) / seconds)

        return Rates(
            rate(sum(first.produced.values()), sum(last.produced.values())),
            rate(first.forwarded, last.forwarded),
            rate(first.stored, last.stored),
            {name: rate(first.rows.get(name, 0), count) for name, count in last.rows.items()},
        )

    def _by_stream(self, by_topic: Mapping[str, int]) -> dict[str, int]:
        counts = dict.fromkeys(self._watched.streams, 0)
        for topic, count in by_topic.items():
            counts[self._watched.topics[topic]] += count
        return counts

    def _ask_bridge(self, bridge: Process) -> tuple[int, int]:
        """Return forwarded records and retries over all bridges that this run has had."""
        if bridge is not self._bridge:
            if self._bridge is not None:
                # It begins where the group has committed, and counts from 0.
                committed = self._offsets.committed(GROUP, self._watched.topics)
                self._forwarded_before = self._last.forwarded if committed is None else committed
                self._retries_before = self._last.retries
            self._bridge = bridge
        counts = self._state.bridge_counts()
        if not counts:
            return self._last.forwarded, self._last.retries
        return self._forwarded_before + counts["forwarded"], self._retries_before + counts["retries"]

    def _count_unacknowledged(self) -> int:
        return sum(any(text in line for text in NOT_ACKNOWLEDGED) for line in self._retry_log.read())

    def _rows(self) -> dict[str, int]:
        rows = dict.fromkeys(self._watched.streams, 0)
        for table, stream in self._watched.tables.items():
            rows[stream] += self.inserts.rows[table]
        return rows

    def _with_repeats(self, look: Look) -> Look:
        before = time.monotonic()
        if before < self._repeats_at or look.stored == look.counted:
            return look
        try:
            repeats = tables.count_repeats(self._client, (*self._watched.tables, DEAD_LETTERS))
        finally:
            self._repeats_at = before + max(REPEATS_EVERY_S, (time.monotonic() - before) * REPEATS_SHARE)
        return msgspec.structs.replace(look, repeats=repeats, counted=look.stored)
