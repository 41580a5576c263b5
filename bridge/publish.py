"""Records → PublishRequests → acknowledged by Pub/Sub, refused, or to be tried again.

Requests go out through the client's low-level stub, several at a time: a future a message, as
`PublisherClient.publish` makes it, costs ten times the CPU, and its keyword attributes lose headers.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

import grpc
import msgspec
from google.api_core.gapic_v1 import routing_header

import envelope
from bridge.batch import AUTO_BUNDLE, Batch, Batcher, Refused
from bridge.stub import Call, Stub
from envelope import Record

# Requests that travel at once: small ones are many, large ones few.
MAX_IN_FLIGHT = 64
MAX_BYTES_IN_FLIGHT = 16_000_000
RPC_TIMEOUT_S = 8.0
LOOK_UP_S = 0.25
# So many records refused and none taken: they are not each at fault.
TOO_MANY_AT_FAULT = 100
REFUSED = "refused_by_pubsub"
# So many records in a cycle are heavy traffic: the bridge was busy while they gathered.
AUTO_BUNDLE_FROM = 1_000

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


class Failure(msgspec.Struct, frozen=True):
    """Why a topic did not take records, and whether somebody has to do something about it."""

    topic: str
    code: grpc.StatusCode
    text: str

    @property
    def refusal(self) -> bool:
        """Whether Pub/Sub answers, and refuses what it is sent."""
        return self.code in _REFUSED

    @property
    def permanent(self) -> bool:
        """Whether it will not pass by itself."""
        return self.code in _TO_DO

    def __str__(self) -> str:
        """Return topic and status, what Pub/Sub says, and what to do where somebody has to."""
        to_do = _TO_DO.get(self.code)
        return f"{self.topic}: {self.code.name}: {self.text}" + (f" ({to_do})" if to_do else "")


class Result(msgspec.Struct, frozen=True):
    """What became of the records that are not acknowledged; with `error` they are to be tried again."""

    unsent: list[Record]
    refused: list[Refused]
    error: Failure | None

    @property
    def pending(self) -> int:
        """How many records are not acknowledged, as themselves or as dead letters."""
        return len(self.unsent) + len(self.refused)


class _Lane:
    """Records on their way. Those of an ordering key go one request after the other."""

    def __init__(self, key: str, batches: Iterator[Batch]) -> None:
        self.key = key
        self.sources = deque([batches])

    def next(self) -> Batch | None:
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
        self._batcher = Batcher(topic, env)
        self._abandoned = abandoned
        self._ordering = ordering
        self._bundle = bundle
        self._observe = observe
        self._refused_in_a_row = 0
        self._given_up = Failure(topic, grpc.StatusCode.CANCELLED, "abandoned")
        self._metadata = (routing_header.to_grpc_metadata((("topic", topic),)),)  # type: ignore[no-untyped-call] # ships no types

    def publish(self, records: Sequence[Record], timeout_s: float = RPC_TIMEOUT_S) -> Result:
        """Publish the records and wait for all answers, each for `timeout_s` seconds at most.

        A request that Pub/Sub refuses is halved until the record at fault stands alone. Where so many are
        refused and none is taken, also over several calls, the topic is at fault, and all are unsent. The
        unsent of an ordering key keep their order.
        """
        result = self._publish(records, timeout_s)
        self._leave_dead_connection(result.error)
        if result.pending < len(records):
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
        return Result(unsent, others, Failure(self._topic, grpc.StatusCode.INVALID_ARGUMENT, text))

    def _publish(self, records: Sequence[Record], timeout_s: float) -> Result:  # noqa: C901, PLR0912 - one loop, read from above
        unsent: list[Record] = []
        refused: list[Refused] = []
        error: Failure | None = None
        at_fault = travelling = 0
        taken = False
        bundle = self._bundle or (AUTO_BUNDLE if len(records) >= AUTO_BUNDLE_FROM else 1)
        # Packed as there is room for it: the next request is made while the others travel.
        ready = deque(
            _Lane(key, self._batcher.batches(of_key, key, bundle, refused))
            for key, of_key in self._by_ordering_key(records)
        )
        in_flight: deque[tuple[_Lane, Batch, Call, float]] = deque()
        while ready or in_flight:
            while ready and len(in_flight) < MAX_IN_FLIGHT and travelling < MAX_BYTES_IN_FLIGHT:
                lane = ready[0]
                packed = lane.next()
                if packed is None:
                    ready.popleft()
                # After an error no more is sent: each request would wait out its own time, and no poll comes.
                elif error is not None or self._abandoned():
                    unsent += packed.records
                    error = error or self._given_up
                else:
                    if lane.key:
                        ready.popleft()
                    call = self._send(packed.request, timeout_s)
                    in_flight.append((lane, packed, call, time.monotonic()))
                    travelling += len(packed.request)
            if not in_flight:
                continue
            lane, batch, call, sent_at = in_flight.popleft()
            failure = self._wait(call)
            travelling -= len(batch.request)
            if failure is None:
                taken = True
                self._observe(time.monotonic() - sent_at, len(batch.request))
            elif not failure.refusal:
                error = failure
                unsent += batch.records
            elif len(batch.records) == 1:
                refused.append(Refused(batch.records[0], REFUSED, failure.text))
                at_fault += 1
                # Looking for more would take two requests a record, and a topic at fault takes none.
                if at_fault >= TOO_MANY_AT_FAULT and not taken:
                    error = error or failure
            else:
                middle = len(batch.records) // 2
                for half in (batch.records[middle:], batch.records[:middle]):
                    lane.sources.appendleft(self._batcher.batches(half, lane.key, bundle, refused))
            if lane.sources and (lane.key or lane not in ready):
                ready.append(lane)
        return Result(unsent, refused, error if unsent else None)

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
        """Publish what is left of refused records, and return those not acknowledged with the error.

        One that is refused keeps its request: no notice differs from the others in what a topic may refuse.
        """
        published = 0
        for batch in self._batcher.notices(refused):
            failure = self._wait(self._send(batch.request, timeout_s))
            if failure is not None:
                self._leave_dead_connection(failure)
                return list(refused[published:]), failure
            published += len(batch.records)
        return [], None

    def _leave_dead_connection(self, error: Failure | None) -> None:
        if error is not None and error.code == grpc.StatusCode.DEADLINE_EXCEEDED:
            self._stub.connect_anew()

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
                return self._given_up
            except grpc.RpcError as error:
                return Failure(self._topic, error.code(), error.details() or "")
            else:
                return None
