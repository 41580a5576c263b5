"""Records become requests within Pub/Sub's limits, and each record is acknowledged, refused or unsent."""

import hashlib
import math
from collections.abc import Callable, Sequence

import grpc
import pytest
from google.pubsub_v1.types import pubsub

import envelope
from bridge.batch import MAX_BUNDLE_BYTES, MAX_REQUEST_BYTES, MAX_REQUEST_MESSAGES, Refused
from bridge.publish import (
    AUTO_BUNDLE_FROM,
    MAX_BYTES_IN_FLIGHT,
    MAX_IN_FLIGHT,
    RPC_TIMEOUT_S,
    Publisher,
    Result,
)
from envelope import Header, Record

TOPIC = "projects/p/topics/events"
Status = grpc.StatusCode


class Failure(grpc.RpcError):
    """An error as gRPC raises it."""

    def __init__(self, code: grpc.StatusCode, details: str | None = "made up") -> None:
        super().__init__()
        self._code = code
        self._details = details

    def code(self) -> grpc.StatusCode:
        """Return the status."""
        return self._code

    def details(self) -> str | None:
        """Return what the server says."""
        return self._details


class FakeCall:
    """A call that is answered at the first look, or never."""

    def __init__(self, stub: "FakeStub", failure: Exception | None) -> None:
        self._stub = stub
        self._failure = failure
        self.cancelled = False

    def result(self, timeout: float) -> object:
        """Answer, or let the time pass."""
        assert 0 < timeout <= 1, "abandoned() could not be asked several times a second"
        if not self._stub.answers and not self.cancelled:
            self._stub.waited_s += timeout
            raise grpc.FutureTimeoutError
        self._stub.in_flight -= 1
        if self.cancelled:
            raise grpc.FutureCancelledError
        if self._failure is not None:
            raise self._failure
        return object()

    def cancel(self) -> bool:
        """Give up."""
        self.cancelled = True
        return True


Answer = Callable[[pubsub.PublishRequest], Exception | None]


class FakeStub:
    """Keeps what is published; `answer` gives the error for a request, `answers` False leaves it open."""

    def __init__(self, answer: Answer = lambda _: None, *, answers: bool = True) -> None:
        self.answers = answers
        self.requests: list[pubsub.PublishRequest] = []
        self.sizes: list[int] = []
        self.acknowledged: list[Record] = []
        self.calls: list[FakeCall] = []
        self.options: set[tuple[float, tuple[tuple[str, str], ...]]] = set()
        self.in_flight = 0
        self.most_in_flight = 0
        self.waited_s = 0.0
        self.connected_anew = 0
        self._answer = answer

    def future(self, request: bytes, *, timeout: float, metadata: tuple[tuple[str, str], ...]) -> FakeCall:
        """Take a request."""
        self.options.add((timeout, metadata))
        self.sizes.append(len(request))
        taken = pubsub.PublishRequest.deserialize(request)
        self.requests.append(taken)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        failure = self._answer(taken)
        if failure is None and self.answers:
            self.acknowledged += records_of(taken)
        self.calls.append(FakeCall(self, failure))
        return self.calls[-1]

    def connect_anew(self) -> None:
        """Count it; nothing travels then."""
        assert self.in_flight == 0
        self.connected_anew += 1


def records_of(request: pubsub.PublishRequest) -> list[Record]:
    """Return the records in a request; those of a dead letter too."""
    records: list[Record] = []
    for message in request.messages:
        own = {k: v for k, v in message.attributes.items() if not k.startswith("kafka.dead_letter.")}
        records += envelope.unpack(envelope.Message(message.data, own)).records
    return records


def record(offset: int, value: bytes | None = b"v", headers: tuple[Header, ...] = ()) -> Record:
    """Return a record of one partition."""
    return Record("orders", 3, offset, 1_700_000_000_000, b"k", headers, value)


def records(count: int) -> list[Record]:
    """Return records of one partition, in order."""
    return [record(offset) for offset in range(count)]


def publisher(stub: FakeStub, abandoned: Callable[[], bool] = lambda: False) -> Publisher:
    """Return a publisher over the stub."""
    return Publisher(stub, TOPIC, "test", abandoned)


def large_records(count: int) -> list[Record]:
    """Return records each of which fills a request."""
    value = bytes(1_500_000)
    return [record(offset, value) for offset in range(count)]


def offsets(these: Sequence[Record]) -> list[int]:
    """Return the offsets, sorted."""
    return sorted(r.offset for r in these)


def refuse(*bad: int, code: grpc.StatusCode = Status.INVALID_ARGUMENT) -> Answer:
    """Answer with an error to any request that holds one of the offsets."""

    def answer(request: pubsub.PublishRequest) -> Exception | None:
        return Failure(code, "bad") if {r.offset for r in records_of(request)} & {*bad} else None

    return answer


def test_nothing_is_no_request() -> None:
    """No records make no request."""
    stub = FakeStub()
    result = publisher(stub).publish([])
    assert (result.unsent, result.refused, result.error) == ([], [], None)
    assert stub.requests == []


def test_every_record_arrives_as_packed() -> None:
    """What is published is what the envelope packs, byte for byte, attributes included."""
    kept = [
        record(1, bytes(range(256)), (("item_type_name", b"a.B"), ("topic", b"t"), ("retry", b"r"))),
        record(2, None),
        record(3, b"", (("goog-x", b"1"), ("bin", b"\xff"), ("null", None), ("null", b""))),
    ]
    stub = FakeStub()
    result = publisher(stub).publish(kept)
    assert (result.unsent, result.refused, result.error) == ([], [], None)
    (request,) = stub.requests
    assert request.topic == TOPIC
    assert [(m.data, dict(m.attributes)) for m in request.messages] == [
        (m.data, m.attributes) for m in (envelope.pack(r, "test") for r in kept)
    ]


def test_request_carries_routing_header_and_deadline() -> None:
    """Pub/Sub routes by the header, and no call waits for ever."""
    stub = FakeStub()
    publisher(stub).publish(records(1))
    publisher(stub).publish_dead_letters([Refused(record(1), "too_large", "x")])
    (options,) = stub.options
    assert options == (RPC_TIMEOUT_S, (("x-goog-request-params", "topic=projects/p/topics/events"),))


def test_requests_hold_at_most_1000_messages() -> None:
    """A request has at most 1,000 messages, and together they are all, each once."""
    stub = FakeStub()
    publisher(stub).publish(records(2_500))
    assert [len(r.messages) for r in stub.requests] == [MAX_REQUEST_MESSAGES, MAX_REQUEST_MESSAGES, 500]
    assert offsets(stub.acknowledged) == list(range(2_500))


def test_requests_stay_within_the_bytes() -> None:
    """A request is at most 10 MB as sent, and only a large record makes one over 2 MB, alone."""
    sizes = [900_000] * 5 + [9_900_000, 10, 1_999_000, 10, 3_000_000, 3_000_000]
    stub = FakeStub()
    result = publisher(stub).publish([record(n, bytes(size)) for n, size in enumerate(sizes)])
    assert result.refused == []
    assert max(stub.sizes) <= MAX_REQUEST_BYTES
    assert all(
        len(request.messages) == 1
        for request, size in zip(stub.requests, stub.sizes, strict=True)
        if size > 2_000_000
    )
    assert offsets(stub.acknowledged) == list(range(len(sizes)))


def test_bytes_of_attributes_count() -> None:
    """Headers count toward the size of a request as the value does."""
    headers = tuple((f"h{n}", b"x" * 1000) for n in range(90))
    stub = FakeStub()
    publisher(stub).publish([record(n, b"", headers) for n in range(200)])
    assert max(stub.sizes) <= 2_000_000
    assert offsets(stub.acknowledged) == list(range(200))


def test_record_over_the_limit_is_refused_alone() -> None:
    """A record over 10 MB is too_large, is never sent, and its neighbours are published."""
    these = [record(0), record(1, bytes(10_000_001)), record(2)]
    stub = FakeStub()
    result = publisher(stub).publish(these)
    (refused,) = result.refused
    assert (refused.record, refused.reason) == (these[1], "too_large")
    assert "10000000" in refused.message
    assert (result.unsent, result.error) == ([], None)
    assert offsets(stub.acknowledged) == [0, 2]
    assert max(stub.sizes) < MAX_REQUEST_BYTES


def test_limit_is_exact_as_sent() -> None:
    """Round the limit, a record is sent within 10 MB or refused, and nothing else."""
    sent = refused = 0
    for size in range(MAX_REQUEST_BYTES - 220, MAX_REQUEST_BYTES - 80, 20):
        stub = FakeStub()
        result = publisher(stub).publish([record(0, bytes(size))])
        assert len(stub.requests) + len(result.refused) == 1
        assert all(n <= MAX_REQUEST_BYTES for n in stub.sizes)
        sent += len(stub.requests)
        refused += len(result.refused)
    assert sent
    assert refused


@pytest.mark.parametrize("code", [Status.INVALID_ARGUMENT, Status.OUT_OF_RANGE])
@pytest.mark.parametrize("bad", [(0,), (7,), (99,), (0, 99), (49, 50), (3, 4, 5, 77)])
def test_refused_request_is_halved_to_the_record_at_fault(
    bad: tuple[int, ...], code: grpc.StatusCode
) -> None:
    """One invalid message fails its request: it alone is refused, every neighbour is published once."""
    these = records(100)
    stub = FakeStub(refuse(*bad, code=code))
    result = publisher(stub).publish(these)
    assert offsets([r.record for r in result.refused]) == list(bad)
    assert {r.reason for r in result.refused} == {"refused_by_pubsub"}
    assert {r.message for r in result.refused} == {"bad"}
    assert (result.unsent, result.error) == ([], None)
    assert offsets(stub.acknowledged) == [n for n in range(100) if n not in bad]


def test_all_refused_ends() -> None:
    """Where Pub/Sub refuses every record of a few, each is refused once."""
    stub = FakeStub(lambda _: Failure(Status.INVALID_ARGUMENT, None))
    result = publisher(stub).publish(records(99))
    assert offsets([r.record for r in result.refused]) == list(range(99))
    assert {r.message for r in result.refused} == {""}
    assert (result.unsent, result.error) == ([], None)


@pytest.mark.parametrize(
    "code",
    [
        Status.ABORTED,
        Status.CANCELLED,
        Status.DEADLINE_EXCEEDED,
        Status.FAILED_PRECONDITION,
        Status.INTERNAL,
        Status.NOT_FOUND,
        Status.PERMISSION_DENIED,
        Status.RESOURCE_EXHAUSTED,
        Status.UNAUTHENTICATED,
        Status.UNAVAILABLE,
        Status.UNIMPLEMENTED,
        Status.UNKNOWN,
    ],
)
def test_transient_error_leaves_its_records_unsent(code: grpc.StatusCode) -> None:
    """Whatever may pass leaves the records of its request to be tried again, with the error named."""
    these = large_records(3)
    stub = FakeStub(refuse(1, code=code))
    result = publisher(stub).publish(these)
    assert result.unsent == [these[1]]
    assert result.refused == []
    assert str(result.error).startswith(f"{TOPIC}: {code.name}: bad")
    assert offsets(stub.acknowledged) == [0, 2]


@pytest.mark.parametrize(
    ("code", "times"), [(Status.DEADLINE_EXCEEDED, 1), (Status.UNAVAILABLE, 0), (Status.INVALID_ARGUMENT, 0)]
)
def test_connection_that_does_not_answer_is_left(code: grpc.StatusCode, times: int) -> None:
    """It may be dead without a word; where there was an answer, it is not."""
    stub = FakeStub(refuse(1, code=code))
    publisher(stub).publish(large_records(3))
    assert stub.connected_anew == times
    publisher(stub).publish_dead_letters([Refused(record(1), "too_large", "x")])
    assert stub.connected_anew == 2 * times


def test_transient_error_while_halving_loses_no_half() -> None:
    """A half whose request fails for a while is unsent, the record at fault in the other is refused."""
    bad = refuse(10)

    def answer(request: pubsub.PublishRequest) -> Exception | None:
        if len(request.messages) == 50 and records_of(request)[0].offset == 50:
            return Failure(Status.UNAVAILABLE)
        return bad(request)

    stub = FakeStub(answer)
    result = publisher(stub).publish(records(100))
    refused = [each.record for each in result.refused]
    assert offsets([*result.unsent, *refused, *stub.acknowledged]) == list(range(100))
    assert {*range(50, 100)} <= {*offsets(result.unsent)}
    assert str(result.error) == f"{TOPIC}: UNAVAILABLE: made up"


def test_after_an_error_nothing_more_is_sent() -> None:
    """Each request would wait out its own time, one wave after the other, and no poll comes."""
    stub = FakeStub(lambda _: Failure(Status.UNAVAILABLE))
    result = publisher(stub).publish(large_records(30))
    assert len(stub.requests) == stub.most_in_flight < 30
    assert offsets(result.unsent) == list(range(30))


def test_in_flight_is_bounded() -> None:
    """Requests travel up to a number and up to a size of them all, also while halving; and that many do."""
    stub = FakeStub()
    publisher(stub).publish(large_records(30))
    assert stub.most_in_flight == math.ceil(MAX_BYTES_IN_FLIGHT / stub.sizes[0])
    stub = FakeStub(lambda _: Failure(Status.INVALID_ARGUMENT))
    publisher(stub).publish(records(1_000))
    assert 8 < stub.most_in_flight <= MAX_IN_FLIGHT
    stub = FakeStub()
    Publisher(stub, TOPIC, "test", lambda: False, ordering="key").publish(
        [keyed(n, b"%d" % n) for n in range(200)]
    )
    assert stub.most_in_flight == MAX_IN_FLIGHT


def test_topic_that_refuses_everything_makes_no_dead_letters() -> None:
    """A hundred refused and none taken are held and tried again: the topic is at fault, not each of them."""
    stub = FakeStub(lambda _: Failure(Status.INVALID_ARGUMENT))
    result = publisher(stub).publish(records(100))
    assert offsets(result.unsent) == list(range(100))
    assert result.refused == []
    assert result.error is not None
    assert str(result.error).startswith(f"{TOPIC}: INVALID_ARGUMENT: for 100 records in a row: ")
    assert result.error.permanent


def test_refused_records_are_counted_from_call_to_call() -> None:
    """A topic that refuses a few a call is at fault from the hundredth in a row; one taken begins anew."""
    refuses = [True]
    stub = FakeStub(lambda _: Failure(Status.INVALID_ARGUMENT) if refuses[0] else None)
    made = publisher(stub)

    def refused(count: int) -> int:
        result = made.publish(records(count))
        assert len(result.unsent) in (0, count)
        assert (result.error is not None) == bool(result.unsent)
        return len(result.refused)

    assert [refused(45), refused(45), refused(9), refused(9)] == [45, 45, 9, 0]
    assert refused(1) == 0  # as few as a rebalance leaves of a hold
    refuses[0] = False
    assert refused(1) == 0
    refuses[0] = True
    assert [refused(90), refused(10)] == [90, 0]


@pytest.mark.parametrize(
    "bad",
    [range(3_000, 3_250), [n for n in range(8_000) if n % 100], range(250)],
    ids=["run", "most", "head"],
)
@pytest.mark.parametrize("bundle", [1, 500])
def test_many_at_fault_among_good_ones_are_each_found(bad: Sequence[int], bundle: int) -> None:
    """However many in a row, of a topic that takes the others each is refused itself."""
    stub = FakeStub(refuse(*bad))
    result = Publisher(stub, TOPIC, "test", lambda: False, bundle=bundle).publish(records(8_000))
    assert offsets([each.record for each in result.refused]) == list(bad)
    assert offsets(stub.acknowledged) == [n for n in range(8_000) if n not in {*bad}]
    assert (result.unsent, result.error) == ([], None)


def test_topic_at_fault_is_not_asked_for_each_record() -> None:
    """Two requests a record would take minutes, in which no poll comes."""
    stub = FakeStub(lambda _: Failure(Status.INVALID_ARGUMENT))
    result = publisher(stub).publish(records(8_000))
    assert len(stub.requests) < 1_000
    assert offsets(result.unsent) == list(range(8_000))
    assert result.refused == []


def test_topic_that_takes_one_after_a_hundred_is_not_at_fault() -> None:
    """Those refused are, and the rest is to be tried again; a call that leaves nothing has no error."""
    key = b"k"  # one request after the other
    these = [keyed(n, key) for n in range(300)]
    stub = FakeStub(refuse(*range(200)))
    made = Publisher(stub, TOPIC, "test", lambda: False, ordering="key")
    result = made.publish(these)
    assert offsets(result.unsent) == list(range(300))  # nothing was taken by then
    result = made.publish([*these, *[keyed(n, b"other") for n in range(300, 310)]])
    assert offsets([each.record for each in result.refused]) == list(range(200))
    assert (result.unsent, result.error) == ([], None)


def test_what_is_too_large_stays_refused_when_the_topic_is_at_fault() -> None:
    """No topic takes it, so it is not tried again with the others."""
    stub = FakeStub(lambda _: Failure(Status.INVALID_ARGUMENT))
    these = records(120)
    these[60] = record(60, bytes(MAX_REQUEST_BYTES))
    result = publisher(stub).publish(these)
    assert offsets(result.unsent) == [n for n in range(120) if n != 60]
    assert [each.reason for each in result.refused] == ["too_large"]


def test_abandoned_call_is_cancelled() -> None:
    """A call that never answers is cancelled once abandoned() says so; its records stay unsent."""
    looks = iter([False, False, True])
    stub = FakeStub(answers=False)
    result = publisher(stub, lambda: next(looks)).publish(records(3))
    assert [call.cancelled for call in stub.calls] == [True]
    assert offsets(result.unsent) == [0, 1, 2]
    assert str(result.error) == f"{TOPIC}: CANCELLED: abandoned"


def test_abandoning_many_calls_takes_no_longer_than_one() -> None:
    """All calls in flight are given up together: SIGKILL comes 2 s later, as long as 8 waits."""
    stub = FakeStub(answers=False)
    result = publisher(stub, lambda: stub.waited_s >= 1).publish(large_records(8))
    assert len(stub.requests) == 8
    assert all(call.cancelled for call in stub.calls)
    assert offsets(result.unsent) == list(range(8))
    assert stub.waited_s <= 1.5


def test_abandoned_sends_nothing_more() -> None:
    """Once abandoned, no further request is made, and what was not sent is unsent."""
    stub = FakeStub(answers=False)
    result = publisher(stub, lambda: True).publish(large_records(10))
    assert offsets(result.unsent) == list(range(10))
    assert len(stub.requests) <= MAX_IN_FLIGHT


def notice_of(refused: Refused) -> pubsub.PubsubMessage:
    """Return the message that is published for a refused record."""
    stub = FakeStub()
    assert publisher(stub).publish_dead_letters([refused]) == ([], None)
    (request,) = stub.requests
    assert request.topic == TOPIC
    (message,) = request.messages
    assert max(stub.sizes) <= MAX_REQUEST_BYTES
    assert all(len(v.encode()) <= envelope.MAX_ATTRIBUTE_VALUE_BYTES for v in message.attributes.values())
    return message


def test_dead_letter_tells_position_reason_size_and_hash() -> None:
    """The notice has position, key and every header; the value is told by its size and SHA-256."""
    value = b"x" * 10_000_001
    headers: tuple[Header, ...] = (("b", b"\xff"), ("a", None), ("a", b""), ("item_type_name", b"a.B"))
    message = notice_of(Refused(record(42, value, headers), "too_large", "it is too large"))
    attributes = dict(message.attributes)
    assert attributes.pop(envelope.BUNDLE) == "1"
    assert attributes == {
        "kafka.env": "test",
        "kafka.dead_letter.reason": "too_large",
        "kafka.dead_letter.message": "it is too large",
        "kafka.dead_letter.value_size": "10000001",
        "kafka.dead_letter.value_sha256": hashlib.sha256(value).hexdigest(),
    }
    (kept,) = records_of(pubsub.PublishRequest(messages=[message]))
    assert kept == Record("orders", 3, 42, 1_700_000_000_000, b"k", headers, None)


@pytest.mark.parametrize("text", ["x" * 5_000, "ä" * 5_000, "x" + "€" * 5_000, "xy" + "😀" * 1_000, ""])
def test_dead_letter_message_is_cut_to_what_an_attribute_holds(text: str) -> None:
    """A long error text is cut at 1,024 bytes between characters, so that the notice is publishable."""
    message = notice_of(Refused(record(1), "refused_by_pubsub", text))
    kept = message.attributes["kafka.dead_letter.message"]
    assert text.startswith(kept)
    assert len(kept.encode()) > 1_020 or kept == text


@pytest.mark.parametrize("size", [9_980_000, 9_995_000, 12_000_000])
def test_dead_letter_leaves_out_headers_that_do_not_fit(size: int) -> None:
    """Headers too large for a message are left out; the position, size and hash remain."""
    refused = Refused(record(5, b"abc", (("h", bytes(size)),)), "too_large", "x" * 2_000)
    message = notice_of(refused)
    (kept,) = records_of(pubsub.PublishRequest(messages=[message]))
    assert (kept.topic, kept.partition, kept.offset, kept.timestamp) == ("orders", 3, 5, 1_700_000_000_000)
    assert kept.headers == (refused.record.headers if size < 9_990_000 else ())
    assert message.attributes["kafka.dead_letter.value_size"] == "3"


def test_dead_letter_of_a_huge_key() -> None:
    """A key too large for a message is left out like the headers."""
    huge = Record("orders", 3, 6, None, bytes(11_000_000), (), None)
    message = notice_of(Refused(huge, "too_large", "x"))
    (kept,) = records_of(pubsub.PublishRequest(messages=[message]))
    assert (kept.offset, kept.timestamp, kept.key) == (6, None, None)
    assert message.attributes["kafka.dead_letter.value_size"] == "0"


@pytest.mark.parametrize("code", [Status.UNAVAILABLE, Status.INVALID_ARGUMENT])
def test_dead_letters_not_acknowledged_come_back(code: grpc.StatusCode) -> None:
    """Dead letters that are not acknowledged, for whatever cause, are returned with the error."""
    headers: tuple[Header, ...] = (("h", bytes(6_000_000)),)  # two of these do not fit in a request
    refused = [Refused(record(n, headers=headers if n == 2 else ()), "too_large", "x") for n in range(4)]
    stub = FakeStub(refuse(2, code=code))
    left, error = publisher(stub).publish_dead_letters(refused)
    assert left == refused[2:]
    assert str(error).startswith(f"{TOPIC}: {code.name}: bad")
    assert offsets(stub.acknowledged) == [0, 1]


def test_dead_letters_go_many_to_a_request() -> None:
    """Eight thousand are not eight thousand requests one after the other, in which no poll comes."""
    stub = FakeStub()
    refused = [Refused(record(n), "too_large", "x") for n in range(8_000)]
    assert publisher(stub).publish_dead_letters(refused) == ([], None)
    assert [r.offset for r in stub.acknowledged] == list(range(8_000))
    assert len(stub.requests) <= 8_000 // 500


def test_abandoned_dead_letter_comes_back() -> None:
    """A dead letter that is never answered is cancelled when abandoned, and returned."""
    refused = [Refused(record(n), "too_large", "x") for n in range(4)]
    stub = FakeStub(answers=False)
    looks = iter([False, True])
    left, error = publisher(stub, lambda: next(looks)).publish_dead_letters(refused)
    assert left == refused
    assert str(error) == f"{TOPIC}: CANCELLED: abandoned"
    assert [call.cancelled for call in stub.calls] == [True]


def keyed(offset: int, key: bytes | None, partition: int = 3) -> Record:
    """Return a record with a key."""
    return Record("orders", partition, offset, None, key, (), b"v" * 1_000)


def test_one_ordering_key_a_request_and_one_request_a_key() -> None:
    """With ordering, a request has one key, a key one request at a time, and its records keep their order."""
    stub = FakeStub()
    given = [keyed(n, b"a" if n % 3 else b"b") for n in range(9_000)]
    result = Publisher(stub, TOPIC, "test", lambda: False, ordering="key").publish(given)
    assert result == Result([], [], None)
    assert stub.most_in_flight == 2
    for key in ("orders:a", "orders:b"):
        requests = [r for r in stub.requests if r.messages[0].ordering_key == key]
        assert len(requests) > 1
        assert {m.ordering_key for r in requests for m in r.messages} == {key}
        sent = [r.offset for request in requests for r in records_of(request)]
        assert sent == [r.offset for r in given if r.key == key[-1].encode()]


def test_ordering_by_partition() -> None:
    """With ordering by partition the key is topic and partition, whatever the record's key."""
    stub = FakeStub()
    given = [keyed(1, b"a", 0), keyed(1, b"a", 1), keyed(2, None, 0)]
    Publisher(stub, TOPIC, "test", lambda: False, ordering="partition").publish(given)
    assert [[m.ordering_key for m in r.messages] for r in stub.requests] == [["orders/0"] * 2, ["orders/1"]]


def test_later_records_of_a_key_wait_for_a_failed_request() -> None:
    """A request that fails holds back what follows of its key, in order, and no other key."""
    stub = FakeStub(refuse(0, code=Status.UNAVAILABLE))
    given = [keyed(n, b"a") for n in range(3_000)] + [keyed(5_000, b"b")]
    result = Publisher(stub, TOPIC, "test", lambda: False, ordering="key").publish(given)
    assert [r.offset for r in result.unsent] == [*range(3_000)]
    assert offsets(stub.acknowledged) == [5_000]


def test_an_outage_is_not_waited_out_key_by_key() -> None:
    """Once a request has failed no other key's is sent: each would take its own time to fail."""
    stub = FakeStub(refuse(*range(400), code=Status.UNAVAILABLE))
    given = [keyed(n, b"%d" % n) for n in range(400)]
    result = Publisher(stub, TOPIC, "test", lambda: False, ordering="key").publish(given)
    assert offsets(result.unsent) == [*range(400)]
    assert len(stub.requests) == MAX_IN_FLIGHT


def test_refused_record_of_a_key_lets_the_later_ones_pass_in_order() -> None:
    """A record that is refused is isolated; those of its key go on in their order around it."""
    stub = FakeStub(refuse(700))
    given = [keyed(n, b"a") for n in range(3_000)]
    result = Publisher(stub, TOPIC, "test", lambda: False, ordering="key").publish(given)
    assert [r.record.offset for r in result.refused] == [700]
    assert [r.offset for r in stub.acknowledged] == [n for n in range(3_000) if n != 700]


def test_bundles_hold_every_field_in_order() -> None:
    """With --bundle N, messages hold N records each, the last the rest, and nothing of them changes."""
    stub = FakeStub()
    given = [record(n, None if n % 7 == 0 else b"v", (("a", None), ("a", b"\xff"))) for n in range(1_050)]
    Publisher(stub, TOPIC, "test", lambda: False, bundle=500).publish(given)
    assert [m.attributes[envelope.BUNDLE] for r in stub.requests for m in r.messages] == ["500", "500", "50"]
    assert stub.acknowledged == given


def test_bundles_are_bounded_by_bytes() -> None:
    """A bundle over a megabyte is halved until its parts are below; one large record stands alone."""
    stub = FakeStub()
    given = [record(n, bytes(5_000_000 if n == 3 else 10_000)) for n in range(400)]
    Publisher(stub, TOPIC, "test", lambda: False, bundle=400).publish(given)
    sizes = [len(m.data) for r in stub.requests for m in r.messages]
    assert sum(size > MAX_BUNDLE_BYTES for size in sizes) == 1
    assert stub.acknowledged == given


def test_automatic_bundles_only_under_load() -> None:
    """With --bundle auto, a light cycle is sent in plain messages and a heavy one in bundles."""
    for count, messages in ((AUTO_BUNDLE_FROM - 1, AUTO_BUNDLE_FROM - 1), (AUTO_BUNDLE_FROM, 2)):
        stub = FakeStub()
        Publisher(stub, TOPIC, "test", lambda: False, bundle=None).publish(records(count))
        assert sum(len(r.messages) for r in stub.requests) == messages


def test_refused_record_of_a_bundle_is_isolated() -> None:
    """A bundle that is refused is taken apart until the record at fault stands alone."""
    stub = FakeStub(refuse(123))
    result = Publisher(stub, TOPIC, "test", lambda: False, bundle=500).publish(records(1_000))
    assert [r.record.offset for r in result.refused] == [123]
    assert offsets(stub.acknowledged) == [n for n in range(1_000) if n != 123]


def test_latency_is_observed_of_what_was_acknowledged() -> None:
    """Each acknowledged request tells how long it took and its bytes, a refused one nothing."""
    observed: list[tuple[float, int]] = []
    stub = FakeStub(refuse(0, code=Status.UNAVAILABLE))
    publisher = Publisher(stub, TOPIC, "test", lambda: False, observe=lambda *each: observed.append(each))
    publisher.publish(records(2_500))
    assert len(observed) == len(stub.requests) - 1
    assert min(seconds for seconds, _ in observed) >= 0
    sizes = [pubsub.PublishRequest.pb(request).ByteSize() for request in stub.requests[1:]]
    assert [size for _, size in observed] == sizes
