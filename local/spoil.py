"""Sample records of any type and framing, spoiled in realistic ways: each becomes a dead letter.

A spoiled record is decoded here, and sent only if its reason is the expected one. For example, a record whose
framing names its schema does not need the header.
"""

from collections.abc import Callable, Mapping
from random import Random

import msgspec

from decoder.catalog import Catalog
from decoder.rows import TYPE_HEADER, event_row
from decoder.sample_headers import Header
from decoder.samples import Sample
from envelope import Record
from rejection import Reason, RejectedError, TransientError


class LocalRecord(msgspec.Struct, frozen=True):
    """A Kafka record to send; `spoiled` is the reason of the dead letter that it becomes, None for a row."""

    topic: str
    key: bytes | None
    headers: tuple[Header, ...]
    value: bytes | None
    spoiled: Reason | None = None


def good(sample: Sample) -> LocalRecord:
    """Return a sample's record unchanged."""
    return LocalRecord(sample.topic, sample.key, sample.headers, sample.value)


def spoiled(sample: Sample, catalog: Catalog, rng: Random) -> LocalRecord:
    """Return a sample's record, spoiled in one of the ways that work for it."""
    for reason, way in rng.sample(WAYS, len(WAYS)):
        record = way(sample, rng)
        if record is not None and _reason(record, catalog) == reason:
            return msgspec.structs.replace(record, spoiled=reason)
    return msgspec.structs.replace(_tombstone(sample, rng), spoiled=Reason.TOMBSTONE)


def _reason(record: LocalRecord, catalog: Catalog) -> Reason | None:
    try:
        event_row(Record(record.topic, 0, 0, 0, record.key, record.headers, record.value), None, catalog, 0)
    except RejectedError as rejection:
        return rejection.reason
    except TransientError:  # the schema registry would have to be asked
        return None
    return None


def _without_type(sample: Sample, _: Random) -> LocalRecord:
    headers = tuple((name, value) for name, value in sample.headers if name != TYPE_HEADER)
    return msgspec.structs.replace(good(sample), headers=headers)


def _of_unknown_type(sample: Sample, rng: Random) -> LocalRecord:
    """The next version arrives before its schema, or a producer forgets the namespace."""
    whole = sample.item_type_name
    unknown = rng.choice((f"{whole[:-1]}9", whole.rpartition(".")[2])).encode()
    headers = tuple((name, unknown if name == TYPE_HEADER else value) for name, value in sample.headers)
    return msgspec.structs.replace(good(sample), headers=headers)


def _truncated(sample: Sample, rng: Random) -> LocalRecord:
    cut = sample.value[: rng.randrange(len(sample.value))] if sample.value else b""
    return msgspec.structs.replace(good(sample), value=cut)


def _not_utf8(sample: Sample, rng: Random) -> LocalRecord | None:
    """A string was written in Latin-1: é is one byte there, and in UTF-8 the start of three."""
    texts = [text for text in _texts(sample.event) if text in sample.value]
    if not texts:
        return None
    text = rng.choice(texts)
    value = sample.value.replace(text, b"\xe9" + text[1:], 1)
    return msgspec.structs.replace(good(sample), value=value)


def _texts(event: Mapping[str, object]) -> list[bytes]:
    return [value.encode() for value in event.values() if isinstance(value, str) and value]


def _with_more_behind(sample: Sample, rng: Random) -> LocalRecord:
    value = sample.value + rng.randbytes(rng.randint(1, 8))
    return msgspec.structs.replace(good(sample), value=value)


def _tombstone(sample: Sample, _: Random) -> LocalRecord:
    return msgspec.structs.replace(good(sample), value=None)


WAYS: tuple[tuple[Reason, Callable[[Sample, Random], LocalRecord | None]], ...] = (
    (Reason.MISSING_TYPE_HEADER, _without_type),
    (Reason.UNKNOWN_TYPE, _of_unknown_type),
    (Reason.UNDECODABLE, _truncated),
    (Reason.UNDECODABLE, _not_utf8),
    (Reason.TRAILING_BYTES, _with_more_behind),
    (Reason.TOMBSTONE, _tombstone),
)
