"""Avro bytes → an event, with every byte accounted for.

Decoding under a wrong schema often succeeds and leaves bytes over: requiring that every byte is consumed
turns one silent mistake in four into one in twenty thousand.
"""

import io
import re

import fastavro

from decoder.binary import WalkError
from decoder.event_fields import DEFAULT_FIELDS, EventFields, field_getter
from decoder.leaves import Node
from decoder.reading import Reading
from decoder.shape import Shapes
from decoder.streams import Topic
from decoder.walk import Walker
from rejection import Reason, RejectedError

Event = dict[str, object]

# A number in more bytes than it needs ends in 0 after a byte that says that more follow. Floats, bytes and
# text may hold that too, so it is only a sign. A number of more than 64 bits has nine such bytes, or more,
# and so has text.
_CLASSES = bytes(0 if byte == 0 else 0x80 if byte >= 0x80 else 1 for byte in range(256))  # noqa: PLR2004
_OVERLONG, _TOO_MANY_BITS = b"\x80\x00", b"\x80" * 9
_long_runs = re.compile(rb"[\x80-\xff]{9,}").findall
_read = fastavro.schemaless_reader


class Writer:
    """The bytes that one writer schema describes, as events of a reader schema (as written, where None).

    With `keep_extra` the events have the fields that the reader schema lacks, too. `id_of` and `timestamp_of`
    take the values of `fields` out of an event.

    Raises:
        IncompatibleError: the reader cannot read the writer, or the schema is unsafe to read with.
    """

    def __init__(
        self,
        topic: Topic,
        schema: Node,
        reader: Node | None = None,
        *,
        keep_extra: bool = False,
        fields: EventFields = DEFAULT_FIELDS,
    ) -> None:
        self.schema = schema
        self.id_of, self.timestamp_of = field_getter(fields.id), field_getter(fields.timestamp)
        reading = Reading(schema, reader, non_finite=topic.non_finite, keep_extra=keep_extra)
        self._root, self._limits = reading.root, topic.limits
        self._strict = topic.strict
        self._shapes = Shapes(self._root)
        self._safe_bytes = self._shapes.root.safe_bytes(topic.limits)
        self._walker: Walker | None = None

    def decode(self, value: bytes, at: int = 0) -> Event:
        """Return the event that begins at byte `at` and takes all that follow.

        Raises:
            RejectedError: undecodable, no event of the schema; trailing_bytes, something follows it;
                too_large, it is over a limit.
        """
        size = len(value) - at
        if size > self._limits.bytes:
            raise RejectedError(
                Reason.TOO_LARGE, f"an event of {size:,} bytes, the topic's limit is {self._limits.bytes:,}"
            )
        if size > self._safe_bytes or self._is_suspicious(value):
            self._walk(value, at)
        stream = io.BytesIO(value)
        if at:
            stream.seek(at)
        try:
            event: Event = _read(stream, self._root, None)  # type: ignore[assignment]
        # fastavro passes on whatever its readers raise: EOFError, IndexError, KeyError, struct.error, …
        except Exception as error:
            self._walk(value, at)
            raise RejectedError(
                Reason.UNDECODABLE, f"{self._name}: {type(error).__name__}: {str(error)[:200]}"
            ) from error
        if stream.tell() != len(value):
            raise self._trailing(value, stream.tell())
        return event

    def _is_suspicious(self, value: bytes) -> bool:
        classes = value.translate(_CLASSES)
        if self._strict:
            return _OVERLONG in classes or _TOO_MANY_BITS in classes
        return _TOO_MANY_BITS in classes and not _is_text(value)

    @property
    def _name(self) -> str:
        return f"not Avro of the type {self.schema['name']}"

    def _walk(self, value: bytes, at: int) -> None:
        self._walker = self._walker or Walker(self._root, self._shapes)
        try:
            end = self._walker(value, at, self._limits)
        except WalkError as error:
            field = f", field {'.'.join(error.path).replace('.[', '[')}" if error.path else ""
            raise RejectedError(
                Reason.TOO_LARGE if error.over else Reason.UNDECODABLE,
                f"{self._name}{field}, at byte {error.at} of {len(value)}: {error}",
            ) from error
        if end != len(value):
            raise self._trailing(value, end)

    def _trailing(self, value: bytes, end: int) -> RejectedError:
        return RejectedError(
            Reason.TRAILING_BYTES,
            f"the event ends at byte {end} of {len(value)}, {len(value) - end} bytes follow; "
            f"the type is {self.schema['name']}",
        )


def _is_text(value: bytes) -> bool:
    """Return whether the long runs of bytes over 0x7f are UTF-8: those of a number too long hardly are."""
    try:
        b"".join(_long_runs(value)).decode()
    except UnicodeDecodeError:
        return False
    return True
