"""Sample events of any catalog: made from the schemas, or drawn from the examples that stand beside them.

A sample is its JSON, encoded as `python -m decoder encode` does, and is decoded once before it is given out:
what is no event by the topic's own limits is made again, smaller.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from random import Random
from typing import NamedTuple

import msgspec

from decoder.catalog import Catalog, EventType
from decoder.encode import EncodeError, encode, framing_problem
from decoder.examples import read_examples
from decoder.framing import decode
from decoder.leaves import Node, logical_type
from decoder.sample_headers import Header, sample_headers
from decoder.sample_values import ValueMaker, logical_value
from decoder.schema_types import definition, kind_of
from decoder.streams import CatalogError
from rejection import RejectedError

Clock = Callable[[], datetime]

# Of the tries for one event: so deep may records stand in one another. Enough tries for a reader schema that
# lacks a symbol or a branch of the newest version; the last are the smallest events that there are.
_DEPTHS = (4, 4, 4, 3, 3, 2, 2, 1, 1, *(0,) * 23)
# A topic that a stream has left behind still has some.
_CURRENT, _OTHER = 3, 1
# A few old producers send containers where bare events are usual.
_CONTAINERS = 0.03
_MAX_TYPES = 256


class SampleError(CatalogError):
    """No sample of a type can be made: the text names the file and what to do."""


class Sample(msgspec.Struct, frozen=True):
    """A Kafka record with an event: `event` is its JSON as event_json has it, the rest is what is sent."""

    topic: str
    item_type_name: str
    key: bytes | None
    headers: tuple[Header, ...]
    value: bytes
    event: Mapping[str, object]


def sample_of(event_type: EventType, rng: Random, clock: Clock, number: int | None = None) -> Sample:
    """Return a sample of one type; `clock` gives its timestamp, in UTC.

    `number` makes the id where that is an int, which is too short to be unique by chance.

    Raises:
        SampleError: an example is no event, the type cannot be framed, or no event that is made of the
            schema is one by the topic's limits and its reader schema. CatalogError: see read_examples.
    """
    maker = _maker(event_type)
    now = clock().astimezone(UTC)
    framing = None
    if event_type.topic.framing == "auto" and rng.random() < _CONTAINERS:
        framing = "container"
    event, value = maker.event(rng, now, number, framing)
    name = event_type.item_type_name
    return Sample(event_type.topic.name, name, _key(event, rng), sample_headers(name, rng), value, event)


def sample_events(catalog: Catalog, seed: int, clock: Clock) -> Iterator[Sample]:
    """Make samples without end, each type once before any comes again; the seed decides all but the clock.

    Raises:
        SampleError: as sample_of; types that cannot be framed are left out, unless no other is there.
    """
    rng = Random(seed)  # noqa: S311 - samples are no secrets
    types = [each for each in catalog.types.values() if framing_problem(each) is None]
    if not types:
        raise SampleError(next(filter(None, map(framing_problem, catalog.types.values())), "no types"))
    weights = [_CURRENT if each.topic.current else _OTHER for each in types]
    number = rng.getrandbits(31)
    for event_type in rng.sample(types, len(types)):
        yield sample_of(event_type, rng, clock, number := number + 1)
    while True:
        (event_type,) = rng.choices(types, weights)
        yield sample_of(event_type, rng, clock, number := number + 1)


def with_value(event: Mapping[str, object], path: str, value: object) -> dict[str, object]:
    """Return the event with a value at a dotted path, as `header.event_id`; the rest is as it was."""
    name, _, rest = path.partition(".")
    if not rest:
        return {**event, name: value}
    inner = event.get(name)
    return {**event, name: with_value(inner if isinstance(inner, Mapping) else {}, rest, value)}


class _Maker(NamedTuple):
    """Makes the events of one type."""

    event_type: EventType
    examples: tuple[Mapping[str, object], ...]
    by_depth: Mapping[int, ValueMaker]
    id_path: str
    timestamp_path: str

    def event(
        self, rng: Random, now: datetime, number: int | None, framing: str | None
    ) -> tuple[Mapping[str, object], bytes]:
        problem: Exception | None = None
        for depth in _DEPTHS:
            example = rng.choice(self.examples) if self.examples else None
            try:
                event = self._stamped(example or self._made(depth, rng, now), rng, now, number)
                value = encode(event, self.event_type, framing)
                decode(value, self.event_type)
            except (EncodeError, RejectedError) as error:
                problem = error
                framing = None  # a container is larger
                if example is not None or isinstance(error, EncodeError):
                    break
            else:
                return event, value
        where = "an example" if self.examples else "a sample that is made from the schema"
        raise SampleError(
            f"{self.event_type.file}: {where} is no event of {self.event_type.item_type_name}: {problem}"
        ) from problem

    def _made(self, depth: int, rng: Random, now: datetime) -> Mapping[str, object]:
        made = self.by_depth[depth].make(self.event_type.schema, rng, now)
        assert isinstance(made, dict)  # noqa: S101 - the schema of an event is a record
        return made

    def _stamped(
        self, event: Mapping[str, object], rng: Random, now: datetime, number: int | None
    ) -> Mapping[str, object]:
        identity = _new_id(_type_at(self.event_type.schema, self.id_path), rng, number)
        timestamp = logical_value(_type_at(self.event_type.schema, self.timestamp_path), rng, now)
        return with_value(with_value(event, self.id_path, identity), self.timestamp_path, timestamp)


@lru_cache(_MAX_TYPES)
def _maker(event_type: EventType) -> _Maker:
    def of_depth(depth: int) -> ValueMaker:
        return ValueMaker(event_type.schema, event_type.topic.non_finite, depth)

    by_depth = {depth: of_depth(depth) for depth in set(_DEPTHS)}
    return _Maker(event_type, read_examples(event_type), by_depth, "id", "timestamp")


def _type_at(schema: Node, path: str) -> Node:
    names: Mapping[str, Node] = schema.get("__named_schemas", {})
    for name in path.split("."):
        fields = {field["name"]: field["type"] for field in definition(schema, names)["fields"]}
        schema = definition(fields[name], names)
    return schema


def _new_id(schema: Node, rng: Random, number: int | None) -> object:
    if logical_type(schema) is not None:
        return logical_value(schema, rng, datetime.now(UTC))
    kind = kind_of(schema)
    if kind == "int":
        return (rng.getrandbits(31) if number is None else number) & (2**31 - 1)
    return rng.getrandbits(53) if kind == "long" else f"sample-{rng.getrandbits(64):016x}"


def _key(event: Mapping[str, object], rng: Random) -> bytes | None:
    """Return a key as producers have it: mostly the id of what the event is about, sometimes none."""
    about = [value for name, value in event.items() if name.endswith("_id") and isinstance(value, str | int)]
    number: bytes = rng.randbytes(8)
    text = str(about[0] if about else event.get("id", number.hex())).encode()
    (key,) = rng.choices((text, number, None), (90, 5, 5))
    return key
