"""What the pipeline needs of Pub/Sub, asked of the gcloud CLI's emulator and of our stand-in alike.

The stand-in may take the emulator's place only as long as both pass the same tests, through the real clients.
The last group pins what the service documents and the emulator does not do; only the stand-in can pass it.
"""

import base64
import json
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NotRequired, TypedDict, cast

import pytest
from google.api_core.exceptions import AlreadyExists, InvalidArgument, NotFound
from google.cloud.pubsub_v1 import PublisherClient as BatchingClient
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.types import pubsub

from local.pubsub import (
    create_topics_and_subscriptions,
    emulator_command,
    publisher,
    standin_command,
    subscriber,
    wait_until_ready,
)

ROOT = Path(__file__).parents[2]
START_S = 30.0
PATIENCE_S = 20.0  # how long anything may take that must happen
QUIET_S = 1.5  # how long to look for what must not happen
BACKOFF = pubsub.RetryPolicy(minimum_backoff=timedelta(seconds=0.2), maximum_backoff=timedelta(seconds=10))
only_standin = pytest.mark.parametrize("server", ["standin"], indirect=True)

Answer = Callable[[int], int]


class PushedMessage(TypedDict):
    """The message within the body of a push."""

    attributes: NotRequired[dict[str, str]]
    data: NotRequired[str]
    messageId: str
    message_id: str
    orderingKey: NotRequired[str]
    publishTime: str
    publish_time: str


class PushBody(TypedDict):
    """The body of a push."""

    message: PushedMessage
    subscription: str
    deliveryAttempt: NotRequired[int]


@dataclass(frozen=True)
class Push:
    """A request that an endpoint got: when (monotonic seconds), of which type, and what."""

    at: float
    content_type: str | None
    body: PushBody

    @property
    def data(self) -> bytes:
        """The message's data."""
        return base64.b64decode(self.body["message"].get("data", ""))


class Endpoint:
    """An HTTP server that keeps what is pushed to it; `answer` gives the status for the push of a number."""

    def __init__(self, answer: Answer, port: int) -> None:
        self.pushes: list[Push] = []
        self._changed = threading.Condition()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            # HTTP/1.0: no connection outlives its request, so a closed endpoint is really closed.
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                number = endpoint.keep(Push(time.monotonic(), self.headers["Content-Type"], json.loads(body)))
                self.send_response(answer(number))
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/"
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    def keep(self, push: Push) -> int:
        """Add a push and return its number."""
        with self._changed:
            self.pushes.append(push)
            self._changed.notify_all()
            return len(self.pushes)

    def wait_for(self, count: int, seconds: float = PATIENCE_S) -> bool:
        """Wait until there are `count` pushes; return whether there are."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.pushes) >= count, seconds)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def listening(answer: Answer = lambda _: 204, port: int = 0) -> Iterator[Endpoint]:
    """Run an endpoint for the length of a block."""
    endpoint = Endpoint(answer, port)
    try:
        yield endpoint
    finally:
        endpoint.close()


@dataclass(frozen=True)
class Pubsub:
    """A server under test, and a project of its own for each test."""

    address: str
    project: str
    topics: PublisherClient
    subscriptions: SubscriberClient

    def topic(self, name: str) -> str:
        """Return a topic's full name."""
        return self.topics.topic_path(self.project, name)

    def subscription(self, name: str) -> str:
        """Return a subscription's full name."""
        return self.subscriptions.subscription_path(self.project, name)

    def create(
        self,
        name: str,
        endpoint: str = "",
        ack_deadline_s: int = 10,
        backoff: pubsub.RetryPolicy | None = None,
    ) -> None:
        """Create a topic and its subscription, both called `name`."""
        self.topics.create_topic(name=self.topic(name))
        self.subscriptions.create_subscription(
            request=pubsub.Subscription(
                name=self.subscription(name),
                topic=self.topic(name),
                ack_deadline_seconds=ack_deadline_s,
                push_config=pubsub.PushConfig(push_endpoint=endpoint),
                retry_policy=backoff,
            )
        )

    def publish(self, name: str, *messages: pubsub.PubsubMessage) -> Sequence[str]:
        """Publish in one request and return the ids."""
        return self.topics.publish(topic=self.topic(name), messages=list(messages)).message_ids

    def pull(self, name: str, count: int = 1) -> list[pubsub.ReceivedMessage]:
        """Wait for `count` messages; they are not acknowledged."""
        received: list[pubsub.ReceivedMessage] = []
        deadline = time.monotonic() + PATIENCE_S
        while len(received) < count and time.monotonic() < deadline:
            response = self.subscriptions.pull(
                subscription=self.subscription(name), max_messages=count - len(received), timeout=5
            )
            received.extend(response.received_messages)
        assert len(received) == count
        return received

    def acknowledge(self, name: str, received: Sequence[pubsub.ReceivedMessage]) -> None:
        """Acknowledge pulled messages."""
        ack_ids = [message.ack_id for message in received]
        self.subscriptions.acknowledge(subscription=self.subscription(name), ack_ids=ack_ids)


def message(data: bytes = b"", **attributes: str) -> pubsub.PubsubMessage:
    """Return a message to publish."""
    return pubsub.PubsubMessage(data=data, attributes=attributes)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return cast("int", probe.getsockname()[1])


@contextmanager
def running(command: list[str], address: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server for the length of a block."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until_ready(address, START_S)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(
    scope="module", params=[pytest.param("emulator", marks=pytest.mark.needs("java", "emulator")), "standin"]
)
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """Start a server once for all tests that use it, and return its address."""
    port = free_port()
    command = standin_command(port) if request.param == "standin" else emulator_command(port)
    address = f"127.0.0.1:{port}"
    with running(command, address):
        yield address


@pytest.fixture
def pub(server: str) -> Iterator[Pubsub]:
    """Return clients of the server and a project that no other test uses."""
    topics, subscriptions = publisher(server), subscriber(server)
    with topics, subscriptions:
        yield Pubsub(server, f"test-{uuid.uuid4().hex[:12]}", topics, subscriptions)


def test_a_message_comes_out_byte_for_byte(pub: Pubsub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data of any bytes and attributes of any characters pass from the high-level client to a pull."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pub.address)
    pub.create("exact")
    data = bytes(range(256)) * 3
    attributes = {"kafka.topic": "events", "empty": "", "ünïcode ☃": "𝄞 \n\t\x00"}

    client = BatchingClient()
    message_id = client.publish(pub.topic("exact"), data, **attributes).result(timeout=PATIENCE_S)
    client.stop()

    [received] = pub.pull("exact")
    assert received.message.data == data
    assert dict(received.message.attributes) == attributes
    assert received.message.message_id == message_id


def test_a_message_may_have_attributes_only(pub: Pubsub) -> None:
    """A message without data, as a tombstone becomes, is delivered with its attributes."""
    pub.create("bare")
    pub.publish("bare", message(kind="tombstone"))
    [received] = pub.pull("bare")
    assert received.message.data == b""
    assert dict(received.message.attributes) == {"kind": "tombstone"}


def test_a_push_has_the_documented_body(pub: Pubsub) -> None:
    """A push is JSON: the message with both spellings of its fields, and the subscription's full name."""
    with listening() as endpoint:
        create_topics_and_subscriptions(pub.address, pub.project, endpoint.url)
        [message_id] = pub.publish("events", message(b"\x00\xff", kind="é"))
        assert endpoint.wait_for(1)
    [push] = endpoint.pushes
    pushed = push.body["message"]
    assert push.content_type == "application/json"
    assert push.body["subscription"] == f"projects/{pub.project}/subscriptions/events-push"
    assert pushed.get("data") == base64.b64encode(b"\x00\xff").decode()
    assert pushed.get("attributes") == {"kind": "é"}
    assert pushed["messageId"] == pushed["message_id"] == message_id
    assert pushed["publishTime"] == pushed["publish_time"]
    assert datetime.fromisoformat(pushed["publishTime"]).utcoffset() == timedelta(0)


def test_a_push_without_data_says_so(pub: Pubsub) -> None:
    """Data that is not there is an empty string (emulator) or no key at all (service, stand-in)."""
    with listening() as endpoint:
        pub.create("bare", endpoint.url)
        pub.publish("bare", message(kind="tombstone"))
        assert endpoint.wait_for(1)
    [push] = endpoint.pushes
    assert push.body["message"].get("data", "") == ""
    assert push.body["message"].get("attributes") == {"kind": "tombstone"}


def test_a_failed_push_comes_again_and_a_successful_one_does_not(pub: Pubsub) -> None:
    """Refused pushes are repeated after growing pauses, no shorter than the minimum; 2xx ends it."""
    answers = [500, 404, 200]
    with listening(lambda number: answers[number - 1]) as endpoint:
        pub.create("again", endpoint.url, ack_deadline_s=1, backoff=BACKOFF)
        pub.publish("again", message(b"x"))
        assert endpoint.wait_for(3)
        # Longer than the ack deadline and the third pause: an answer that did not count would show.
        assert not endpoint.wait_for(4, 1.0 + QUIET_S)
    first, second, third = endpoint.pushes
    assert {push.body["message"]["messageId"] for push in endpoint.pushes} == {
        first.body["message"]["messageId"]
    }
    assert second.at - first.at >= BACKOFF.minimum_backoff.total_seconds()
    assert third.at - second.at > 1.5 * (second.at - first.at)


def test_an_answer_after_the_ack_deadline_is_a_failure(pub: Pubsub) -> None:
    """A push that takes longer than the ack deadline is repeated, although it is answered 200 in the end."""
    again = threading.Event()

    def answer(number: int) -> int:
        if number == 1:
            again.wait(PATIENCE_S)
        else:
            again.set()
        return 200

    with listening(answer) as endpoint:
        pub.create("slow", endpoint.url, ack_deadline_s=1, backoff=BACKOFF)
        pub.publish("slow", message(b"x"))
        assert endpoint.wait_for(2)
        assert not endpoint.wait_for(3, QUIET_S)
    first, second = endpoint.pushes
    assert second.at - first.at >= 0.9


def test_a_message_that_always_fails_becomes_a_dead_letter(pub: Pubsub) -> None:
    """After exactly five pushes the message goes to the dead-letter topic, intact, and is pushed no more."""
    data = bytes(range(256))
    with listening(lambda _: 500) as endpoint:
        create_topics_and_subscriptions(
            pub.address,
            pub.project,
            endpoint.url,
            min_backoff_s=0.1,
            max_backoff_s=1.0,
            max_delivery_attempts=5,
        )
        [message_id] = pub.publish("events", message(data, item_type_name="a", empty=""))
        [letter] = pub.pull("events-dead-letter")
        assert len(endpoint.pushes) == 5
        assert not endpoint.wait_for(6, QUIET_S)
    assert {push.body["message"]["messageId"] for push in endpoint.pushes} == {message_id}
    assert letter.message.data == data
    attributes = dict(letter.message.attributes)
    published = attributes.pop("CloudPubSubDeadLetterSourceTopicPublishTime")
    assert published == endpoint.pushes[0].body["message"]["publishTime"]
    assert attributes == {
        "item_type_name": "a",
        "empty": "",
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
        "CloudPubSubDeadLetterSourceSubscription": "events-push",
        "CloudPubSubDeadLetterSourceSubscriptionProject": pub.project,
    }


def test_nothing_is_lost_while_the_endpoint_is_down(pub: Pubsub) -> None:
    """Messages published while nothing answers arrive once the endpoint is back, each of them."""
    port = free_port()
    expected = {b"%d" % number for number in range(20)}
    pub.create("outage", f"http://127.0.0.1:{port}/", backoff=BACKOFF)
    with socket.create_server(("127.0.0.1", port)) as broken:
        # Connections are taken and dropped, so that the test sees that pushes are being tried.
        broken.settimeout(PATIENCE_S)
        pub.publish("outage", *(message(data) for data in expected))
        for _ in range(3):
            broken.accept()[0].close()
    with listening(port=port) as endpoint:
        assert endpoint.wait_for(len(expected))
        deadline = time.monotonic() + PATIENCE_S
        while {push.data for push in endpoint.pushes} != expected and time.monotonic() < deadline:
            endpoint.wait_for(len(endpoint.pushes) + 1, deadline - time.monotonic())
        assert {push.data for push in endpoint.pushes} == expected


def test_a_pulled_message_comes_again_until_it_is_acknowledged(pub: Pubsub) -> None:
    """A pulled message returns after its ack deadline, and at once when refused; acknowledged, it is gone."""
    pub.create("pulled", ack_deadline_s=1)
    pub.publish("pulled", message(b"first"))
    [one] = pub.pull("pulled")
    [two] = pub.pull("pulled")  # after the deadline
    pub.subscriptions.modify_ack_deadline(
        subscription=pub.subscription("pulled"), ack_ids=[two.ack_id], ack_deadline_seconds=0
    )
    three = pub.pull("pulled")
    assert [one.message.data, two.message.data, three[0].message.data] == [b"first"] * 3
    pub.acknowledge("pulled", three)
    pub.publish("pulled", message(b"second"))
    deadline = time.monotonic() + QUIET_S  # longer than the ack deadline
    while time.monotonic() < deadline:
        received = pub.pull("pulled")
        assert [r.message.data for r in received] == [b"second"]
        pub.subscriptions.modify_ack_deadline(
            subscription=pub.subscription("pulled"), ack_ids=[received[0].ack_id], ack_deadline_seconds=0
        )


def test_unknown_names_are_not_found(pub: Pubsub) -> None:
    """Publishing and subscribing to an unknown topic, and pulling from an unknown subscription, fail."""
    with pytest.raises(NotFound):
        pub.publish("nowhere", message(b"x"))
    with pytest.raises(NotFound):
        pub.subscriptions.create_subscription(name=pub.subscription("lonely"), topic=pub.topic("nowhere"))
    with pytest.raises(NotFound):
        pub.subscriptions.pull(subscription=pub.subscription("nowhere"), max_messages=1)


def test_creating_twice_is_refused(pub: Pubsub) -> None:
    """A topic or subscription that exists is told to be there already."""
    pub.create("twice")
    with pytest.raises(AlreadyExists):
        pub.topics.create_topic(name=pub.topic("twice"))
    with pytest.raises(AlreadyExists):
        pub.subscriptions.create_subscription(name=pub.subscription("twice"), topic=pub.topic("twice"))


def test_deleting_is_final(pub: Pubsub) -> None:
    """A deleted topic and a deleted subscription are neither listed nor found."""
    pub.create("gone")
    project = f"projects/{pub.project}"
    assert [topic.name for topic in pub.topics.list_topics(project=project)] == [pub.topic("gone")]
    pub.subscriptions.delete_subscription(subscription=pub.subscription("gone"))
    pub.topics.delete_topic(topic=pub.topic("gone"))
    assert not list(pub.topics.list_topics(project=project))
    assert not list(pub.subscriptions.list_subscriptions(project=project))
    with pytest.raises(NotFound):
        pub.topics.get_topic(topic=pub.topic("gone"))
    with pytest.raises(NotFound):
        pub.subscriptions.get_subscription(subscription=pub.subscription("gone"))


def test_a_subscription_gets_nothing_from_before_it(pub: Pubsub) -> None:
    """What was published before the subscription was created is not delivered to it."""
    pub.topics.create_topic(name=pub.topic("late"))
    pub.publish("late", message(b"before"))
    pub.subscriptions.create_subscription(name=pub.subscription("late"), topic=pub.topic("late"))
    pub.publish("late", message(b"after"))
    assert [received.message.data for received in pub.pull("late")] == [b"after"]


def test_a_request_may_be_as_large_as_the_service_allows(pub: Pubsub) -> None:
    """A request just under 10,000,000 bytes is accepted, and its message comes out whole."""
    pub.create("large")
    data = bytes(9_990_000)
    pub.publish("large", message(data))
    assert pub.pull("large")[0].message.data == data


@pytest.mark.parametrize("count", [0, 1, 1_001])
def test_requests_that_no_server_takes_are_refused(pub: Pubsub, count: int) -> None:
    """No message, a message of nothing, and more than 1,000 messages are invalid."""
    pub.create("invalid")
    messages = [message()] if count == 1 else [message(b"x")] * count
    with pytest.raises(InvalidArgument):
        pub.publish("invalid", *messages)


# What follows the emulator does not do, so only the stand-in can pass it: the limits of the real service
# (https://cloud.google.com/pubsub/quotas#resource_limits) and details of its pushes.

AT_THE_LIMIT = {
    "100 attributes": {f"name{number}": "value" for number in range(100)},
    "name of 256 bytes": {"é" * 128: "value"},
    "value of 1,024 bytes": {"name": "é" * 512},
    "goog within": {"a-goog": "value"},
}
OVER_THE_LIMIT = {
    "101 attributes": {f"name{number}": "value" for number in range(101)},
    "empty name": {"": "value"},
    "name of 257 bytes": {"é" * 128 + "e": "value"},
    "value of 1,025 bytes": {"name": "é" * 512 + "e"},
    "reserved name": {"googclient": "value"},
}


@only_standin
@pytest.mark.parametrize("attributes", AT_THE_LIMIT.values(), ids=AT_THE_LIMIT)
def test_attributes_at_the_limits_are_accepted(pub: Pubsub, attributes: dict[str, str]) -> None:
    """Stand-in only: limits count bytes of UTF-8, and the limit itself is allowed."""
    pub.create("limits")
    pub.publish("limits", pubsub.PubsubMessage(attributes=attributes))
    assert dict(pub.pull("limits")[0].message.attributes) == attributes


@only_standin
@pytest.mark.parametrize("attributes", OVER_THE_LIMIT.values(), ids=OVER_THE_LIMIT)
def test_one_invalid_message_fails_its_whole_request(pub: Pubsub, attributes: dict[str, str]) -> None:
    """Stand-in only: attributes over a limit are refused, and so is the valid message beside them."""
    pub.create("limits")
    with pytest.raises(InvalidArgument):
        pub.publish("limits", message(b"beside"), pubsub.PubsubMessage(data=b"x", attributes=attributes))
    pub.publish("limits", message(b"later"))
    assert [received.message.data for received in pub.pull("limits")] == [b"later"]


@only_standin
def test_a_request_over_ten_million_bytes_is_refused(pub: Pubsub) -> None:
    """Stand-in only: the sum of the messages counts, not only each of them."""
    pub.create("large")
    with pytest.raises(InvalidArgument):
        pub.publish("large", message(bytes(5_000_000)), message(bytes(5_000_000)))


@only_standin
@pytest.mark.parametrize(("status", "pushes"), [(102, 1), (202, 1), (203, 2), (206, 2), (301, 2)])
def test_only_the_documented_statuses_are_success(pub: Pubsub, status: int, pushes: int) -> None:
    """Stand-in only: 102 and 202 acknowledge, other statuses of 2xx and 3xx do not; the emulator differs."""
    with listening(lambda number: status if number == 1 else 200) as endpoint:
        pub.create("status", endpoint.url, backoff=BACKOFF)
        pub.publish("status", message(b"x"))
        assert endpoint.wait_for(pushes)
        assert not endpoint.wait_for(pushes + 1, 0.5)


@only_standin
def test_a_push_counts_its_attempts_and_names_its_ordering_key(pub: Pubsub) -> None:
    """Stand-in only: deliveryAttempt is there with a dead-letter policy, orderingKey with a key."""
    with listening(lambda number: 500 if number == 1 else 200) as endpoint:
        create_topics_and_subscriptions(pub.address, pub.project, endpoint.url, min_backoff_s=0.1)
        pub.publish("events", pubsub.PubsubMessage(data=b"x", ordering_key="key"))
        assert endpoint.wait_for(2)
    assert [push.body.get("deliveryAttempt") for push in endpoint.pushes] == [1, 2]
    assert [push.body["message"].get("orderingKey") for push in endpoint.pushes] == ["key", "key"]


def test_the_standin_ends_promptly_and_cleanly() -> None:
    """Stand-in only: SIGTERM ends it with status 0 in the middle of a pull and of an unanswered push."""
    hang = threading.Event()
    port = free_port()
    with (
        running(standin_command(port), f"127.0.0.1:{port}") as process,
        listening(lambda _: 200 if hang.wait(PATIENCE_S) else 500) as endpoint,
    ):
        create_topics_and_subscriptions(f"127.0.0.1:{port}", "p", endpoint.url)
        topics = publisher(f"127.0.0.1:{port}")
        topics.publish(topic=topics.topic_path("p", "events"), messages=[message(b"x")])
        assert endpoint.wait_for(1)
        process.terminate()
        assert process.wait(5) == 0
        hang.set()
