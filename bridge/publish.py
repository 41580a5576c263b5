"""Records → PublishRequests → acknowledged by Pub/Sub, refused, or to be tried again.

Requests go out through the client's low-level stub, several at a time: a future a message, as
`PublisherClient.publish` makes it, costs ten times the CPU, and its keyword attributes lose headers.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import grpc
import msgspec
from google.api_core.gapic_v1 import routing_header
from google.cloud.pubsub_v1 import PublisherClient
from google.pubsub_v1.types import pubsub
from msgspec.structs import replace

import envelope
from envelope import Message, Record

# https://cloud.google.com/pubsub/quotas#resource_limits
MAX_REQUEST_BYTES = 10_000_000
MAX_REQUEST_MESSAGES = 1_000
# Larger requests gain nothing and make the memory of those in flight harder to bound.
TARGET_REQUEST_BYTES = 2_000_000
MAX_IN_FLIGHT = 8
RPC_TIMEOUT_S = 30.0
LOOK_UP_S = 0.25
# So many records refused, and none taken, are not each at fault.
TOO_MANY_AT_FAULT = 100
REFUSED = "refused_by_pubsub"

PublishRequest = pubsub.PublishRequest.pb()
PubsubMessage = pubsub.PubsubMessage.pb()

# The request itself is wrong, so no retry of the same request helps.
_REFUSED = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE})


class Refused(msgspec.Struct, frozen=True):
    """A record that Pub/Sub will never take, and why."""

    record: Record
    reason: str
    message: str


class Result(msgspec.Struct, frozen=True):
    """What became of the records that are not acknowledged; `error` is the last transient one."""

    unsent: list[Record]
    refused: list[Refused]
    error: str | None


class _ProtobufMessage(Protocol):
    def ByteSize(self) -> int: ...  # noqa: N802 - protobuf's name


class Call(Protocol):
    """What is used of a grpc.Future."""

    def result(self, timeout: float) -> object:
        """Return the answer; raises grpc's errors, FutureTimeoutError when it is not there yet."""

    def cancel(self) -> bool:
        """Give up waiting for the answer."""


class Stub(Protocol):
    """What is used of the method Publish of a channel."""

    def future(
        self, request: _ProtobufMessage, *, timeout: float, metadata: tuple[tuple[str, str], ...]
    ) -> Call:
        """Send the request, and return without waiting."""


class _Batch(msgspec.Struct, frozen=True):
    records: list[Record]
    request: _ProtobufMessage


class Publisher:
    """Publishes to one topic. `abandoned` is asked several times a second whether to give up waiting."""

    def __init__(self, stub: Stub, topic: str, env: str, abandoned: Callable[[], bool]) -> None:
        self._stub = stub
        self._topic = topic
        self._env = env
        self._abandoned = abandoned
        self._metadata = (routing_header.to_grpc_metadata((("topic", topic),)),)  # type: ignore[no-untyped-call] # ships no types

    def publish(self, records: Sequence[Record]) -> Result:
        """Publish the records and wait for all answers.

        A request that Pub/Sub refuses is halved until the record at fault stands alone. Where so many are
        refused and none is taken, the topic is at fault, and all are unsent.
        """
        result = self._publish(records)
        at_fault = [each for each in result.refused if each.reason == REFUSED]
        if len(at_fault) == len(records) >= TOO_MANY_AT_FAULT:
            error = f"INVALID_ARGUMENT for all {len(records)}: {at_fault[-1].message}"
            return Result(list(records), [], error)
        return result

    def _publish(self, records: Sequence[Record]) -> Result:
        unsent: list[Record] = []
        refused: list[Refused] = []
        error = None
        # Packed as there is room for it: the next request is made while the others travel.
        sources = deque([self._batches(records, refused)])
        in_flight: deque[tuple[_Batch, Call]] = deque()
        while sources or in_flight:
            while sources and len(in_flight) < MAX_IN_FLIGHT:
                packed = next(sources[0], None)
                if packed is None:
                    sources.popleft()
                elif self._abandoned():
                    unsent += packed.records
                    error = error or "abandoned"
                else:
                    in_flight.append((packed, self._send(packed.request)))
            if not in_flight:
                continue
            batch, call = in_flight.popleft()
            failure = self._wait(call)
            if failure is None:
                continue
            code, text = failure
            if code not in _REFUSED:
                unsent += batch.records
                error = f"{code.name}: {text}"
            elif len(batch.records) == 1:
                refused.append(Refused(batch.records[0], REFUSED, text))
            else:
                middle = len(batch.records) // 2
                for half in (batch.records[:middle], batch.records[middle:]):
                    sources.append(self._batches(half, refused))
        return Result(unsent, refused, error)

    def publish_dead_letters(self, refused: Sequence[Refused]) -> tuple[list[Refused], str | None]:
        """Publish what is left of refused records, and return those not acknowledged with the error."""
        for index, dead_letter in enumerate(refused):
            request = PublishRequest(
                topic=self._topic, messages=[_to_pubsub(_notice(dead_letter, self._env))]
            )
            failure = self._wait(self._send(request))
            if failure is not None:
                return list(refused[index:]), f"{failure[0].name}: {failure[1]}"
        return [], None

    def _batches(self, records: Sequence[Record], refused: list[Refused]) -> Iterator[_Batch]:
        """Yield requests within the limits; what can be in none of them is added to `refused`."""
        overhead = len(self._topic) + 8
        taken: list[Record] = []
        messages: list[_ProtobufMessage] = []
        size = overhead
        for record in records:
            message = _to_pubsub(envelope.pack(record, self._env))
            cost = message.ByteSize() + 6  # its tag and length in the request
            if cost + overhead > MAX_REQUEST_BYTES:
                text = (
                    f"the record makes a message of {cost} bytes, Pub/Sub takes {MAX_REQUEST_BYTES} a request"
                )
                refused.append(Refused(record, "too_large", text))
                continue
            if taken and (len(taken) == MAX_REQUEST_MESSAGES or size + cost > TARGET_REQUEST_BYTES):
                yield _Batch(taken, PublishRequest(topic=self._topic, messages=messages))
                taken, messages, size = [], [], overhead
            taken.append(record)
            messages.append(message)
            size += cost
        if taken:
            yield _Batch(taken, PublishRequest(topic=self._topic, messages=messages))

    def _send(self, request: _ProtobufMessage) -> Call:
        return self._stub.future(request, timeout=RPC_TIMEOUT_S, metadata=self._metadata)

    def _wait(self, call: Call) -> tuple[grpc.StatusCode, str] | None:
        """Return None when the request was acknowledged, else its status and what it says."""
        while True:
            if self._abandoned():
                call.cancel()
            try:
                call.result(timeout=LOOK_UP_S)
            except grpc.FutureTimeoutError:
                continue
            except grpc.FutureCancelledError:
                return grpc.StatusCode.CANCELLED, "abandoned"
            except grpc.RpcError as error:
                return error.code(), error.details() or ""
            else:
                return None


def open_stub() -> Stub:
    """Return the publish method of Pub/Sub's client, which finds credentials, or PUBSUB_EMULATOR_HOST."""
    stub: Stub = PublisherClient().transport.publish
    return stub


def _to_pubsub(message: Message) -> _ProtobufMessage:
    made: _ProtobufMessage = PubsubMessage(data=message.data, attributes=message.attributes)
    return made


def _notice(refused: Refused, env: str) -> Message:
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
