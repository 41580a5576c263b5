"""One run: start the stack, produce, watch it, and say at the end whether anything was lost."""

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

import msgspec
from rich.console import Console

from decoder.catalog import Catalog
from decoder.streams import CatalogError, catalog_files, load_streams
from local import bigquery, runs, show, tables, verdict
from local.interrupts import interrupts
from local.look import Look, Looker, Watched
from local.producer import EventProducer
from local.records import sample_records
from local.reload import Reload, Watcher
from local.screen import Screen
from local.spoil import LocalRecord
from local.stack import DATASET, Ports, Stack, started
from local.supervise import Supervisor

LOOK_EVERY_S = 0.5
# With --exit: nothing new has arrived for so long, so nothing will.
GIVE_UP_AFTER_S = 90.0
# After Ctrl-C, what is on its way may still arrive; another Ctrl-C does not wait.
DRAIN_S = 6.0


class Options(msgspec.Struct, frozen=True):
    """What the command line asked for; `events` None has no end, `as_json` is of the last line."""

    events: int | None
    rate: float
    keep: bool
    kafka: Literal["embedded", "real"]
    pubsub: Literal["emulator", "embedded"]
    seed: int
    as_json: bool
    bridge_env: dict[str, str]
    ports: Ports


def run(console: Console, options: Options) -> int:
    """Run the pipeline; 0 when nothing was lost, 130 when it was stopped before its end."""
    started_at = time.monotonic()
    for line in runs.clean_up(runs.FOLDER):
        console.print(line, soft_wrap=True)
    dots = "..." if console.options.ascii_only else "…"
    console.print(
        f"Starting Kafka ({options.kafka}), Pub/Sub ({options.pubsub}), BigQuery, "
        f"the function and the bridge {dots}",
        soft_wrap=True,
    )
    with started(
        options.pubsub, kafka=options.kafka, bridge_env=options.bridge_env, ports=options.ports
    ) as stack:
        console.print(f"All five are up after {time.monotonic() - started_at:.1f} s.\n")
        if options.keep:
            show.how_to_look_further(console, stack.state.logs, stack.catalog.tables[0])
        try:
            return _Run(console, options, stack, started_at).until_the_end()
        finally:
            interrupts.disarm()


class _Run:
    """Watches a stack until all has arrived, nothing more will, or someone stops it."""

    def __init__(self, console: Console, options: Options, stack: Stack, started_at: float) -> None:
        self._console = console
        self._options = options
        self._stack = stack
        self._started_at = started_at
        self._client = stack.state.bigquery
        self._watched = Watched(stack.streams)
        self._looker = Looker(stack.state, self._watched)
        self._supervisor = Supervisor(stack, again=options.keep)
        self._watcher = Watcher(catalog_files(), stack.snapshot, stack.catalog, stack.snapshot.parent)
        self._look: Look | None = None
        self._own_forwarded = 0
        self._catalogs = 0
        self._said_problem: str | None = None
        self._topics = set(stack.catalog.topics)
        self._first_row_s: float | None = None
        self._stored, self._stored_at = 0, time.monotonic()
        self._producer = EventProducer(
            stack.cluster,
            self._watched.topics,
            limit=options.events,
            rate=options.rate,
            events=self._records(stack.catalog),
            forwarded=lambda: self._own_forwarded,
        )

    def until_the_end(self) -> int:
        """Produce and watch, and return the exit code."""
        stopped_after_s = None
        self._producer.start()
        try:
            with Screen(self._console, self._started_at) as screen:
                while not self._is_over():
                    self._turn(screen)
                    time.sleep(LOOK_EVERY_S)
                screen.show(self._ask(recount=True), self._looker.rates(), last=True)
        except KeyboardInterrupt:
            stopped_after_s = round(time.monotonic() - self._started_at, 1)
            interrupts.arm()
        try:
            return self._verdict(stopped_after_s)
        except KeyboardInterrupt:
            why = "stopped again before all was counted"
        except tables.NO_ANSWER:
            why = "BigQuery's emulator does not answer"
        self._console.print(f"\n{self._in_short()}; {why}.", soft_wrap=True)
        return 130 if stopped_after_s is not None else 1

    def _in_short(self) -> str:
        """Return what the last look saw, where BigQuery is not asked."""
        seconds, look = time.monotonic() - self._started_at, self._look
        if look is None:
            return f"Stopped after {seconds:.0f} s"
        return (
            f"Stopped after {seconds:.0f} s: {sum(look.produced.values()):,} produced, "
            f"{look.stored:,} stored, repeats included"
        )

    def _turn(self, screen: Screen) -> None:
        """Look after the processes and the catalog, and show the picture."""
        interrupts.check()
        for line in self._supervisor.look():
            screen.say(line)
        if self._producer.problem != self._said_problem:
            self._said_problem = self._producer.problem
            if self._said_problem:
                screen.say(f"No more sample events until the catalog changes: {self._said_problem}")
        if self._options.keep:
            found = self._watcher.look()
            if isinstance(found, Reload):
                self._reload(found, screen)
            elif found is not None:
                screen.say(found)
        screen.show(self._ask(), self._looker.rates())

    def _ask(self, *, recount: bool = False) -> Look:
        look = self._look = self._looker.look(self._supervisor.bridge, recount=recount)
        now = time.monotonic()
        # What `send` produced is forwarded too, and makes no room for what the producer holds back.
        self._own_forwarded = look.forwarded - max(0, sum(look.produced.values()) - self._producer.produced)
        if self._first_row_s is None and any(look.rows.values()):
            self._first_row_s = round(now - self._started_at, 1)
        if look.stored > self._stored:
            self._stored, self._stored_at = look.stored, now
        return look

    def _is_over(self) -> bool:
        """Return whether to stop looking: with --exit, once all is there or nothing moves any more."""
        if self._options.keep or not self._producer.done or self._look is None:
            return False
        if time.monotonic() - self._stored_at > GIVE_UP_AFTER_S:
            return True
        # Repeats count in the function's log, so BigQuery has the last word.
        produced = sum(self._look.produced.values())
        try:
            return self._look.stored >= produced and verdict.records(self._client, self._watched) >= produced
        except tables.NO_ANSWER:
            return False

    def _reload(self, reload: Reload, screen: Screen) -> None:
        """Make what is new, and start again what reads the catalog."""
        streams = load_streams(reload.snapshot / "streams.yaml")
        old_topics = set(self._watched.topics)
        self._watched.add(streams)
        new_topics = [topic for topic in reload.catalog.topics if topic not in old_topics]
        screen.say(f"{reload.line}. The function starts again.")
        bigquery.create_tables(self._client, DATASET, streams)
        for topic in new_topics:
            self._stack.cluster.create_topic(topic)
        try:
            self._producer.replace(self._records(reload.catalog), self._watched.topics)
        except CatalogError as error:
            screen.say(f"The sample events stay those of the catalog before: {error}")
        self._supervisor.restart_function(reload.snapshot)
        if set(reload.catalog.topics) != self._topics:
            self._supervisor.restart_bridge(reload.catalog.topics)
        self._topics = set(reload.catalog.topics)

    def _records(self, catalog: Catalog) -> Iterator[LocalRecord]:
        # Each catalog has a seed of its own: the same one would give the same ids again.
        self._catalogs += 1
        return sample_records(catalog, self._options.seed + self._catalogs - 1, lambda: datetime.now(UTC))

    def _drain(self) -> None:
        """Wait a moment for what is on its way."""
        deadline = time.monotonic() + DRAIN_S
        while time.monotonic() < deadline:
            look = self._ask()
            if not look.lag and not look.in_flight:
                return
            time.sleep(0.2)

    def _verdict(self, stopped_after_s: float | None) -> int:
        self._producer.stop()
        if stopped_after_s is not None:
            self._drain()
        look = self._ask()
        summary, counts = verdict.summarize(
            self._client,
            self._watched,
            look,
            self._looker.inserts,
            first_row_s=self._first_row_s,
            stopped_after_s=stopped_after_s,
        )
        self._console.print()
        verdict.print_newest(self._console, self._client, self._watched, counts)
        verdict.say_refused(self._producer.refused)
        options = self._options
        is_complete = options.events is None or self._producer.produced == options.events
        if not is_complete:
            print(
                f"local: {self._producer.produced} of {options.events} events were produced", file=sys.stderr
            )
        verdict.print_summary(self._console, summary, as_json=options.as_json)
        if stopped_after_s is not None and not options.keep:
            return 130
        return 0 if summary.lost == 0 and not self._producer.refused and (options.keep or is_complete) else 1
