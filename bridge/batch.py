"""Records → PublishRequests within Pub/Sub's limits, and notices of those that fit in none."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec.structs import replace

import envelope
from bridge import wire
from envelope import Message, Record

# https://cloud.google.com/pubsub/quotas#resource_limits
MAX_REQUEST_BYTES = 10_000_000
MAX_REQUEST_MESSAGES = 1_000
# Larger requests gain nothing and make the memory of those in flight harder to bound.
TARGET_REQUEST_BYTES = 2_000_000
# A bundle is pushed to the function whole, and becomes rows of one insert of 10 MB at most.
MAX_BUNDLE_BYTES = 1_000_000
AUTO_BUNDLE = 500


class Refused(msgspec.Struct, frozen=True):
    """A record that Pub/Sub will never take, and why."""

    record: Record
    reason: str
    message: str


class Batch(msgspec.Struct, frozen=True):
    """Records, and the PublishRequest that has them all."""

    records: list[Record]
    request: bytes


class Batcher:
    """Makes the requests to one topic."""

    def __init__(self, topic: str, env: str) -> None:
        self._topic = topic
        self._env = env
        self._overhead = len(topic) + 8
        self._packer = wire.Packer(env)

    def batches(
        self, records: Sequence[Record], key: str, bundle: int, refused: list[Refused]
    ) -> Iterator[Batch]:
        """Yield requests within the limits; what can be in none of them is added to `refused`."""
        return self._requests(self._messages(records, key, bundle, refused))

    def notices(self, refused: Sequence[Refused]) -> Iterator[Batch]:
        """Yield requests of notices, one of each refused record and in their order."""
        return self._requests(((each.record,), wire.message(notice(each, self._env))) for each in refused)

    def _requests(self, messages_of: Iterable[tuple[Sequence[Record], bytes]]) -> Iterator[Batch]:
        taken, messages, size = list[Record](), list[bytes](), self._overhead
        for group, message in messages_of:
            if taken and (
                len(messages) == MAX_REQUEST_MESSAGES or size + len(message) > TARGET_REQUEST_BYTES
            ):
                yield Batch(taken, wire.request(self._topic, messages))
                taken, messages, size = [], [], self._overhead
            taken += group
            messages.append(message)
            size += len(message)
        if taken:
            yield Batch(taken, wire.request(self._topic, messages))

    def _messages(
        self, records: Sequence[Record], key: str, bundle: int, refused: list[Refused]
    ) -> Iterator[tuple[Sequence[Record], bytes]]:
        """Yield each message with its records; what is in no bundle is a message of its own."""
        pack = self._packer.pack
        most = MAX_REQUEST_BYTES - self._overhead
        if bundle == 1:
            for record in records:
                message = pack(record, key)
                if len(message) > most:
                    refused.append(_too_large(record, message))
                else:
                    yield (record,), message
            return
        waiting = [records[start : start + bundle] for start in range(0, len(records), bundle)]
        waiting.reverse()
        while waiting:
            group = waiting.pop()
            if len(group) == 1:
                yield from self._messages(group, key, 1, refused)
                continue
            bundled = envelope.pack_bundle(group, self._env)
            if len(bundled.data) <= MAX_BUNDLE_BYTES:
                yield group, wire.message(bundled, key)
            else:
                waiting += [group[len(group) // 2 :], group[: len(group) // 2]]


def _too_large(record: Record, message: bytes) -> Refused:
    text = f"the record makes a message of {len(message)} bytes, Pub/Sub takes {MAX_REQUEST_BYTES} a request"
    return Refused(record, "too_large", text)


def notice(refused: Refused, env: str) -> Message:
    """Return what fits of a refused record: position and headers as a bundle of one, the reason beside it.

    The value stays in Kafka at that position; its size and hash tell it apart.
    """
    record = refused.record
    value = record.value or b""
    message = envelope.pack_bundle((replace(record, value=None),), env)
    if len(message.data) > MAX_REQUEST_BYTES - 10_000:
        message = envelope.pack_bundle((replace(record, value=None, key=None, headers=()),), env)
    # Cut, because an error text over the limit would make its own message unpublishable.
    text = refused.message.encode()[: envelope.MAX_ATTRIBUTE_VALUE_BYTES].decode(errors="ignore")
    return Message(
        message.data,
        {
            **message.attributes,
            envelope.DEAD_LETTER_REASON: refused.reason,
            envelope.DEAD_LETTER_MESSAGE: text,
            envelope.VALUE_SIZE: str(len(value)),
            envelope.VALUE_SHA256: hashlib.sha256(value).hexdigest(),
        },
    )
