"""`python -m local send`: one's own events into the Kafka of the running pipeline."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from decoder.catalog import Catalog, EventType, load_catalog
from decoder.encode import EncodeError, encode, parse_event
from decoder.framing import decode
from decoder.registry import MissingSchemaError
from decoder.rows import TYPE_HEADER
from decoder.samples import sample_of
from decoder.streams import CATALOG, catalog_files
from local.spoil import LocalRecord, good
from local.state import State
from rejection import RejectedError

Header = tuple[str, bytes | None]

# What is unread at once must fit into what the mock cluster keeps.
MAX_SAMPLES = 10_000
MAX_MESSAGE_BYTES = 20_000_000
WAIT_S = 30.0
SHOWN = 20


class SendError(ValueError):
    """The events cannot be sent: the text says what is wrong with which of them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `send` takes."""
    parser.add_argument("topic", metavar="TOPIC", help="a topic of the catalog")
    parser.add_argument(
        "type", metavar="TYPE", help=f"the type's full name, which the header {TYPE_HEADER} gets"
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "file",
        nargs="?",
        metavar="FILE.json",
        help="one event as event_json has it (docs/values.md), or one per line; - reads standard input",
    )
    what.add_argument("--sample", type=_count, metavar="N", help="make N events from the schema instead")
    what.add_argument("--raw", metavar="FILE", help="send these bytes as they are; TYPE may be any")
    parser.add_argument(
        "--header",
        type=_header,
        action="append",
        default=[],
        metavar="K=V",
        help=f"another header, K alone for a null; {TYPE_HEADER}=… replaces TYPE in it; repeatable",
    )
    parser.add_argument("--key", help="of the record (default: none, of samples one of their ids)")


def send(state: State, parsed: argparse.Namespace) -> int:
    """Send what the arguments say, and print where it is.

    Raises:
        SendError: see there. CatalogError: the catalog on disk is invalid.
    """
    files = catalog_files({CATALOG: state.catalog} if state.catalog else {})
    records = list(_records(load_catalog(files.streams, files.schemas), parsed))
    places = _produce(state.kafka, records)
    for place in places[:SHOWN]:
        print(place)
    if len(places) > SHOWN:
        print(f"and {len(places) - SHOWN:,} more: {len(places):,} records sent to {parsed.topic}")
    return 0


def _records(catalog: Catalog, parsed: argparse.Namespace) -> Iterator[LocalRecord]:
    if parsed.topic not in catalog.topics:
        raise SendError(f"the catalog has no topic {parsed.topic!r}: it has {', '.join(catalog.topics)}")
    key = None if parsed.key is None else parsed.key.encode()
    if parsed.raw is not None:
        yield LocalRecord(parsed.topic, key, _headers(parsed.type, parsed.header), _read(parsed.raw))
        return
    event_type = catalog.types.get((parsed.topic, parsed.type))
    if event_type is None:
        types = ", ".join(catalog.types_of(parsed.topic))
        raise SendError(f"topic {parsed.topic} has no type {parsed.type!r}: it has {types}")
    if parsed.sample is not None:
        for record in _samples(event_type, parsed.sample):
            headers = _headers(parsed.type, parsed.header, record.headers)
            yield LocalRecord(record.topic, key or record.key, headers, record.value)
        return
    for value in _values(event_type, parsed.file):
        yield LocalRecord(parsed.topic, key, _headers(parsed.type, parsed.header), value)


def _samples(event_type: EventType, count: int) -> Iterator[LocalRecord]:
    rng = Random()
    number = rng.getrandbits(31)
    for _ in range(count):
        yield good(sample_of(event_type, rng, lambda: datetime.now(UTC), number := number + 1))


def _headers(
    item_type_name: str, added: Sequence[Header], sampled: Sequence[Header] = ()
) -> tuple[Header, ...]:
    """Return the headers of a record: the type's name first unless it is among those that are added."""
    names = {name for name, _ in added}
    usual = sampled or ((TYPE_HEADER, item_type_name.encode()),)
    return (*(header for header in usual if header[0] not in names), *added)


def _values(event_type: EventType, file: str) -> Iterator[bytes]:
    text = _read(file)
    try:
        whole = parse_event(text)
    except EncodeError as error:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        if len(lines) < 2 or not _is_event(lines[0][1]):  # noqa: PLR2004 - several events
            raise SendError(f"{file}: {error}") from error
    else:
        yield _value(event_type, whole, file)
        return
    for number, line in lines:
        where = f"{file}, line {number}"
        try:
            event = parse_event(line)
        except EncodeError as error:
            raise SendError(f"{where}: {error}") from error
        yield _value(event_type, event, where)


def _is_event(text: bytes) -> bool:
    try:
        parse_event(text)
    except EncodeError:
        return False
    return True


def _value(event_type: EventType, event: dict[str, object], where: str) -> bytes:
    try:
        value = encode(event, event_type)
        decode(value, event_type)
    except EncodeError as error:
        raise SendError(f"{where}: not an event of {event_type.item_type_name}: {error}") from error
    except RejectedError as rejection:
        raise SendError(f"{where}: it would be a dead letter: {rejection.reason}: {rejection}") from rejection
    except MissingSchemaError:
        pass  # the function asks the registry
    return value


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise SendError(f"{file}: {error.strerror}") from error


def _produce(bootstrap_servers: str, records: Sequence[LocalRecord]) -> list[str]:
    """Send records and return where each is, as topic/partition:offset."""
    places: list[str] = []
    refused: list[str] = []

    def on_delivery(error: KafkaError | None, message: Message) -> None:
        if error is None:
            places.append(f"{message.topic()}/{message.partition()}:{message.offset()}")
        else:
            refused.append(error.str())

    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "message.timeout.ms": int(WAIT_S * 1_000),
            "log_level": 0,
        }
    )
    try:
        for record in records:
            producer.produce(
                record.topic, record.value, record.key, headers=list(record.headers), on_delivery=on_delivery
            )
            producer.poll(0)
    except KafkaException as error:
        refused.append(str(error))
    producer.flush(WAIT_S + 5)
    if len(places) < len(records):
        why = refused[0] if refused else "no answer"
        raise SendError(f"Kafka took {len(places)} of {len(records)} records: {why}")
    return places


def _header(text: str) -> Header:
    name, equals, value = text.partition("=")
    if not name:
        raise argparse.ArgumentTypeError(f"{text!r} has no name: write NAME=VALUE")
    if not equals and ": " in name:
        raise argparse.ArgumentTypeError(f"{text!r}: write NAME=VALUE; NAME alone is a header that is null")
    return name, value.encode() if equals else None


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) <= MAX_SAMPLES:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MAX_SAMPLES:,}")
