"""The end of a run: the newest rows and dead letters, and whether anything was lost."""

import sys
from collections.abc import Sequence

import msgspec
from google.cloud import bigquery as bq
from rich.console import Console

from decoder.streams import DEAD_LETTERS, UNIQUE
from local import show, tables
from local.latency import InsertLog
from local.look import Look, Watched
from local.terminal import printable

SHOWN = 8


class Summary(msgspec.Struct, frozen=True, omit_defaults=True):
    """The last line of a run with --exit.

    p50_ms and p99_ms run from Kafka's timestamp to BigQuery's answer to the insert. Each row of an insert
    counts with the time of the oldest: an upper bound. Dead letters are not in them.

    A run that was stopped has two fields more: after how long, and what was still on its way then, which is
    not lost.
    """

    produced: int
    rows: int
    dead_letters: int
    duplicates: int
    lost: int
    first_row_s: float | None
    p50_ms: float | None
    p99_ms: float | None
    in_flight: int = 0
    stopped_after_s: float | None = None


def summarize(
    client: bq.Client,
    watched: Watched,
    look: Look,
    inserts: InsertLog,
    *,
    first_row_s: float | None,
    stopped_after_s: float | None,
) -> tuple[Summary, tables.Counts]:
    """Count all that has arrived, each record once."""
    counts = tables.count(client, watched.streams)
    produced = sum(look.produced.values())
    arrived = records(client, watched)
    summary = Summary(
        produced=produced,
        rows=sum(counts.rows.values()),
        dead_letters=sum(counts.dead_letters.values()),
        duplicates=counts.duplicates,
        lost=produced - arrived if stopped_after_s is None else 0,
        first_row_s=first_row_s,
        p50_ms=inserts.quantile_ms(0.5),
        p99_ms=inserts.quantile_ms(0.99),
        in_flight=0 if stopped_after_s is None else max(0, produced - arrived),
        stopped_after_s=stopped_after_s,
    )
    return summary, counts


def records(client: bq.Client, watched: Watched) -> int:
    """Return how many records of this run's Kafka are rows or dead letters."""
    return tables.count_repeats(client, (*watched.tables, DEAD_LETTERS)).records


def print_newest(console: Console, client: bq.Client, watched: Watched, counts: tables.Counts) -> None:
    """Print the newest rows and dead letters, each record once."""
    views = {f"{table}{UNIQUE}": stream for table, stream in watched.tables.items()}
    show.newest(console, tables.newest(client, views, SHOWN))
    letters = tables.newest_dead_letters(client, SHOWN, f"{DEAD_LETTERS}{UNIQUE}")
    show.newest_dead_letters(console, letters, counts)


def print_summary(console: Console, summary: Summary, *, as_json: bool) -> None:
    """Print it as the last line."""
    if as_json:
        print(msgspec.json.encode(summary).decode(), flush=True)
        return
    after = "" if summary.stopped_after_s is None else f"Stopped after {summary.stopped_after_s:.0f} s: "
    waiting = f", {summary.in_flight:,} were still on their way" if summary.in_flight else ""
    console.print(
        f"\n{after}{summary.produced:,} produced, {summary.rows:,} rows + "
        f"{summary.dead_letters:,} dead letters, "
        f"{summary.duplicates:,} repeats, {summary.lost:,} lost{waiting}.",
        soft_wrap=True,
    )


def say_refused(refused: Sequence[str]) -> None:
    """Say on stderr what Kafka did not take."""
    for refusal in refused[:SHOWN]:
        print(f"local: Kafka did not take an event: {printable(refusal)}", file=sys.stderr)
