"""`python -m local`: the whole pipeline on this machine, from sample events in Kafka to rows in BigQuery."""

import argparse
import contextlib
import math
import signal
import sys

import msgspec
from rich.console import Console

from local import bridge_settings, query
from local.pipeline import Options, run
from local.processes import StartError
from local.stack import STATE_FILE, State, default_pubsub

DEFAULT_RATE = 300.0  # two cores hold several times that; see `make bench-local`


def main() -> int:
    """Run the pipeline or ask it a question; 0 when nothing was lost."""
    # A log file or a pipe has no width of its own.
    console = Console(width=None if sys.stdout.isatty() else 140)
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.command == "query":
        return _query(console, arguments)
    keep = arguments.keep or (sys.stdout.isatty() and not arguments.exit)
    options = Options(
        events=arguments.events if arguments.events is not None else (None if keep else 500),
        rate=arguments.rate,
        keep=keep,
        kafka=arguments.kafka,
        pubsub=arguments.pubsub or default_pubsub(),
        seed=arguments.seed,
        bridge_env=bridge_settings.environment(arguments),
    )
    # A plain `kill`, or a closed terminal, must leave no process behind either.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        return run(console, options)
    except KeyboardInterrupt:
        console.print("stopped")
        return 130
    except (StartError, TimeoutError, FileNotFoundError) as error:
        print(f"local: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument(
        "--events",
        type=_positive,
        metavar="N",
        help="how many (default: 500 with --exit, no end with --keep)",
    )
    parser.add_argument(
        "--rate", type=_rate, default=DEFAULT_RATE, metavar="R", help="events a second (default: %(default)g)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the sample events (default: 1)")
    parser.add_argument(
        "--kafka",
        choices=("embedded", "real"),
        default="embedded",
        help="librdkafka's mock cluster (default), or Apache Kafka, which Maven fetches at the first run",
    )
    parser.add_argument(
        "--pubsub",
        choices=("emulator", "embedded"),
        help="the gcloud CLI's emulator (default where it is installed), or the stand-in of this repository",
    )
    bridge_settings.add_arguments(parser)
    ending = parser.add_mutually_exclusive_group()
    ending.add_argument(
        "--exit", action="store_true", help="stop when all has arrived; the last line is JSON"
    )
    ending.add_argument("--keep", action="store_true", help="stay up, and produce on (default on a terminal)")
    commands = parser.add_subparsers(dest="command", metavar="")
    query.add_arguments(
        commands.add_parser("query", help='ask the running pipeline\'s BigQuery: query "SELECT …"')
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of events")
    return int(text)


def _rate(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of events a second")


def _query(console: Console, arguments: argparse.Namespace) -> int:
    try:
        state = msgspec.json.decode(STATE_FILE.read_bytes(), type=State)
    except FileNotFoundError:
        print("local: nothing is running here: start it with `make run`", file=sys.stderr)
        return 1
    return query.query(console, state.bigquery, arguments.sql, arguments.form, arguments.limit)


if __name__ == "__main__":
    sys.exit(main())
