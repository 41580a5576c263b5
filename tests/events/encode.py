"""Events as the bytes and headers of a Kafka record."""

import io
from functools import cache
from pathlib import Path
from random import Random

import fastavro
from fastavro.types import Schema

from decoder.catalog import Catalog, load_catalog
from decoder.sample_headers import sample_headers
from tests.events.sample import Draft, SampleEvent

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
    return SampleEvent(draft.topic, name, draft.event, draft.key, sample_headers(name, rng), value)


def _schema(draft: Draft) -> Schema:
    return frozen_catalog().types[draft.topic, draft.item_type_name].schema


@cache
def frozen_catalog() -> Catalog:
    """Return the catalog that the makers know, whatever CATALOG says and streams.yaml has."""
    return load_catalog(_FROZEN / "streams.yaml", _FROZEN / "schemas")
