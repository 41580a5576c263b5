"""What the person at the terminal sees: live counts from Kafka to BigQuery, then the newest rows.

Text from a record or from a user's file is always a `Text` of `printable`: rich would take `[/red]` in a
string for markup, and a terminal takes escape sequences for commands.
"""

from collections.abc import Mapping, Sequence
from string import Template

from rich.console import Console, ConsoleOptions, Group, OverflowMethod, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from local.look import Look, Rates
from local.tables import Counts
from local.terminal import printable

EXAMPLE_QUERY = (
    ".venv/bin/python -m local query "
    '"SELECT event_type, COUNT(*) AS n FROM ${table}_unique GROUP BY event_type"'
)
# Lines of the picture that are not streams.
OTHER_LINES = 9


class Picture:
    """The live picture: the stages, their rates and what waits between them, each stream, what came last."""

    def __init__(self, look: Look, rates: Rates, seconds: float) -> None:
        self._look = look
        self._rates = rates
        self._seconds = seconds

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw for the width, the height and the characters of this console."""
        yield stages(self._look, self._seconds, ascii_only=options.ascii_only)
        yield flow(self._look, self._rates, ascii_only=options.ascii_only)
        yield self._streams(max(3, console.height - OTHER_LINES))
        yield _newest(self._look, ascii_only=options.ascii_only)
        # The last line is short: the terminal echoes ^C behind it, and must not begin a new one for that.
        yield Text("Ctrl-C stops it and counts what has arrived.", "dim")

    def _streams(self, most: int) -> RenderableType:
        table = Table(box=None, pad_edge=False)
        table.add_column("stream")
        for name in ("produced", "rows", "rows/s"):
            table.add_column(name, justify="right")
        produced, rows = self._look.produced, self._look.rows
        for stream in list(produced)[:most]:
            counts = (f"{produced[stream]:,}", f"{rows.get(stream, 0):,}")
            table.add_row(Text(printable(stream)), *counts, f"{self._rates.rows.get(stream, 0):,.0f}")
        more = len(produced) - most
        return Group(table, Text(f"and {more} more", "dim")) if more > 0 else table


def stages(look: Look, seconds: float, *, ascii_only: bool) -> Text:
    """Return the line of stages: what has reached each of them."""
    arrow = "  -->  " if ascii_only else "  ─►  "
    return Text.assemble(
        ("Kafka ", "bold"),
        f"{sum(look.produced.values()):,} produced",
        (f"{arrow}bridge ", "bold"),
        f"{look.forwarded:,} forwarded",
        (f"{arrow}BigQuery ", "bold"),
        f"{max(0, look.arrived - look.dead_letters):,} rows + {look.dead_letters:,} dead letters",
        (f"   {seconds:.0f} s", "dim"),
    )


def flow(look: Look, rates: Rates, *, ascii_only: bool) -> Text:
    """Return the line of rates, lag, retries and repeats."""
    dot = " | " if ascii_only else " · "
    retries = look.retries + look.unacknowledged
    per_second = (
        f"{rates.produced:,.0f} produced, {rates.forwarded:,.0f} forwarded, {rates.stored:,.0f} stored"
    )
    parts = (
        f"per second: {per_second}",
        f"lag {look.lag:,}",
        f"in flight {look.in_flight:,}",
        f"retries: bridge {look.retries:,}, function {look.unacknowledged:,}" if retries else "retries 0",
        f"repeats {look.repeats.rows:,}",
    )
    return Text(dot.join(parts), "dim")


def _newest(look: Look, *, ascii_only: bool) -> RenderableType:
    """Return the newest row and the newest dead letter, a line each."""
    table = Table(box=None, pad_edge=False, expand=True, show_header=False)
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="crop" if ascii_only else "ellipsis", ratio=1)
    if (row := look.newest_row) is not None:
        what = f"{row['stream']} {row['event_type']}"
        table.add_row("newest row", _cell(what), _position(row), _cell(row["event_json"]))
    if (letter := look.newest_dead_letter) is not None:
        table.add_row(
            "newest dead letter", _cell(letter["reason"]), _position(letter), _cell(letter["message"])
        )
    return table


def newest(console: Console, rows: Sequence[Mapping[str, object]]) -> None:
    """Print the newest rows."""
    table = _table(console, "stream", "event_type", "partition:offset", "event_json")
    for row in rows:
        at = f"{row['kafka_partition']}:{row['kafka_offset']}"
        table.add_row(_cell(row["stream"]), _cell(row["event_type"]), at, _cell(row["event_json"]))
    console.print("\nNewest rows", style="italic")
    console.print(table)


def newest_dead_letters(
    console: Console, dead_letters: Sequence[Mapping[str, object]], counts: Counts
) -> None:
    """Print the newest dead letters, under their numbers by reason."""
    by_reason = ", ".join(f"{reason} {n}" for reason, n in counts.dead_letters.items())
    console.print(f"\nNewest dead letters: {by_reason or 'none'}", style="italic", highlight=False)
    if not dead_letters:
        return
    table = _table(console, "reason", "topic/partition:offset", "message")
    for row in dead_letters:
        table.add_row(_cell(row["reason"]), _position(row), _cell(row["message"]))
    console.print(table)


def how_to_look_further(console: Console, logs: str, table: str) -> None:
    """Print a question about a table, to ask while the pipeline runs."""
    console.print("To look further while it runs, in another terminal:")
    console.print(
        f"  {Template(EXAMPLE_QUERY).substitute(table=table)}", soft_wrap=True, highlight=False, markup=False
    )
    console.print(f"  tail -f {logs}/*.log\n", soft_wrap=True, highlight=False, markup=False)


def _table(console: Console, *columns: str) -> Table:
    """Return a table whose last column takes the room that is left."""
    table = Table(box=None, pad_edge=False, expand=True)
    for column in columns[:-1]:
        table.add_column(column, no_wrap=True)
    overflow: OverflowMethod = "crop" if console.options.ascii_only else "ellipsis"
    table.add_column(columns[-1], no_wrap=True, overflow=overflow, ratio=1)
    return table


def _position(row: Mapping[str, object]) -> Text:
    return _cell(f"{row['kafka_topic']}/{row['kafka_partition']}:{row['kafka_offset']}")


def _cell(value: object) -> Text:
    return Text(printable(value))
