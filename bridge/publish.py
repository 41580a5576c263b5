"""Records → PublishRequests → acknowledged by Pub/Sub, refused, or to be tried again.

Requests go out through the client's low-level stub, several at a time: a future a message, as
`PublisherClient.publish` makes it, costs ten times the CPU, and its keyword attributes lose headers.
"""

import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, Protocol

import grpc
import msgspec
from google.api_core.gapic_v1 import routing_header
from google.cloud.pubsub_v1 import PublisherClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from msgspec.structs import replace

import envelope
from bridge import wire
from envelope import Message, Record

# https://cloud.google.com/pubsub/quotas#resource_limits
MAX_REQUEST_BYTES = 10_000_000
MAX_REQUEST_MESSAGES = 1_000
# Larger requests gain nothing and make the memory of those in flight harder to bound.
TARGET_REQUEST_BYTES = 2_000_000
MAX_IN_FLIGHT = 8
RPC_TIMEOUT_S = 8.0
LOOK_UP_S = 0.25
# So many records refused in a row are not each at fault.
TOO_MANY_AT_FAULT = 100
REFUSED = "refused_by_pubsub"
# A bundle is pushed to the function whole, and becomes rows of one insert of 10 MB at most.
MAX_BUNDLE_BYTES = 1_000_000
AUTO_BUNDLE = 500
# So many records in a cycle are heavy traffic: the bridge was busy while they gathered.
AUTO_BUNDLE_FROM = 1_000
# gRPC itself would wait up to two minutes before it connects again.
CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.max_send_message_length", -1),
)

METHOD = "/google.pubsub.v1.Publisher/Publish"

# The request itself is wrong, so no retry of the same request helps.
_REFUSED = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE})

# What does not pass by itself, and who has to do what.
_TO_DO = {
    grpc.StatusCode.FAILED_PRECONDITION: "see the topic's settings, its encryption key among them",
    grpc.StatusCode.INVALID_ARGUMENT: "see the topic's settings, its schema among them",
    grpc.StatusCode.NOT_FOUND: "create the topic",
    grpc.StatusCode.PERMISSION_DENIED: "grant roles/pubsub.publisher on the topic to the bridge's identity",
    grpc.StatusCode.UNAUTHENTICATED: "see the bridge's credentials",
    grpc.StatusCode.UNIMPLEMENTED: "see what answers in Pub/Sub's place",
}


class Refused(msgspec.Struct, frozen=True):
    """A record that Pub/Sub will never take, and why."""

    record: Record
    reason: str
    message: str


class Failure(msgspec.Struct, frozen=True):
    """Why Pub/Sub did not take records, and whether somebody has to do something about it."""

    code: grpc.StatusCode
    text: str

    @property
    def permanent(self) -> bool:
        """Whether it will not pass by itself."""
        return self.code in _TO_DO

    def __str__(self) -> str:
        """Return the status, what Pub/Sub says, and what to do where somebody has to."""
        to_do = _TO_DO.get(self.code)
        return f"{self.code.name}: {self.text}" + (f" ({to_do})" if to_do else "")


_ABANDONED = Failure(grpc.StatusCode.CANCELLED, "abandoned")


class Result(msgspec.Struct, frozen=True):
    """What became of the records that are not acknowledged; `error` is the last transient one."""

    unsent: list[Record]
    refused: list[Refused]
    error: Failure | None


class Call(Protocol):
    """What is used of a grpc.Future."""

    def result(self, timeout: float) -> object:
        """Return the answer; raises grpc's errors, FutureTimeoutError when it is not there yet."""

    def cancel(self) -> bool:
        """Give up waiting for the answer."""


class Stub(Protocol):
    """What is used of the method Publish of a channel."""

    def future(self, request: bytes, *, timeout: float, metadata: tuple[tuple[str, str], ...]) -> Call:
        """Send the request, and return without waiting."""


class _Batch(msgspec.Struct, frozen=True):
    records: list[Record]
    request: bytes


class _Lane:
    """Records on their way. Those of an ordering key go one request after the other."""

    def __init__(self, key: str, batches: Iterator[_Batch]) -> None:
        self.key = key
        self.sources = deque([batches])

    def next(self) -> _Batch | None:
        """Return the next request, None after the last."""
        while self.sources:
            batch = next(self.sources[0], None)
            if batch is not None:
                return batch
            self.sources.popleft()
        return None


class Publisher:
    """Publishes to one topic.

    `bundle` is how many records a message may carry, None for as many as fit while a call brings many, and
    one record to a message otherwise. `abandoned` is asked several times a second whether to give up waiting;
    `observe` is told of each acknowledged request the seconds that it took, and its bytes.
    """

    def __init__(
        self,
        stub: Stub,
        topic: str,
        env: str,
        abandoned: Callable[[], bool],
        *,
        ordering: Literal["none", "partition", "key"] = "none",
        bundle: int | None = 1,
        observe: Callable[[float, int], None] = lambda *_: None,
    ) -> None:
        self._stub = stub
        self._topic = topic
        self._env = env
        self._packer = wire.Packer(env)
        self._abandoned = abandoned
        self._ordering = ordering
        self._bundle = bundle
        self._observe = observe
        self._refused_in_a_row = 0
        self._metadata = (routing_header.to_grpc_metadata((("topic", topic),)),)  # type: ignore[no-untyped-call] # ships no types

    def publish(self, records: Sequence[Record], timeout_s: float = RPC_TIMEOUT_S) -> Result:
        """Publish the records and wait for all answers, each for `timeout_s` seconds at most.

        A request that Pub/Sub refuses is halved until the record at fault stands alone. Where so many have
        been refused since one was taken, also over several calls, the topic is at fault, and they are unsent.
        The unsent of an ordering key keep their order.
        """
        result = self._publish(records, timeout_s)
        if len(result.unsent) + len(result.refused) < len(records):
            self._refused_in_a_row = 0
            return result
        at_fault = [each for each in result.refused if each.reason == REFUSED]
        self._refused_in_a_row += len(at_fault)
        if not at_fault or self._refused_in_a_row < TOO_MANY_AT_FAULT:
            return result
        text = f"for {self._refused_in_a_row} records in a row: {at_fault[-1].message}"
        others = [each for each in result.refused if each.reason != REFUSED]
        never = {id(each.record) for each in others}
        unsent = [record for record in records if id(record) not in never]
        return Result(unsent, others, Failure(grpc.StatusCode.INVALID_ARGUMENT, text))

    def _publish(self, records: Sequence[Record], timeout_s: float) -> Result:  # noqa: C901, PLR0912 - one loop, read from above
        unsent: list[Record] = []
        refused: list[Refused] = []
        error: Failure | None = None
        bundle = self._bundle or (AUTO_BUNDLE if len(records) >= AUTO_BUNDLE_FROM else 1)
        # Packed as there is room for it: the next request is made while the others travel.
        ready = deque(
            _Lane(key, self._batches(of_key, key, bundle, refused))
            for key, of_key in self._by_ordering_key(records)
        )
        in_flight: deque[tuple[_Lane, _Batch, Call, float]] = deque()
        while ready or in_flight:
            while ready and len(in_flight) < MAX_IN_FLIGHT:
                lane = ready[0]
                packed = lane.next()
                if packed is None or lane.key:
                    ready.popleft()
                if packed is None:
                    continue
                # After an error no more keys are sent: each has a request, which would wait out its own time.
                if self._abandoned() or (lane.key and error is not None):
                    unsent += packed.records
                    error = error or _ABANDONED
                    if lane.key:
                        ready.append(lane)
                else:
                    call = self._send(packed.request, timeout_s)
                    in_flight.append((lane, packed, call, time.monotonic()))
            if not in_flight:
                continue
            lane, batch, call, sent_at = in_flight.popleft()
            failure = self._wait(call)
            if failure is None:
                self._observe(time.monotonic() - sent_at, len(batch.request))
            elif failure.code not in _REFUSED:
                error = failure
                unsent += batch.records
                # What comes after it in the order must not overtake it.
                while lane.key and (rest := lane.next()):
                    unsent += rest.records
            elif len(batch.records) == 1:
                refused.append(Refused(batch.records[0], REFUSED, failure.text))
            else:
                middle = len(batch.records) // 2
                for half in (batch.records[middle:], batch.records[:middle]):
                    lane.sources.appendleft(self._batches(half, lane.key, bundle, refused))
            if lane.sources and (lane.key or lane not in ready):
                ready.append(lane)
        return Result(unsent, refused, error)

    def _by_ordering_key(self, records: Sequence[Record]) -> Iterable[tuple[str, Sequence[Record]]]:
        if self._ordering == "none":
            return [("", records)]
        by_key: dict[str, list[Record]] = {}
        for record in records:
            by_key.setdefault(envelope.ordering_key(record, self._ordering), []).append(record)
        return by_key.items()

    def publish_dead_letters(
        self, refused: Sequence[Refused], timeout_s: float = RPC_TIMEOUT_S
    ) -> tuple[list[Refused], Failure | None]:
        """Publish what is left of refused records, and return those not acknowledged with the error."""
        for index, dead_letter in enumerate(refused):
            request = wire.request(self._topic, [wire.message(_notice(dead_letter, self._env))])
            failure = self._wait(self._send(request, timeout_s))
            if failure is not None:
                return list(refused[index:]), failure
        return [], None

    def _batches(
        self, records: Sequence[Record], key: str, bundle: int, refused: list[Refused]
    ) -> Iterator[_Batch]:
        """Yield requests within the limits; what can be in none of them is added to `refused`."""
        overhead = len(self._topic) + 8
        taken, messages, size = list[Record](), list[bytes](), overhead
        for group, message in self._messages(records, key, bundle):
            if len(message) + overhead > MAX_REQUEST_BYTES:
                text = (
                    f"the record makes a message of {len(message)} bytes, "
                    f"Pub/Sub takes {MAX_REQUEST_BYTES} a request"
                )
                refused.append(Refused(group[0], "too_large", text))
                continue
            if taken and (
                len(messages) == MAX_REQUEST_MESSAGES or size + len(message) > TARGET_REQUEST_BYTES
            ):
                yield _Batch(taken, wire.request(self._topic, messages))
                taken, messages, size = [], [], overhead
            taken += group
            messages.append(message)
            size += len(message)
        if taken:
            yield _Batch(taken, wire.request(self._topic, messages))

    def _messages(
        self, records: Sequence[Record], key: str, bundle: int
    ) -> Iterator[tuple[Sequence[Record], bytes]]:
        """Yield each message with its records; what is in no bundle is a message of its own."""
        pack = self._packer.pack
        if bundle == 1:
            for record in records:
                yield (record,), pack(record, key)
            return
        waiting = [records[start : start + bundle] for start in range(0, len(records), bundle)]
        waiting.reverse()
        while waiting:
            group = waiting.pop()
            if len(group) == 1:
                yield group, pack(group[0], key)
                continue
            bundled = envelope.pack_bundle(group, self._env)
            if len(bundled.data) <= MAX_BUNDLE_BYTES:
                yield group, wire.message(bundled, key)
            else:
                waiting += [group[len(group) // 2 :], group[: len(group) // 2]]

    def _send(self, request: bytes, timeout_s: float) -> Call:
        return self._stub.future(request, timeout=timeout_s, metadata=self._metadata)

    def _wait(self, call: Call) -> Failure | None:
        """Return None when the request was acknowledged, else its status and what it says."""
        while True:
            if self._abandoned():
                call.cancel()
            try:
                call.result(timeout=LOOK_UP_S)
            except grpc.FutureTimeoutError:
                continue
            except grpc.FutureCancelledError:
                return _ABANDONED
            except grpc.RpcError as error:
                return Failure(error.code(), error.details() or "")
            else:
                return None


def open_stub() -> Stub:
    """Return the method Publish of Pub/Sub, of PUBSUB_EMULATOR_HOST or where Google's client finds it."""
    emulator = os.environ.get("PUBSUB_EMULATOR_HOST")
    if emulator:
        channel = grpc.insecure_channel(emulator, options=CHANNEL_OPTIONS)
    else:
        # The client finds endpoint and credentials; of the channel, only the options are ours.
        def open_channel(host: str, **arguments: Any) -> grpc.Channel:  # noqa: ANN401 - handed through
            return PublisherGrpcTransport.create_channel(host, **{**arguments, "options": CHANNEL_OPTIONS})

        client = PublisherClient(transport=partial(PublisherGrpcTransport, channel=open_channel))
        channel = client.transport.grpc_channel
    stub: Stub = channel.unary_unary(METHOD)  # bytes in, bytes out: nobody reads the messages' ids
    return stub


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
