"""`python -m local query`: a question to the running pipeline's BigQuery, and its answer as asked for."""

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
# One machine's tables: what takes longer will not end.
DEADLINE_S = 30.0
# The client's own retries would ask again for ten minutes after a 500, which the emulator answers always.
_ONCE = Retry(predicate=lambda _: False)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `query` takes: `sql`, `form` and `limit` (None: the form's own)."""
    parser.add_argument("sql", metavar="SQL")
    forms = parser.add_mutually_exclusive_group()
    parser.set_defaults(form="table")
    forms.add_argument(
        "--json", dest="form", action="store_const", const="json", help="a JSON object a line for each row"
    )
    forms.add_argument(
        "--csv", dest="form", action="store_const", const="csv", help="with a header; nested values as JSON"
    )
    parser.add_argument(
        "--limit",
        type=_limit,
        metavar="N",
        help=f"rows to show at most, 0: all (default: {DEFAULT_ROWS}, with --json and --csv all)",
    )


def query(console: Console, client: bq.Client, sql: str, form: Form, limit: int | None) -> int:
    """Send SQL and print what comes back.

    A table without a dataset is of the pipeline's. `limit` is the most rows to print: 0 for all, None for 100
    in a table and all in the other forms. Returns the exit status: 1 where there is no answer, and why is a
    line on stderr.
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
        # `| head` has read enough. Python flushes once more at its end, which must not fail either.
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
    # The client appends the error's fields, and the emulator DuckDB's SQL under its own.
    return text.partition("; reason: ")[0].partition("\n")[0]


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rows")
    return int(text)
