"""Events as the bytes and headers of a Kafka record."""

import io
from functools import cache
from pathlib import Path
from random import Random

import fastavro
from fastavro.types import Schema

from decoder.catalog import Catalog, load_catalog
from tests.events.sample import Draft, Header, SampleEvent

_CONTAINERS = 0.03
_FROZEN = Path(__file__).parents[1] / "catalogue"


def encode(draft: Draft, rng: Random) -> SampleEvent:
    """Return the record of an event, its value schemaless Avro."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, _schema(draft), draft.event)
    return _record(draft, buffer.getvalue(), rng)


def encode_container(draft: Draft, rng: Random) -> SampleEvent:
    """Return the record of an event, its value an Avro object container: a few old producers send these."""
    buffer = io.BytesIO()
    codec, marker = rng.choice(("null", "deflate")), rng.randbytes(16)
    fastavro.writer(buffer, _schema(draft), [draft.event], codec=codec, sync_marker=marker)
    return _record(draft, buffer.getvalue(), rng)


def encode_either(draft: Draft, rng: Random) -> SampleEvent:
    """Return the record of an event, a few percent of them containers."""
    return encode_container(draft, rng) if rng.random() < _CONTAINERS else encode(draft, rng)


def _record(draft: Draft, value: bytes, rng: Random) -> SampleEvent:
    name = draft.item_type_name
    return SampleEvent(draft.topic, name, draft.event, draft.key, _headers(name, rng), value)


def _headers(item_type_name: str, rng: Random) -> tuple[Header, ...]:
    """Return the headers: those of every record, and now and then what few readers expect of a header."""
    trace, span = rng.randbytes(16), rng.randbytes(8)
    headers: list[Header] = [
        ("item_type_name", item_type_name.encode()),
        ("content-type", b"application/avro"),
        ("source", item_type_name.partition(".")[0].encode() + b"-service"),
        ("traceparent", f"00-{trace.hex()}-{span.hex()}-01".encode()),
    ]
    odd: tuple[tuple[Header, ...], ...] = (
        (("x-hop", b"gateway"), ("x-hop", b"router")),
        # https://github.com/census-instrumentation/opencensus-specs/blob/master/encodings/BinaryEncoding.md
        (("grpc-trace-bin", b"\x00\x00" + trace + b"\x01" + span + b"\x02\x01"),),
        (("correlation-id", None),),
        (("tracestate", b""),),
    )
    (extra,) = rng.choices(((), *odd), (86, 4, 4, 4, 2))
    headers += extra
    if rng.choice((True, False, False)):
        rng.shuffle(headers)
    return tuple(headers)


def _schema(draft: Draft) -> Schema:
    return frozen_catalog().types[draft.topic, draft.item_type_name].schema


@cache
def frozen_catalog() -> Catalog:
    """Return the catalog that the makers know, whatever CATALOG says and streams.yaml has."""
    return load_catalog(_FROZEN / "streams.yaml", _FROZEN / "schemas")
