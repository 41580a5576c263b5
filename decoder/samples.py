"""Sample events of any catalog: made from the schemas, or drawn from the examples next to them.

A sample is encoded from its JSON like with `python -m decoder encode`.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from random import Random

import msgspec

from decoder.catalog import Catalog, EventType
from decoder.encode import framing_problem
from decoder.event_fields import field_getter
from decoder.event_maker import Draw, EventMaker, Made, SampleError
from decoder.sample_headers import Header, sample_headers

__all__ = ["Sample", "SampleError", "sample_events", "sample_of", "samples_of_each"]

Clock = Callable[[], datetime]

# The weight of each type in a stream's current topic, and in its other topics.
_CURRENT, _OTHER = 3, 1
# In topics with the framing auto: a few old producers send containers.
_CONTAINERS = 0.03
_MAX_TYPES = 256


class Sample(msgspec.Struct, frozen=True):
    """A Kafka record and its event: `event` is in the form of event_json, the rest is what to send."""

    topic: str
    item_type_name: str
    key: bytes | None
    headers: tuple[Header, ...]
    value: bytes
    event: Mapping[str, object]


def sample_of(event_type: EventType, rng: Random, clock: Clock, number: int | None = None) -> Sample:
    """Return a sample of one type; `clock` gives its timestamp, in UTC.

    `number` becomes the id if that is an int, which is too short for random ids to be unique.

    Raises:
        SampleError: an example is not an event, the type cannot be framed, or the topic's limits or its
            reader schema reject every event made from the schema. CatalogError: see read_examples.
    """
    maker = _maker(event_type)
    in_container = event_type.topic.framing == "auto" and rng.random() < _CONTAINERS
    draw = Draw(rng, clock().astimezone(UTC), number, "container" if in_container else None)
    if maker.examples:
        return _sample(event_type, rng, maker.make_of_example(rng.randrange(len(maker.examples)), draw))
    return _sample(event_type, rng, maker.make(draw))


def samples_of_each(event_type: EventType, rng: Random, clock: Clock, count: int) -> Iterator[Sample]:
    """Make a sample of each example of a type, or `count` samples if it has no examples.

    Raises:
        SampleError: as sample_of.
    """
    maker = _maker(event_type)
    for index in range(len(maker.examples)):
        yield _sample(event_type, rng, maker.make_of_example(index, Draw(rng, clock().astimezone(UTC))))
    for _ in range(0 if maker.examples else count):
        yield sample_of(event_type, rng, clock)


def sample_events(catalog: Catalog, seed: int, clock: Clock) -> Iterator[Sample]:
    """Make samples without end, first one of each type; the seed determines all but the clock's values.

    Raises:
        SampleError: as sample_of, or none of the types can be framed; single ones of those are left out.
    """
    rng = Random(seed)  # noqa: S311 - samples are no secrets
    types = [each for each in catalog.types.values() if framing_problem(each) is None]
    if not types:
        raise SampleError(
            next(filter(None, map(framing_problem, catalog.types.values())), "the catalog has no types")
        )
    weights = [_CURRENT if each.topic.current else _OTHER for each in types]
    number = rng.getrandbits(31)
    for event_type in rng.sample(types, len(types)):
        yield sample_of(event_type, rng, clock, number := number + 1)
    while True:
        (event_type,) = rng.choices(types, weights)
        yield sample_of(event_type, rng, clock, number := number + 1)


_maker = lru_cache(_MAX_TYPES)(EventMaker)


def _sample(event_type: EventType, rng: Random, made: Made) -> Sample:
    return Sample(
        topic=event_type.topic.name,
        item_type_name=event_type.item_type_name,
        key=_key(made.event, event_type.versions[-1].fields.id, rng),
        headers=sample_headers(event_type.item_type_name, rng),
        value=made.value,
        event=made.event,
    )


def _key(event: Mapping[str, object], id_path: str, rng: Random) -> bytes | None:
    """Return a key like producers': mostly the id of the event's subject, sometimes null or binary."""
    about = [value for name, value in event.items() if name.endswith("_id") and isinstance(value, str | int)]
    number: bytes = rng.randbytes(8)
    text = str(about[0] if about else field_getter(id_path)(event)).encode()
    (key,) = rng.choices((text, number, None), (90, 5, 5))
    return key
