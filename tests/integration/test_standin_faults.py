"""The stand-in fails as it is told to, and the proxy breaks connections: seen by a client of Pub/Sub."""

import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, cast

import grpc
import pytest
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.types import pubsub

from local.processes import Process, free_port
from local.pubsub import publisher, standin_command, subscriber, wait_until_ready
from local.standin.__main__ import RPCS_AT_ONCE
from local.standin.faults import Fault, set_fault
from local.standin.proxy import Proxy
from tests.integration.waiting import eventually

ROOT = Path(__file__).parents[2]
PATIENCE_S = 20.0  # how long anything may take that must happen
AT_ONCE_S = 2.0
QUIET_S = 0.5  # how long to look for what must not happen
TOPIC = "projects/p/topics/events"
SPARED = "projects/p/topics/events-dead-letter"

# The client may not say so any more, but it is the way to be told at once that there is nothing.
pytestmark = pytest.mark.filterwarnings("ignore:The return_immediately flag:DeprecationWarning")

# As the bridge has it: after a reset, gRPC's own pause would be a second.
OPTIONS = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 200))


class Call(Protocol):
    """What is used of a grpc.Future."""

    def result(self, timeout: float | None = None) -> pubsub.PublishResponse:
        """Return the answer."""

    def exception(self, timeout: float | None = None) -> grpc.RpcError | None:
        """Return why there is none."""

    def done(self) -> bool:
        """Return whether it is over."""


class Publish(Protocol):
    """What is used of the method Publish of a channel."""

    def future(self, request: pubsub.PublishRequest, *, timeout: float) -> Call:
        """Send the request, and return without waiting."""


class Client:
    """Publishes through the client's low-level stub, which repeats nothing, and pulls what was stored."""

    def __init__(self, address: str, direct: str) -> None:
        self._direct = direct
        self._channel = grpc.insecure_channel(address, options=OPTIONS)
        self._publish = cast("Publish", PublisherGrpcTransport(channel=self._channel).publish)

    def create(self, *topics: str) -> None:
        """Create the topics, each with a subscription."""
        with publisher(self._direct) as client, subscriber(self._direct) as subscriptions:
            for topic in topics:
                client.create_topic(name=topic)
                subscriptions.create_subscription(
                    request=pubsub.Subscription(
                        name=topic.replace("topics", "subscriptions"), topic=topic, ack_deadline_seconds=600
                    )
                )

    def send(self, *data: bytes, topic: str = TOPIC, timeout_s: float = PATIENCE_S) -> Call:
        """Publish in one request, without waiting for its answer."""
        messages = [pubsub.PubsubMessage(data=each) for each in data]
        request = pubsub.PublishRequest(topic=topic, messages=messages)
        return self._publish.future(request, timeout=timeout_s)

    def code(self, *data: bytes, topic: str = TOPIC, timeout_s: float = PATIENCE_S) -> str:
        """Publish in one request, and return the name of the status it was answered with."""
        error = self.send(*data, topic=topic, timeout_s=timeout_s).exception()
        return "OK" if error is None else str(error.code().name)

    def stored(self, topic: str = TOPIC) -> list[bytes]:
        """Return what was published since the last time, sorted."""
        with subscriber(self._direct) as client:
            received = client.pull(
                subscription=topic.replace("topics", "subscriptions"),
                max_messages=1_000,
                return_immediately=True,
            )
        return sorted(each.message.data for each in received.received_messages)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[tuple[Process, str]]:
    """Run a stand-in for the test, and return it with its address."""
    port = free_port()
    process = Process("pubsub", standin_command(port), tmp_path / "pubsub.log", cwd=ROOT)
    try:
        wait_until_ready(f"127.0.0.1:{port}", 30)
        yield process, f"127.0.0.1:{port}"
        assert "Traceback" not in process.log.read_text()
    finally:
        process.stop()


@pytest.fixture
def address(process: tuple[Process, str]) -> str:
    """Return the address of a stand-in."""
    return process[1]


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    """Return a client of the stand-in, where both topics are."""
    client = Client(address, address)
    client.create(TOPIC, SPARED)
    yield client
    client.close()


@pytest.fixture
def proxy(address: str) -> Iterator[Proxy]:
    """Return a proxy before the stand-in."""
    proxy = Proxy(address)
    yield proxy
    proxy.stop()


@pytest.fixture
def far_client(client: Client, proxy: Proxy, address: str) -> Iterator[Client]:
    """Return a client that publishes through the proxy, and is connected."""
    far_client = Client(proxy.address, address)
    assert far_client.code(b"first") == "OK"
    assert client.stored() == [b"first"]
    yield far_client
    far_client.close()


def wait_for_hanging(address: str, count: int) -> None:
    """Return when so many requests hang: each meets every fault that is set anew, and counts for it."""
    eventually(lambda: set_fault(address, Fault("hang")) == count, PATIENCE_S)


def read_to_the_end(connection: socket.socket) -> None:
    """Read until the other side has ended the connection in order; raises what else ends it."""
    while connection.recv(65_536):
        pass


def test_an_error_is_answered_before_anything_is_stored(address: str, client: Client) -> None:
    """The status is the one asked for, other topics are spared, and "none" ends it."""
    assert set_fault(address, Fault("error", code="RESOURCE_EXHAUSTED", spare=(SPARED,))) == 0
    assert [client.code(b"lost"), client.code(b"lost")] == ["RESOURCE_EXHAUSTED"] * 2
    assert client.code(b"spared", topic=SPARED) == "OK"
    assert set_fault(address, Fault("error", code="PERMISSION_DENIED")) == 2
    assert client.code(b"lost", topic=SPARED) == "PERMISSION_DENIED"
    assert set_fault(address, Fault()) == 1
    assert client.code(b"kept") == "OK"
    assert set_fault(address, Fault()) == 0
    assert client.stored() == [b"kept"]
    assert client.stored(SPARED) == [b"spared"]


def test_half_of_the_requests_fail_the_same_ones_each_time(address: str, client: Client) -> None:
    """A share fails some and passes the others; the same seed chooses the same ones, another does not."""

    def codes(seed: int) -> Sequence[str]:
        set_fault(address, Fault("error", share=0.5, seed=seed))
        return [client.code(b"x") for _ in range(40)]

    first, second, other = codes(1), codes(1), codes(2)
    assert 10 <= first.count("OK") <= 30
    assert first.count("OK") + first.count("UNAVAILABLE") == 40
    assert first == second != other
    assert set_fault(address, Fault()) == other.count("UNAVAILABLE")
    assert len(client.stored()) == first.count("OK") * 2 + other.count("OK")
    set_fault(address, Fault("error", share=0.0))
    assert client.code(b"x") == "OK"


def test_a_hanging_request_is_served_when_the_fault_is_lifted(address: str, client: Client) -> None:
    """It gets no answer before; a request to a spared topic gets one."""
    set_fault(address, Fault("hang", spare=(SPARED,)))
    call = client.send(b"late")
    assert client.code(b"spared", topic=SPARED, timeout_s=AT_ONCE_S) == "OK"
    time.sleep(QUIET_S)
    assert not call.done()
    assert client.stored() == []
    assert set_fault(address, Fault()) == 1
    assert len(call.result(AT_ONCE_S).message_ids) == 1
    assert client.stored() == [b"late"]


def test_a_hanging_request_meets_the_fault_that_comes_next(address: str, client: Client) -> None:
    """Hanging goes over into an error, and counts for that too."""
    set_fault(address, Fault("hang"))
    call = client.send(b"lost")
    wait_for_hanging(address, 1)
    set_fault(address, Fault("error", code="INTERNAL"))
    error = call.exception(AT_ONCE_S)
    assert error is not None
    assert error.code() == grpc.StatusCode.INTERNAL
    assert set_fault(address, Fault()) == 1
    assert client.stored() == []


def test_hanging_requests_do_not_use_up_the_server(address: str, client: Client) -> None:
    """More of them than there are threads: the fault can be set, and they are gone after their deadline."""
    set_fault(address, Fault("hang"))
    calls = [client.send(b"lost", timeout_s=0.5) for _ in range(100)]
    errors = [call.exception(PATIENCE_S) for call in calls]
    assert {error and error.code() for error in errors} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    assert 1 <= set_fault(address, Fault("hang")) <= 100
    wait_for_hanging(address, 0)  # the server learns of the deadlines after the client
    set_fault(address, Fault())
    assert client.code(b"kept", timeout_s=AT_ONCE_S) == "OK"
    assert client.stored() == [b"kept"]


def test_a_hang_is_lifted_while_it_holds_every_thread(address: str, client: Client) -> None:
    """The service that sets the fault does not wait for a thread; all that hangs is served."""
    set_fault(address, Fault("hang"))
    calls = [client.send(b"late") for _ in range(100)]
    wait_for_hanging(address, RPCS_AT_ONCE)
    began = time.monotonic()
    set_fault(address, Fault())
    assert time.monotonic() - began < AT_ONCE_S
    assert [len(call.result(PATIENCE_S).message_ids) for call in calls] == [1] * 100
    assert client.stored() == [b"late"] * 100


def test_a_standin_with_hanging_requests_ends_promptly(process: tuple[Process, str], client: Client) -> None:
    """SIGTERM ends it with status 0."""
    server, address = process
    set_fault(address, Fault("hang"))
    calls = [client.send(b"lost") for _ in range(100)]
    wait_for_hanging(address, RPCS_AT_ONCE)
    server.stop()
    assert server.exit_code() == 0
    assert all(call.exception(AT_ONCE_S) for call in calls)


def test_a_lost_answer_is_to_a_request_that_was_stored(address: str, client: Client) -> None:
    """The client is told UNAVAILABLE, whatever the answer was; publishing again makes a duplicate."""
    set_fault(address, Fault("lose_answer"))
    assert client.code(b"twice") == "UNAVAILABLE"
    assert client.code(b"") == "UNAVAILABLE"
    assert client.stored() == [b"twice"]
    assert set_fault(address, Fault()) == 2
    assert client.code(b"twice") == "OK"
    assert client.stored() == [b"twice"]


def test_one_refused_message_fails_its_whole_request(address: str, client: Client) -> None:
    """The marker may stand anywhere in the data; requests without it pass."""
    set_fault(address, Fault("refuse", marker=b"\xffbad"))
    assert client.code(b"beside", b"a \xffbad one", b"beside") == "INVALID_ARGUMENT"
    assert client.code(b"bad", b"good") == "OK"
    assert set_fault(address, Fault()) == 1
    assert client.code(b"a \xffbad one") == "OK"
    assert client.stored() == [b"a \xffbad one", b"bad", b"good"]


@pytest.mark.parametrize("fault", [Fault("error", code="OK"), Fault("error", code="NONE"), Fault(share=2.0)])
def test_a_fault_that_is_none_is_refused(address: str, client: Client, fault: Fault) -> None:
    """Codes of no error and shares over 1 are invalid; the fault there is stays."""
    set_fault(address, Fault("error", code="ABORTED"))
    with pytest.raises(grpc.RpcError) as refused:
        set_fault(address, fault)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert client.code(b"x") == "ABORTED"


def test_a_reset_ends_the_connection_and_the_next_one_works(
    address: str, client: Client, far_client: Client, proxy: Proxy
) -> None:
    """A request on its way ends at once with UNAVAILABLE; the client comes back by itself."""
    set_fault(address, Fault("hang"))
    call = far_client.send(b"lost")
    wait_for_hanging(address, 1)
    proxy.reset()
    error = call.exception(AT_ONCE_S)
    assert error is not None
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    set_fault(address, Fault())
    eventually(lambda: far_client.code(b"kept") == "OK", PATIENCE_S)
    assert client.stored() == [b"kept"]


def test_a_reset_is_one_and_no_orderly_end(proxy: Proxy) -> None:
    """Both a connection in use and one just made get ECONNRESET."""
    host, _, port = proxy.address.partition(":")
    with socket.create_connection((host, int(port)), PATIENCE_S) as used:
        assert used.recv(1)  # an HTTP/2 server speaks first
        with socket.create_connection((host, int(port)), PATIENCE_S) as fresh:
            proxy.reset()
            for connection in (used, fresh):
                with pytest.raises(ConnectionResetError):
                    read_to_the_end(connection)


def test_a_refusing_proxy_keeps_the_connections_it_has(
    client: Client, far_client: Client, proxy: Proxy
) -> None:
    """New ones are refused; after a reset the client is out, until the proxy listens again at its address."""
    proxy.refuse()
    assert far_client.code(b"old connection") == "OK"
    proxy.reset()
    eventually(lambda: far_client.code(b"lost", timeout_s=1) == "UNAVAILABLE", PATIENCE_S)
    host, _, port = proxy.address.partition(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), PATIENCE_S)
    proxy.restore()
    eventually(lambda: far_client.code(b"kept") == "OK", PATIENCE_S)
    assert client.stored() == [b"kept", b"old connection"]


def test_a_black_hole_holds_back_what_it_gets(client: Client, far_client: Client, proxy: Proxy) -> None:
    """Old and new connections live and carry nothing; what was sent arrives once the proxy is restored."""
    host, _, port = proxy.address.partition(":")
    proxy.blackhole()
    call = far_client.send(b"late")
    with socket.create_connection((host, int(port)), PATIENCE_S) as fresh:
        fresh.settimeout(QUIET_S)
        with pytest.raises(TimeoutError):
            fresh.recv(1)
        assert not call.done()
        assert client.stored() == []
        proxy.restore()
        fresh.settimeout(PATIENCE_S)
        assert fresh.recv(1)
    assert len(call.result(PATIENCE_S).message_ids) == 1
    assert client.stored() == [b"late"]


def test_a_proxy_that_forgets_carries_new_connections(
    client: Client, far_client: Client, proxy: Proxy
) -> None:
    """The old one lives, and what it gets never arrives."""
    assert far_client.code(b"before") == "OK"
    proxy.forget()
    assert far_client.code(b"lost", timeout_s=QUIET_S) == "DEADLINE_EXCEEDED"
    host, _, port = proxy.address.partition(":")
    with socket.create_connection((host, int(port)), PATIENCE_S) as fresh:
        assert fresh.recv(1)
    proxy.restore()
    assert far_client.code(b"lost", timeout_s=QUIET_S) == "DEADLINE_EXCEEDED"
    assert client.stored() == [b"before"]


def test_a_proxy_passes_on_that_its_upstream_is_gone(
    process: tuple[Process, str], far_client: Client, proxy: Proxy
) -> None:
    """A server that ends ends the connections through the proxy, and nobody gets new ones."""
    process[0].stop()
    eventually(lambda: far_client.code(b"lost", timeout_s=1) == "UNAVAILABLE", PATIENCE_S)
    host, _, port = proxy.address.partition(":")
    with (
        socket.create_connection((host, int(port)), PATIENCE_S) as fresh,
        pytest.raises(ConnectionResetError),
    ):
        fresh.recv(1)


def test_a_stopped_proxy_is_gone(address: str) -> None:
    """Its connections are reset, and its address is free for another one."""
    proxy = Proxy(address)
    host, _, port = proxy.address.partition(":")
    with socket.create_connection((host, int(port)), PATIENCE_S) as connection:
        assert connection.recv(1)
        proxy.stop()
        with pytest.raises(ConnectionResetError):
            read_to_the_end(connection)
    again = Proxy(address, int(port))
    assert again.address == proxy.address
    with pytest.raises(OSError, match="in use"):
        Proxy(address, int(port))
    again.stop()
