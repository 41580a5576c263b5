"""Good records spoiled in ways that happen: each must become a dead letter with the reason given here."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from uuid import UUID

from tests.events.sample import SampleEvent

_NAME = "item_type_name"


def bad_events(good: SampleEvent, rng: Random) -> Iterator[SampleEvent]:
    """Yield the record spoiled in each way once. Its value must be schemaless Avro."""
    for way in _WAYS:
        yield way(good, good.value or b"", rng)


def spoiled(good: SampleEvent, rng: Random) -> SampleEvent:
    """Return the record spoiled in one way. Its value must be schemaless Avro."""
    return rng.choice(_WAYS)(good, good.value or b"", rng)


def _without_type(good: SampleEvent, _value: bytes, _rng: Random) -> SampleEvent:
    headers = tuple((name, value) for name, value in good.headers if name != _NAME)
    return replace(good, headers=headers, spoiled="missing_type_header")


def _of_unknown_type(good: SampleEvent, _value: bytes, rng: Random) -> SampleEvent:
    """The next version arrives before its schema, or a producer forgets the namespace."""
    whole = good.item_type_name
    unknown = rng.choice((f"{whole[:-1]}9", whole.rpartition(".")[2])).encode()
    headers = tuple((name, unknown if name == _NAME else value) for name, value in good.headers)
    return replace(good, headers=headers, spoiled="unknown_type")


def _truncated(good: SampleEvent, value: bytes, rng: Random) -> SampleEvent:
    """No part of an event is an event: Avro knows its end from what was read, so any cut is noticed."""
    return replace(good, value=value[: rng.randrange(1, len(value))], spoiled="undecodable")


def _not_utf8(good: SampleEvent, value: bytes, _rng: Random) -> SampleEvent:
    """A string was written in Latin-1: é is one byte there, and in UTF-8 the start of three."""
    text = next(str(part).encode() for part in good.event.values() if isinstance(part, str | UUID))
    return replace(good, value=value.replace(text, b"\xe9" + text[1:], 1), spoiled="undecodable")


def _with_more_behind(good: SampleEvent, value: bytes, rng: Random) -> SampleEvent:
    return replace(good, value=value + rng.randbytes(rng.randint(1, 8)), spoiled="trailing_bytes")


def _tombstone(good: SampleEvent, _value: bytes, _rng: Random) -> SampleEvent:
    return replace(good, value=None, spoiled="tombstone")


_WAYS: tuple[Callable[[SampleEvent, bytes, Random], SampleEvent], ...] = (
    _without_type,
    _of_unknown_type,
    _truncated,
    _not_utf8,
    _with_more_behind,
    _tombstone,
)
