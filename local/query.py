"""`python -m local query`: sends SQL to the running pipeline's BigQuery and prints the answer."""

import argparse
import os
import sys
from typing import Literal

import requests
from google.api_core.exceptions import GoogleAPICallError, ServerError
from google.api_core.retry import Retry
from google.cloud import bigquery as bq
from rich.console import Console

from local import answers
from local.sql import qualify
from local.stack import DATASET

Form = Literal["table", "json", "csv"]

DEFAULT_ROWS = 100
# The tables of one machine are small: a longer query is stuck.
DEADLINE_S = 30.0
# By default the client retries a 500 for ten minutes, but the emulator's do not go away.
_ONCE = Retry(predicate=lambda _: False)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `query` takes: `sql`, `form` and `limit` (None: the form's own)."""
    parser.add_argument("sql", metavar="SQL")
    forms = parser.add_mutually_exclusive_group()
    parser.set_defaults(form="table")
    forms.add_argument(
        "--json", dest="form", action="store_const", const="json", help="print each row as one line of JSON"
    )
    forms.add_argument(
        "--csv",
        dest="form",
        action="store_const",
        const="csv",
        help="print CSV with a header; nested values as JSON",
    )
    parser.add_argument(
        "--limit",
        type=_limit,
        metavar="N",
        help=f"print at most N rows; 0 prints all (default: {DEFAULT_ROWS}, all with --json and --csv)",
    )


def query(console: Console, client: bq.Client, sql: str, form: Form, limit: int | None) -> int:
    """Send SQL and print what comes back.

    Table names without a dataset refer to the pipeline's. `limit` is the largest number of rows to print: 0
    for all, None for 100 as a table and all in the other forms. Returns the exit status: 1 if the query
    failed, with the reason as one line on stderr.
    """
    try:
        job = client.query(qualify(sql, DATASET), retry=_ONCE, job_retry=None, timeout=DEADLINE_S)
        rows = job.result(retry=_ONCE, job_retry=None, timeout=DEADLINE_S)
        said = console.file if form == "table" else sys.stderr
        if job.num_dml_affected_rows is not None:
            print(f"{answers.counted(job.num_dml_affected_rows)} changed", file=said)
        elif job.ddl_operation_performed is not None:
            print("done", file=said)
        elif form == "table":
            answers.print_table(console, rows, DEFAULT_ROWS if limit is None else limit)
        elif form == "json":
            answers.print_json(console.file, rows, limit or 0)
        else:
            answers.print_csv(console.file, rows, limit or 0)
        console.file.flush()
    except BrokenPipeError:
        # The reader, such as `head`, has closed the pipe. Python flushes again at exit, which must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (GoogleAPICallError, requests.RequestException, TimeoutError) as error:
        print(f"local: {_explained(error)}", file=sys.stderr)
        return 1
    return 0


def _explained(error: Exception) -> str:
    if isinstance(error, requests.ConnectionError):
        return "BigQuery's emulator does not answer: is the pipeline still running?"
    if isinstance(error, (requests.Timeout, TimeoutError)):
        return f"BigQuery's emulator has no answer after {DEADLINE_S:g} s: ask for less"
    if isinstance(error, ServerError):
        return (
            f"BigQuery's emulator failed ({error.code}); it lacks parts of BigQuery's SQL. "
            "Why is in its log: bigquery.log in the newest .local/run-…"
        )
    text = error.message if isinstance(error, GoogleAPICallError) else str(error)
    # Keep the first line: the client appends the error's fields, the emulator DuckDB's translated SQL.
    return text.partition("; reason: ")[0].partition("\n")[0]


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rows")
    return int(text)
