"""One run: start the stack, produce, watch the counts, and say at the end whether anything was lost."""

import sys
import time
from typing import Literal

import msgspec
from rich.console import Console, RenderableType
from rich.live import Live

from decoder.streams import DEAD_LETTERS
from local import show, tables
from local.processes import StartError
from local.producer import EventProducer
from local.stack import STATE_FILE, STATE_FOLDER, Stack, started

LOOK_EVERY_S = 2.0
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


class Summary(msgspec.Struct, frozen=True):
    """The last line of a run with --exit. Times run to the function's making of the row."""

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
    with started(options.pubsub, kafka=options.kafka) as stack:
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
    latency = tables.latency(watch.client, stack.streams)
    lost = watch.producer.produced - counts.total
    summary = Summary(
        produced=watch.producer.produced,
        rows=sum(counts.rows.values()),
        dead_letters=sum(counts.dead_letters.values()),
        duplicates=counts.duplicates,
        lost=lost,
        first_row_s=watch.first_row_s,
        p50_ms=latency.p50_ms,
        p99_ms=latency.p99_ms,
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
        self._stack = stack
        self._keep = options.keep
        self._started_at = started_at
        self._forwarded = 0
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
        rows = tables.count_rows(self.client, self._stack.streams)
        dead_letters = rows.pop(DEAD_LETTERS)
        arrived = sum([dead_letters, *rows.values()])
        now = time.monotonic()
        if self.first_row_s is None and any(rows.values()):
            self.first_row_s = round(now - self._started_at, 1)
        if arrived > self._arrived:
            self._arrived, self._arrived_at = arrived, now
        self._forwarded = self._stack.state.bridge_counts().get("forwarded", self._forwarded)
        produced = {name: self.producer.by_stream[name] for name in self._stack.streams}
        return show.progress(produced, self._forwarded, rows, dead_letters, now - self._started_at)

    def is_over(self) -> bool:
        """Return whether to stop looking: with --exit, once all is there or nothing moves any more."""
        if self._keep or not self.producer.done:
            return False
        if time.monotonic() - self._arrived_at > GIVE_UP_AFTER_S:
            return True
        # Repeats count in the cheap question, so the dear one has the last word.
        return (
            self._arrived >= self.producer.produced
            and tables.count(self.client, self._stack.streams).total >= self.producer.produced
        )
