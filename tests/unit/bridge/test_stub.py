"""The connection to Pub/Sub: Google's endpoint and credentials, the bridge's options, and a new one."""

import grpc
import pytest
from google.auth.credentials import AnonymousCredentials, Credentials
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

from bridge.stub import CHANNEL_OPTIONS, METHOD, PublishMethod, open_stub


class FakeChannel:
    """A channel that notes what becomes of it."""

    def __init__(self) -> None:
        self.closed = False
        self.requests: list[bytes] = []

    def unary_unary(self, method: str) -> "FakeChannel":
        """Return the method."""
        assert method == METHOD
        return self

    def future(self, request: bytes, *, timeout: float, metadata: tuple[tuple[str, str], ...]) -> None:
        """Take a request."""
        assert not self.closed
        assert timeout > 0
        assert metadata == ()
        self.requests.append(request)

    def close(self) -> None:
        """Close."""
        self.closed = True


def test_a_new_connection_takes_what_comes_and_the_old_one_is_closed() -> None:
    """What is left open would be a connection more after each timeout."""
    channels: list[FakeChannel] = []

    def open_channel() -> FakeChannel:
        channels.append(FakeChannel())
        return channels[-1]

    method = PublishMethod(open_channel)  # type: ignore[arg-type] # a fake
    for request in (b"1", b"2", b"3"):
        method.future(request, timeout=1, metadata=())
        method.connect_anew()
    assert [channel.requests for channel in channels] == [[b"1"], [b"2"], [b"3"], []]
    assert [channel.closed for channel in channels] == [True, True, True, False]


def test_google_is_reached_with_the_same_credentials_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token is not fetched again for each connection; endpoint and options are the same too."""
    opened: list[tuple[str, Credentials, object]] = []

    def create_channel(host: str, *, credentials: Credentials, options: object, **_: object) -> grpc.Channel:
        opened.append((host, credentials, options))
        return grpc.insecure_channel("127.0.0.1:1")

    monkeypatch.delenv("PUBSUB_EMULATOR_HOST", raising=False)
    monkeypatch.setattr(
        "google.auth.default",
        lambda *_, **__: (AnonymousCredentials(), "p"),  # type: ignore[no-untyped-call] # ships no types
    )
    monkeypatch.setattr(PublisherGrpcTransport, "create_channel", create_channel)
    open_stub().connect_anew()
    assert {host for host, _, _ in opened} == {"pubsub.googleapis.com:443"}
    assert len({id(each) for _, each, _ in opened}) == 1
    assert all(options == CHANNEL_OPTIONS for _, _, options in opened)
    assert len(opened) == 3
