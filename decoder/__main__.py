"""`python -m decoder check` and `python -m decoder decode`: the catalogue and a payload, without a cloud."""

import argparse
import asyncio
import sys
from pathlib import Path

from decoder.catalog import Catalog, load_catalog
from decoder.check import check
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
    decoding.add_argument("--topic", required=True, help="Kafka topic")
    decoding.add_argument("--type", required=True, help=f"value of the header {TYPE_HEADER}")
    decoding.add_argument("file", metavar="FILE", help="raw value of a record; - reads standard input")
    options = parser.parse_args(arguments)
    try:
        catalog = load_catalog()
        if options.command == "check":
            schemas = catalog_files().schemas
            if options.accept:
                accept_identities(catalog, schemas)
            findings = check(catalog, schemas)
            print("".join(f"warning: {line}\n" for line in findings.warnings), end="", file=sys.stderr)
            if findings.errors:
                print("\n".join(findings.errors), file=sys.stderr)
                return 1
            print("".join(f"note: {line}\n" for line in findings.notes), end="", file=sys.stderr)
            _print_types(catalog)
        else:
            value = sys.stdin.buffer.read() if options.file == "-" else Path(options.file).read_bytes()
            print(_decoded(catalog, options.topic, options.type, value))
    except CatalogError as error:
        print(f"catalogue: {error}", file=sys.stderr)
        return 1
    except RejectedError as rejection:
        print(f"{rejection.reason}: {rejection}", file=sys.stderr)
        return 1
    except TransientError as error:
        print(f"not now: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 1
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


def _decoded(catalog: Catalog, topic: str, item_type_name: str, value: bytes) -> str:
    record = Record(topic, 0, 0, None, None, ((TYPE_HEADER, item_type_name.encode()),), value)
    event_type = find_type(record, catalog)
    try:
        event = decode(value, event_type)
    except MissingSchemaError as missing:
        asyncio.run(missing.registry.look_up(missing.key))
        event = decode(value, event_type)
    return to_json(event)


if __name__ == "__main__":
    sys.exit(main())
