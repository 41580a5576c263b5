"""What the makers hand over, and what becomes of it: a Kafka record beside the event that is in it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

Clock = Callable[[], datetime]
Event = dict[str, object]
Header = tuple[str, bytes | None]


class Draft(NamedTuple):
    """An event that a maker thought up, not encoded yet. The values are those that fastavro takes."""

    topic: str
    item_type_name: str
    key: bytes | None
    event: Event


@dataclass(frozen=True)
class SampleEvent:
    """A Kafka record: `value` and `headers` are what is sent, the rest says what to expect of it.

    `item_type_name` and `event` are what the record was made from, also where it was spoiled afterwards.
    `spoiled` is the reason of the dead letter that it must become, None for a good one.
    """

    topic: str
    item_type_name: str
    event: Event
    key: bytes | None
    headers: tuple[Header, ...]
    value: bytes | None
    spoiled: str | None = None
