"""The command line of `python -m local`."""

import argparse
import contextlib
import errno
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from decoder.streams import CATALOG, CatalogError
from local import bridge_settings, environment, query, runs, send
from local.pipeline import Options, run
from local.processes import StartError
from local.stack import Ports, default_pubsub
from local.terminal import open_console, printable_lines

DEFAULT_RATE = 300.0  # two cores hold several times that; see `make bench-local`


def execute(arguments: Sequence[str]) -> int:
    """Run the pipeline, or ask or tell the running one something; return the exit code."""
    console = open_console()
    parsed = _parser().parse_args(arguments)
    try:
        if parsed.command == "query":
            client = runs.running(parsed.run).bigquery
            return query.query(console, client, parsed.sql, parsed.form, parsed.limit)
        if parsed.command == "env":
            print(environment.exports(runs.running(parsed.run)), end="")
            return 0
        if parsed.command == "send":
            return send.send(runs.running(parsed.run), parsed)
        return run(console, _options(parsed))
    except (
        StartError,
        TimeoutError,
        CatalogError,
        send.SendError,
        runs.NotRunningError,
        FileNotFoundError,
    ) as error:
        print(f"local: {printable_lines(error)}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise
        # Whoever read the output is gone. Python flushes once more at its end, which must not fail either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _options(parsed: argparse.Namespace) -> Options:
    if parsed.kafka_port is not None and parsed.kafka != "real":
        raise StartError(
            "--kafka-port is for --kafka real: the mock cluster listens where it finds a free port"
        )
    if parsed.catalog is not None:
        # Not only for this process: the function and the commands of the decoder read it too.
        os.environ[CATALOG] = str(parsed.catalog.resolve())
    keep = parsed.keep or (sys.stdout.isatty() and not parsed.exit)
    return Options(
        events=parsed.events if parsed.events is not None else (None if keep else 500),
        rate=parsed.rate,
        keep=keep,
        kafka=parsed.kafka,
        pubsub=parsed.pubsub or default_pubsub(),
        seed=parsed.seed,
        as_json=parsed.exit or not sys.stdout.isatty(),
        bridge_env=bridge_settings.environment(parsed),
        ports=Ports(
            pubsub=parsed.pubsub_port,
            bigquery=parsed.bigquery_port,
            function=parsed.function_port,
            bridge=parsed.bridge_port,
            kafka=parsed.kafka_port,
        ),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local",
        description="The whole pipeline on this machine, from sample events in Kafka to rows in BigQuery.",
    )
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
        "--catalog",
        type=Path,
        metavar="DIR",
        help=f"folder with streams.yaml and schemas/ (default: ${CATALOG}, else the repository's)",
    )
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
    _add_ports(parser)
    ending = parser.add_mutually_exclusive_group()
    ending.add_argument(
        "--exit", action="store_true", help="stop when all has arrived; the last line is JSON"
    )
    ending.add_argument("--keep", action="store_true", help="stay up, and produce on (default on a terminal)")
    commands = parser.add_subparsers(dest="command", metavar="")
    of_a_run = argparse.ArgumentParser(add_help=False)
    of_a_run.add_argument(
        "--run",
        metavar="NAME",
        help="of several running stacks, the one whose folder is .local/NAME",
    )
    query.add_arguments(
        commands.add_parser(
            "query", parents=[of_a_run], help='ask the running pipeline\'s BigQuery: query "SELECT …"'
        )
    )
    send.add_arguments(
        commands.add_parser(
            "send",
            parents=[of_a_run],
            help="send your own events, or samples of one type, to the running pipeline's Kafka",
        )
    )
    commands.add_parser(
        "env",
        parents=[of_a_run],
        help='addresses and names of the running pipeline for a shell: eval "$(python -m local env)"',
    )
    return parser


def _add_ports(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("ports of 127.0.0.1", "Each is a free one unless it is given.")
    for name, what in {
        "bigquery": "of BigQuery's emulator",
        "pubsub": "of Pub/Sub's emulator or stand-in",
        "function": "of the function",
        "bridge": "of the bridge's /healthz, /readyz and /metrics",
        "kafka": "of Apache Kafka; the mock cluster (--kafka embedded) chooses its own",
    }.items():
        group.add_argument(f"--{name}-port", type=_port, metavar="P", help=what)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of events")
    return int(text)


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) < 2**16:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to 65535")


def _rate(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of events a second")
