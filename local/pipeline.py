"""One run: start the stack, produce, watch the counts, and say at the end whether anything was lost."""

import sys
import time
from typing import Literal

import msgspec
from rich.console import Console, RenderableType
from rich.live import Live

from decoder.streams import DEAD_LETTERS
from local import show, tables
from local.latency import InsertLog
from local.processes import StartError
from local.producer import EventProducer
from local.stack import STATE_FILE, STATE_FOLDER, Stack, started

LOOK_EVERY_S = 0.5
# With --exit: nothing new has arrived for so long, so nothing will.
GIVE_UP_AFTER_S = 90.0
SHOWN = 8


class Options(msgspec.Struct, frozen=True):
    """What the command line asked for; `events` None has no end."""

    events: int | None
    rate: float
    keep: bool
    kafka: Literal["embedded", "real"]
    pubsub: Literal["emulator", "embedded"]
    seed: int
    bridge_env: dict[str, str] = {}


class Summary(msgspec.Struct, frozen=True):
    """The last line of a run with --exit.

    p50_ms and p99_ms run from Kafka's timestamp to BigQuery's answer to the insert. Each row of an insert
    counts with the time of the oldest: an upper bound. Dead letters are not in them.
    """

    produced: int
    rows: int
    dead_letters: int
    duplicates: int
    lost: int
    first_row_s: float | None
    p50_ms: float | None
    p99_ms: float | None


def run(console: Console, options: Options) -> int:
    """Run the pipeline; 0 when nothing was lost."""
    started_at = time.monotonic()
    console.print(
        f"Starting Kafka ({options.kafka}), Pub/Sub ({options.pubsub}), BigQuery, "
        "the function and the bridge …"
    )
    with started(options.pubsub, kafka=options.kafka, bridge_env=options.bridge_env) as stack:
        STATE_FOLDER.mkdir(exist_ok=True)
        STATE_FILE.write_bytes(msgspec.json.encode(stack.state))
        console.print(f"All five are up after {time.monotonic() - started_at:.1f} s.\n")
        if options.keep:
            show.how_to_look_further(console, stack.state.logs)
        try:
            return _watch(console, options, stack, started_at)
        finally:
            STATE_FILE.unlink(missing_ok=True)


def _watch(console: Console, options: Options, stack: Stack, started_at: float) -> int:
    watch = _Watch(stack, options, started_at)
    watch.producer.start()
    try:
        with Live(console=console, refresh_per_second=4) as live:
            while not watch.is_over():
                live.update(watch.look())
                time.sleep(LOOK_EVERY_S)
            live.update(watch.look())
    except KeyboardInterrupt:
        if not options.keep:
            raise
    console.print()
    watch.producer.stop()
    counts = tables.count(watch.client, stack.streams)
    show.newest(console, tables.newest(watch.client, stack.streams, SHOWN))
    show.newest_dead_letters(console, tables.newest_dead_letters(watch.client, SHOWN), counts)
    if options.keep:
        return 0
    lost = watch.producer.produced - counts.total
    summary = Summary(
        produced=watch.producer.produced,
        rows=sum(counts.rows.values()),
        dead_letters=sum(counts.dead_letters.values()),
        duplicates=counts.duplicates,
        lost=lost,
        first_row_s=watch.first_row_s,
        p50_ms=watch.inserts.quantile_ms(0.5),
        p99_ms=watch.inserts.quantile_ms(0.99),
    )
    for refusal in watch.producer.refused[:SHOWN]:
        print(f"local: Kafka did not take an event: {refusal}", file=sys.stderr)
    if summary.produced != options.events:
        print(f"local: {summary.produced} of {options.events} events were produced", file=sys.stderr)
    print(msgspec.json.encode(summary).decode(), flush=True)
    return 0 if lost == 0 and summary.produced == options.events else 1


class _Watch:
    """Looks at every stage, and knows when all has arrived or nothing more will."""

    def __init__(self, stack: Stack, options: Options, started_at: float) -> None:
        self.client = stack.state.bigquery
        self.first_row_s: float | None = None
        self.inserts = InsertLog(stack.processes["function"].log)
        self._stack = stack
        self._keep = options.keep
        self._started_at = started_at
        self._forwarded = self._before = self._since_start = 0
        self._arrived = 0
        self._arrived_at = time.monotonic()
        self.producer = EventProducer(
            stack.cluster,
            {topic.name: name for name, stream in stack.streams.items() for topic in stream.topics},
            limit=options.events,
            rate=options.rate,
            seed=options.seed,
            forwarded=lambda: self._forwarded,
        )

    def look(self) -> RenderableType:
        """Ask every stage, and return the picture.

        Raises:
            StartError: one of the processes has ended.
        """
        for process in self._stack.processes.values():
            if process.exit_code() is not None:
                raise StartError(f"{process.name} ended with {process.exit_code()}: see {process.log}")
        self.inserts.read()
        rows = {name: self.inserts.rows[stream.table] for name, stream in self._stack.streams.items()}
        dead_letters = self.inserts.rows[DEAD_LETTERS]
        arrived = sum([dead_letters, *rows.values()])
        now = time.monotonic()
        if self.first_row_s is None and any(rows.values()):
            self.first_row_s = round(now - self._started_at, 1)
        if arrived > self._arrived:
            self._arrived, self._arrived_at = arrived, now
        self._note_forwarded(self._stack.state.bridge_counts().get("forwarded"))
        produced = {name: self.producer.by_stream[name] for name in self._stack.streams}
        return show.progress(produced, self._forwarded, rows, dead_letters, now - self._started_at)

    def _note_forwarded(self, since_start: int | None) -> None:
        if since_start is None:
            return
        if since_start < self._since_start:  # a bridge that was started again counts from 0
            self._before += self._since_start
        self._since_start = since_start
        self._forwarded = self._before + since_start

    def is_over(self) -> bool:
        """Return whether to stop looking: with --exit, once all is there or nothing moves any more."""
        if self._keep or not self.producer.done:
            return False
        if time.monotonic() - self._arrived_at > GIVE_UP_AFTER_S:
            return True
        # Repeats count in the function's log, so BigQuery has the last word.
        return (
            self._arrived >= self.producer.produced
            and tables.count(self.client, self._stack.streams).total >= self.producer.produced
        )
