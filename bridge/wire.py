"""Messages as the bytes of their protobuf, made without protobuf's objects.

Making the objects, their maps of attributes above all, costs three times the CPU of all else that the bridge
does with a record (docs/adr/0004-protobuf-by-hand.md). What most records share, their place and most headers,
is kept as bytes. Tests compare each with what google.pubsub_v1 makes of the same.

https://protobuf.dev/programming-guides/encoding; of PublishRequest: 1 topic, 2 messages; of PubsubMessage:
1 data, 2 attributes (1 name, 2 value), 5 ordering_key. All of them are bytes after their length.
"""

from collections.abc import Iterable

import envelope
from envelope import Header, Message, Record

KEPT = 4_096
_ONE, _TWO, _FIVE = b"\x0a", b"\x12", b"\x2a"


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_LENGTHS = [_varint(number) for number in range(4_096)]


def _length(number: int) -> bytes:
    return _LENGTHS[number] if number < len(_LENGTHS) else _varint(number)


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + _length(len(content)) + content


def _attribute(name: bytes, value: bytes) -> bytes:
    return _field(_TWO, _field(_ONE, name) + _field(_TWO, value))


_OFFSET = _field(_ONE, envelope.OFFSET.encode()) + _TWO
_TIMESTAMP = _field(_ONE, envelope.TIMESTAMP.encode()) + _TWO
_KEY = envelope.KEY.encode()


def request(topic: str, messages: Iterable[bytes]) -> bytes:
    """Return a PublishRequest of messages that `message` or `Packer` made."""
    return _field(_ONE, topic.encode()) + b"".join(messages)


def message(given: Message, ordering_key: str = "") -> bytes:
    """Return a message as it stands in a request."""
    data = given.data
    body = [_ONE, _length(len(data)), data] if data else []
    body += [_attribute(name.encode(), value.encode()) for name, value in given.attributes.items()]
    if ordering_key:
        body.append(_field(_FIVE, ordering_key.encode()))
    return b"".join((_TWO, _length(sum(map(len, body))), *body))  # a bundle's data is copied but once


class Packer:
    """Packs records of one environment, one to a message, as `message(envelope.pack(record))` would."""

    def __init__(self, env: str) -> None:
        self._env = env
        self._places: dict[tuple[str, int], bytes] = {}
        self._headers: dict[Header, bytes] = {}

    def pack(self, record: Record, ordering_key: str = "") -> bytes:
        """Return the message as it stands in a request."""
        attributes = self._attributes(record)
        if attributes is None or record.value is None:
            return message(envelope.pack(record, self._env), ordering_key)
        value = record.value
        body = (_ONE + _length(len(value)) + value if value else b"") + attributes
        if ordering_key:
            body += _field(_FIVE, ordering_key.encode())
        return _TWO + _length(len(body)) + body

    def _attributes(self, record: Record) -> bytes | None:
        """Return the attributes of the plain form, or None where they are left to `envelope.pack`."""
        headers = record.headers
        if len(headers) > envelope.MAX_PLAIN_HEADERS or (
            len(headers) > 1 and len({name for name, _ in headers}) != len(headers)
        ):
            return None
        place = (record.topic, record.partition)
        found = self._places.get(place) or self._place(place)
        digits = b"%d" % record.offset
        offset = _OFFSET + _LENGTHS[len(digits)] + digits
        out = [found, _TWO, _LENGTHS[len(offset)], offset]
        if record.timestamp is not None:
            digits = b"%d" % record.timestamp
            timestamp = _TIMESTAMP + _LENGTHS[len(digits)] + digits
            out += (_TWO, _LENGTHS[len(timestamp)], timestamp)
        if record.key is not None:
            if envelope.attribute_value(record.key) is None:
                return None
            out.append(_attribute(_KEY, record.key))
        kept = self._headers
        for header in headers:
            attribute = kept.get(header) or self._header(header)
            if attribute is None:
                return None
            out.append(attribute)
        return b"".join(out)

    def _place(self, place: tuple[str, int]) -> bytes:
        topic, partition = place
        made = self._places[place] = b"".join(
            (
                _attribute(envelope.TOPIC.encode(), topic.encode()),
                _attribute(envelope.PARTITION.encode(), b"%d" % partition),
                _attribute(envelope.ENV.encode(), self._env.encode()),
            )
        )
        return made

    def _header(self, header: Header) -> bytes | None:
        name, value = header
        if value is None or not envelope.is_attribute_name(name) or envelope.attribute_value(value) is None:
            return None
        if len(self._headers) >= KEPT:
            self._headers.clear()
        made = self._headers[header] = _attribute(name.encode(), value)
        return made
