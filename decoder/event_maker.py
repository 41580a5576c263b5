"""Makes events of one type from its schema or from an example, with a new id and the clock's time.

Each event is encoded and decoded before it is returned. One that the topic's limits or its reader schema
reject is made again, smaller.
"""

from collections.abc import Mapping
from datetime import datetime
from random import Random
from typing import NamedTuple

from decoder.catalog import EventType
from decoder.encode import EncodeError, encode
from decoder.examples import read_examples
from decoder.framing import decode
from decoder.leaves import Node, logical_type
from decoder.sample_values import ValueMaker, logical_value
from decoder.schema_types import definition, kind_of
from decoder.streams import CatalogError
from rejection import RejectedError

# The nesting depth of each attempt at an event. There are enough attempts for a reader schema that lacks a
# symbol or a branch of the newest version; the last ones make the smallest possible event.
_DEPTHS = (4, 4, 4, 3, 3, 2, 2, 1, 1, *(0,) * 23)


class SampleError(CatalogError):
    """A sample of a type cannot be made: the text names the file and the problem."""


class Draw(NamedTuple):
    """What makes one event: the time in UTC, an id in case it is an int, a framing instead of the topic's."""

    rng: Random
    now: datetime
    number: int | None = None
    framing: str | None = None


class Made(NamedTuple):
    """An event's JSON and its framed bytes."""

    event: Mapping[str, object]
    value: bytes


class EventMaker:
    """Makes the events of one type.

    Raises:
        CatalogError: see read_examples.
    """

    def __init__(self, event_type: EventType) -> None:
        self.examples = read_examples(event_type)
        self._type = event_type
        self._schema: Node = event_type.schema
        non_finite = event_type.topic.non_finite
        self._makers = {depth: ValueMaker(self._schema, non_finite, depth) for depth in set(_DEPTHS)}
        self._fields = event_type.versions[-1].fields  # of the version that the schema is from

    def make(self, draw: Draw) -> Made:
        """Return an event made from the schema.

        Raises:
            SampleError: the topic's limits or its reader schema reject every attempt.
        """
        problem: Exception | None = None
        for depth in _DEPTHS:
            try:
                return self._made(self._makers[depth].event(draw.rng, draw.now), draw)
            except RejectedError as error:
                problem = error
                draw = draw._replace(framing=None)  # a container is larger
            except EncodeError as error:
                problem = error
                break
        raise self._error("a sample made from the schema", problem) from problem

    def make_of_example(self, index: int, draw: Draw) -> Made:
        """Return an example's event.

        Raises:
            SampleError: it is not an event of the type.
        """
        try:
            return self._made(self.examples[index], draw)
        except (EncodeError, RejectedError) as error:
            if draw.framing is not None:
                return self.make_of_example(index, draw._replace(framing=None))
            raise self._error(f"example {index + 1}", error) from error

    def _made(self, event: Mapping[str, object], draw: Draw) -> Made:
        identity = _new_id(_type_at(self._schema, self._fields.id), draw)
        timestamp = logical_value(_type_at(self._schema, self._fields.timestamp), draw.rng, draw.now)
        stamped = with_value(with_value(event, self._fields.id, identity), self._fields.timestamp, timestamp)
        value = encode(stamped, self._type, draw.framing)
        decode(value, self._type)
        return Made(stamped, value)

    def _error(self, what: str, problem: Exception | None) -> SampleError:
        return SampleError(
            f"{self._type.file}: {what} is not an event of {self._type.item_type_name}: {problem}"
        )


def with_value(event: Mapping[str, object], path: str, value: object) -> dict[str, object]:
    """Return the event with the value at a dotted path, like `header.event_id`, and the rest unchanged.

    What stands in the path and is no object is the rest, too.
    """
    name, _, rest = path.partition(".")
    if not rest:
        return {**event, name: value}
    inner = event.get(name, {})
    return {**event, name: with_value(inner, rest, value) if isinstance(inner, Mapping) else inner}


def _type_at(schema: Node, path: str) -> Node:
    names: Mapping[str, Node] = schema.get("__named_schemas", {})
    for name in path.split("."):
        fields = {field["name"]: field["type"] for field in definition(schema, names)["fields"]}
        schema = definition(fields[name], names)
    return schema


def _new_id(schema: Node, draw: Draw) -> object:
    if logical_type(schema) is not None:
        return logical_value(schema, draw.rng, draw.now)
    kind = kind_of(schema)
    if kind == "int":
        return (draw.rng.getrandbits(31) if draw.number is None else draw.number) & (2**31 - 1)
    return draw.rng.getrandbits(53) if kind == "long" else f"sample-{draw.rng.getrandbits(64):016x}"
