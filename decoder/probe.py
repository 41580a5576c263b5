"""Events made at random and read as another version's: an example of what would be misread."""

import msgspec

from decoder.avro import Writer
from decoder.leaves import Node
from decoder.probe_events import PLAUSIBLE, EventMaker
from decoder.streams import Topic
from decoder.values import to_json
from rejection import RejectedError

SAMPLES = 500
# Where the comparison excludes that any is misread, one in so many shows that it is right.
_STEP = 11
_MAX_SHOWN = 60


class Probed(msgspec.Struct, frozen=True):
    """What became of the samples: an `example` of one that was misread, and whether one was `rejected`.

    `is_plausible` says that the example looks like an event.
    `renamed` are the names of a field and of what its value was read as, where each is new to the other.
    """

    example: str | None = None
    renamed: tuple[str, str] | None = None
    rejected: bool = False
    is_plausible: bool = False


def probe(writer: Node, reader: Node, topic: Topic, *, is_suspected: bool = True) -> Probed:
    """Return what becomes of events of the writer that are read with the reader alone.

    `is_suspected` says that one may be misread, so that it is worth looking for.

    Raises:
        IncompatibleError: one of the schemas is unsafe to read with.
    """
    old, new = Writer(topic, writer), Writer(topic, reader)
    making = EventMaker(writer)
    rejected = False
    for number in range(0, SAMPLES, 1 if is_suspected else _STEP):
        value = making.event(number)
        try:
            was = to_json(old.decode(value))
        except RejectedError:
            continue
        try:
            now = to_json(new.decode(value))
        except RejectedError:
            rejected = True
            continue
        if was != now:
            example, renamed = _difference(msgspec.json.decode(was), msgspec.json.decode(now), ())
            return Probed(example, renamed, rejected, number < PLAUSIBLE)
    return Probed(rejected=rejected)


def _difference(was: object, now: object, path: tuple[str, ...]) -> tuple[str, tuple[str, str] | None]:
    """Return the first difference of two events in words, and the names where a name differs."""
    if isinstance(was, dict) and isinstance(now, dict):
        for name, other in zip(was, now, strict=False):
            if name != other:
                old, new = ".".join((*path, name)), ".".join((*path, other))
                renamed = (
                    (name, other)
                    if name not in now and other not in was and was[name] == now[other]
                    else None
                )
                return f"{old}: {_shown(was[name])} is read as {new}: {_shown(now[other])}", renamed
            if was[name] != now[name]:
                return _difference(was[name], now[name], (*path, name))
        if len(was) != len(now):
            longer, said = (
                (was, "is lost") if len(was) > len(now) else (now, "is read, which was not written")
            )
            name = list(longer)[min(len(was), len(now))]
            return f"{'.'.join((*path, name))}: {_shown(longer[name])} {said}", None
    if isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for one, other in zip(was, now, strict=True):
            if one != other:
                return _difference(one, other, path)
    return f"{'.'.join(path)}: {_shown(was)} is read as {_shown(now)}", None


def _shown(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
