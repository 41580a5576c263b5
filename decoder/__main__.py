"""`python -m decoder check`, `decode` and `encode`: the catalogue and a payload, without a cloud."""

import argparse
import asyncio
import sys
from pathlib import Path

from decoder.avro import Event
from decoder.catalog import Catalog, EventType, load_catalog
from decoder.check import check
from decoder.encode import EncodeError, encode, parse_event
from decoder.framing import decode
from decoder.identity import accept_identities
from decoder.registry import MissingSchemaError
from decoder.rows import TYPE_HEADER, find_type
from decoder.streams import CatalogError, catalog_files
from decoder.values import to_json
from envelope import Record
from rejection import RejectedError, TransientError


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0 when all is well, 1 when the catalogue or the payload is wrong."""
    parser = argparse.ArgumentParser(prog="python -m decoder", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", help="validate streams.yaml and the schemas, list every type")
    checking.add_argument(
        "--accept", action="store_true", help="write identity.json: where types have their id and timestamp"
    )
    decoding = commands.add_parser("decode", help="show what a payload decodes to, as in event_json")
    encoding = commands.add_parser(
        "encode", help="write an event's JSON as a payload, in the topic's framing"
    )
    for command, what in ((decoding, "raw value of a record"), (encoding, "an event, as in event_json")):
        command.add_argument("--topic", required=True, help="Kafka topic")
        command.add_argument("--type", required=True, help=f"value of the header {TYPE_HEADER}")
        command.add_argument("file", metavar="FILE", help=f"{what}; - reads standard input")
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except CatalogError as error:
        problem = f"catalogue: {error}"
    except EncodeError as error:
        problem = f"not an event of {options.type}: {error}"
    except RejectedError as rejection:
        problem = f"{rejection.reason}: {rejection}"
    except TransientError as error:
        problem = f"not now: {error}"
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}"
    print(problem, file=sys.stderr)
    return 1


def _run(options: argparse.Namespace) -> int:
    catalog = load_catalog()
    if options.command == "check":
        return _check(catalog, accept=options.accept)
    event_type = _type(catalog, options.topic, options.type)
    content = sys.stdin.buffer.read() if options.file == "-" else Path(options.file).read_bytes()
    if options.command == "decode":
        print(to_json(_decoded(event_type, content)))
        return 0
    if sys.stdout.isatty():
        print("the payload is binary: redirect it to a file or to another program", file=sys.stderr)
        return 1
    sys.stdout.buffer.write(_encoded(event_type, content))
    return 0


def _check(catalog: Catalog, *, accept: bool) -> int:
    schemas = catalog_files().schemas
    if accept:
        accept_identities(catalog, schemas)
    findings = check(catalog, schemas)
    print("".join(f"warning: {line}\n" for line in findings.warnings), end="", file=sys.stderr)
    if findings.errors:
        print("\n".join(findings.errors), file=sys.stderr)
        return 1
    print("".join(f"note: {line}\n" for line in findings.notes), end="", file=sys.stderr)
    _print_types(catalog)
    return 0


def _print_types(catalog: Catalog) -> None:
    rows = [("TOPIC", "TYPE", "SCHEMA", "TABLE")]
    rows += sorted(
        (t.topic.name, t.item_type_name, t.file.split("/")[-1], t.table) for t in catalog.types.values()
    )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(
        f"ok: {len(catalog.types)} types, {len(catalog.stream_of_topic)} topics, {len(catalog.tables)} tables"
    )


def _type(catalog: Catalog, topic: str, item_type_name: str) -> EventType:
    return find_type(
        Record(topic, 0, 0, None, None, ((TYPE_HEADER, item_type_name.encode()),), None), catalog
    )


def _decoded(event_type: EventType, value: bytes) -> Event:
    try:
        return decode(value, event_type)
    except MissingSchemaError as missing:
        asyncio.run(missing.registry.look_up(missing.key))
        return decode(value, event_type)


def _encoded(event_type: EventType, text: bytes) -> bytes:
    value = encode(parse_event(text), event_type)
    decode(value, event_type)  # what is over a limit would be a dead letter
    return value


if __name__ == "__main__":
    sys.exit(main())
