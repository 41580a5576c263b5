"""`python -m operate smoke|dead-letters|cost`: does a deployment work, what failed, and what does it cost?"""

import argparse
import os
import re
import sys
from datetime import UTC, datetime
from typing import NoReturn

import msgspec

from operate import cost, dead_letters, smoke
from operate.dead_letter_subscription import replay_subscription

# As Terraform and the bridge's PUBSUB_TOPIC write it.
_TOPIC = re.compile(r"projects/[^/\s]+/topics/[^/\s]+")
_SUBSCRIPTION = re.compile(r"projects/[^/\s]+/subscriptions/[^/\s]+")
# https://cloud.google.com/bigquery/docs/datasets#dataset-naming
_DATASET = re.compile(r"[A-Za-z0-9_]+")
# https://cloud.google.com/resource-manager/docs/creating-managing-projects#before_you_begin
_PROJECT = re.compile(r"([a-z][a-z0-9.-]*:)?[a-z][a-z0-9-]*")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as the commands do, instead of repeating the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0 when all is well, 1 when an event did not arrive, 2 when that could not be tried."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except smoke.SmokeError as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # `| head` has read enough. Python flushes once more at its end, which must not fail either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(options: argparse.Namespace) -> int:
    if options.command == "cost":
        print(cost.report(options.events_per_second, options.bytes), flush=True)
        return 0
    if options.command == "dead-letters":
        return _dead_letters(options)
    return smoke.run(options.project, options.dataset, options.topic, options.timeout)


def _dead_letters(options: argparse.Namespace) -> int:
    """Run a command about dead letters; 1 when there is none of this id, or one that cannot be replayed."""
    now = datetime.now(UTC)
    if options.action == "replay" and options.subscription:
        if options.id or options.reason or options.since:
            raise smoke.SmokeError(
                "--from-subscription replays all that is there: leave --id, --reason and --since out"
            )
        summary = replay_subscription(options.subscription, options.topic, now=now, dry_run=options.dry_run)
        print(msgspec.json.encode(summary).decode(), flush=True)
        return 0
    which = dead_letters.Filter(getattr(options, "id", None), options.reason, options.since)
    letters = dead_letters.read(smoke.BigQuery(options.project, options.dataset), which)
    if options.action == "list":
        dead_letters.print_list(letters)
        return 0
    if options.action == "show":
        for letter in letters:
            dead_letters.print_one(letter)
        return 0 if letters else 1
    summary = dead_letters.replay(options.topic, letters, now=now, dry_run=options.dry_run)
    print(msgspec.json.encode(summary).decode(), flush=True)
    return 1 if summary.not_replayable else 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m operate", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    smoking = commands.add_parser("smoke", help="publish an event of each stream and wait for its row")
    smoking.add_argument("--project", type=_project, required=True, help="project of the dataset")
    smoking.add_argument("--dataset", type=_dataset, required=True, help="e.g. events_prod")
    smoking.add_argument(
        "--topic", type=_topic, required=True, help="that the bridge publishes to: projects/P/topics/T"
    )
    smoking.add_argument(
        "--timeout", type=_positive, default=300.0, metavar="S", help="seconds to wait (default: 300)"
    )
    letters = commands.add_parser("dead-letters", help="list dead letters, show one, or send them again")
    actions = letters.add_subparsers(dest="action", required=True)
    listing = actions.add_parser("list", help="a line each: id, time, reason, whether a replay made it a row")
    showing = actions.add_parser("show", help="one with all its columns, as JSON")
    showing.add_argument("id", metavar="ID", help="as `list` prints it")
    replaying = actions.add_parser("replay", help="publish the original records again, marked as replayed")
    replaying.add_argument("--id", metavar="ID", help="one only")
    replaying.add_argument("--topic", type=_topic, required=True, help="as the smoke test's")
    replaying.add_argument("--dry-run", action="store_true", help="say what would be published")
    replaying.add_argument(
        "--from-subscription",
        dest="subscription",
        type=_subscription,
        metavar="S",
        help="of the dead-letter topic, projects/P/subscriptions/S: what no row could hold",
    )
    for action in (listing, showing, replaying):
        action.add_argument("--project", type=_project, required=True, help="project of the dataset")
        action.add_argument("--dataset", type=_dataset, required=True, help="e.g. events_prod")
        action.add_argument("--reason", help="those of one reason code")
        action.add_argument(
            "--since", type=_time, metavar="T", help="given up then or later: RFC 3339 or a date"
        )
    costing = commands.add_parser("cost", help="print what a month costs, and how that is reckoned")
    costing.add_argument(
        "--events-per-second",
        type=_positive,
        nargs="+",
        default=[10.0, 1_000.0, 10_000.0],
        metavar="N",
        help="one or more rates (default: 10 1000 10000)",
    )
    costing.add_argument(
        "--bytes", type=_size, default=500, metavar="B", help="size of a Kafka value (default: 500)"
    )
    return parser


def _project(text: str) -> str:
    return _matching(_PROJECT, text, "a project id")


def _dataset(text: str) -> str:
    return _matching(_DATASET, text, "a dataset's name")


def _topic(text: str) -> str:
    return _matching(_TOPIC, text, "projects/PROJECT/topics/TOPIC")


def _subscription(text: str) -> str:
    return _matching(_SUBSCRIPTION, text, "projects/PROJECT/subscriptions/SUBSCRIPTION")


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time, as 2026-11-24T12:00:00Z") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _matching(pattern: re.Pattern[str], text: str, what: str) -> str:
    if not text:
        # "$PROJECT" of a shell that has no such variable.
        raise argparse.ArgumentTypeError(f"is empty, give {what}")
    if not pattern.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return text


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def _size(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
