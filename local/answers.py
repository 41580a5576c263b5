"""Prints the rows of an answer: as a table for people, as JSON or CSV for programs."""

import csv
import itertools
import math
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import IO

import msgspec
from google.cloud.bigquery.table import RowIterator
from rich.console import Console
from rich.table import Table
from rich.text import Text

from local.terminal import printable

# JSON allows these unescaped, but a terminal acts on them: DEL, C1, and changes of text direction.
_UNSAFE = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def print_table(console: Console, rows: RowIterator, limit: int) -> None:
    """Print a table of at most `limit` rows (0: all), then the number of rows shown and in all."""
    table = Table(box=None, pad_edge=False)
    for field in rows.schema:
        table.add_column(Text(printable(field.name)))
    shown = 0
    for values in _first(rows, limit):
        table.add_row(*(Text(printable(_text(_each(_readable, value)))) for value in values))
        shown += 1
    total = rows.total_rows or shown
    if shown < total:
        below = f"{shown:,} of {counted(total)}; --limit 0, --json or --csv shows all"
    else:
        below = counted(total)
    # Printed by hand: on a broken pipe Rich exits by itself, with status 1.
    with console.capture() as capture:
        console.print(table)
        console.print(below, style="dim", highlight=False)
    console.file.write(capture.get())


def print_json(file: IO[str], rows: RowIterator, limit: int) -> None:
    """Write each row as one line of JSON: bytes as base64, decimals as strings."""
    names = [field.name for field in rows.schema]
    for values in _first(rows, limit):
        file.write(f"{_json(dict(zip(names, values, strict=True)))}\n")


def print_csv(file: IO[str], rows: RowIterator, limit: int) -> None:
    """Write a header and the rows: NULL as an empty field, bytes as base64, nested values as JSON."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(field.name for field in rows.schema)
    writer.writerows(
        [None if value is None else _text(value) for value in row] for row in _first(rows, limit)
    )


def counted(n: int) -> str:
    """Return a number of rows as text."""
    return f"{n:,} row" if n == 1 else f"{n:,} rows"


def _first(rows: RowIterator, limit: int) -> Iterator[tuple[object, ...]]:
    for row in itertools.islice(rows, limit or None):
        yield row.values()


def _text(value: object) -> str:
    """Return a value as text: its JSON, without the quotes if it is a string."""
    if isinstance(value, str):
        return value
    text = _json(value)
    return text[1:-1] if text.startswith('"') else text


def _json(value: object) -> str:
    text = msgspec.json.encode(_each(_as_bigquery, value), enc_hook=str).decode()
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _as_bigquery(value: object) -> object:
    """Return the value, or BigQuery's text: for a decimal, and for a float that JSON cannot represent."""
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def _readable(value: object) -> object:
    """Return the value, bytes as text: keys and headers nearly always are text."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


def _each(change: Callable[[object], object], value: object) -> object:
    """Return the value with the function applied to each scalar in it."""
    if isinstance(value, dict):
        return {name: _each(change, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_each(change, inner) for inner in value]
    return change(value)
