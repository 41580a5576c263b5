"""What the person at the terminal sees: live counts from Kafka to BigQuery, then the newest rows."""

from collections.abc import Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from local.tables import Counts

EXAMPLE_QUERY = (
    ".venv/bin/python -m local query "
    '"SELECT event_type, COUNT(*) AS n FROM delivery_changed_unique GROUP BY event_type"'
)


def progress(
    produced: Mapping[str, int], forwarded: int, rows: Mapping[str, int], dead_letters: int, seconds: float
) -> RenderableType:
    """Return the live picture: a line of stages, and a table of streams."""
    stages = Text.assemble(
        ("Kafka ", "bold"),
        f"{sum(produced.values()):,} produced",
        ("  ─►  bridge ", "bold"),
        f"{forwarded:,} forwarded",
        ("  ─►  BigQuery ", "bold"),
        f"{sum(rows.values()):,} rows + {dead_letters:,} dead letters",
        (f"   {seconds:.0f} s", "dim"),
    )
    table = Table(box=None, pad_edge=False)
    table.add_column("stream")
    table.add_column("produced", justify="right")
    table.add_column("rows", justify="right")
    for stream, count in produced.items():
        table.add_row(stream, f"{count:,}", f"{rows.get(stream, 0):,}")
    return Group(stages, table)


def newest(console: Console, rows: Sequence[Mapping[str, object]]) -> None:
    """Print the newest rows."""
    table = _table("stream", "event_type", "partition:offset", "event_json")
    for row in rows:
        at = f"{row['kafka_partition']}:{row['kafka_offset']}"
        table.add_row(str(row["stream"]), str(row["event_type"]), at, Text(str(row["event_json"])))
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
    table = _table("reason", "topic/partition:offset", "message")
    for row in dead_letters:
        at = f"{row['kafka_topic']}/{row['kafka_partition']}:{row['kafka_offset']}"
        table.add_row(str(row["reason"]), at, Text(str(row["message"])))
    console.print(table)


def how_to_look_further(console: Console, logs: str) -> None:
    """Print a question to ask while the pipeline runs."""
    console.print("To look further while it runs, in another terminal:")
    console.print(f"  {EXAMPLE_QUERY}", soft_wrap=True, highlight=False, markup=False)
    console.print(f"  tail -f {logs}/*.log\n", soft_wrap=True, highlight=False, markup=False)


def _table(*columns: str) -> Table:
    """Return a table whose last column takes the room that is left."""
    table = Table(box=None, pad_edge=False, expand=True)
    for column in columns[:-1]:
        table.add_column(column, no_wrap=True)
    table.add_column(columns[-1], no_wrap=True, overflow="ellipsis", ratio=1)
    return table
