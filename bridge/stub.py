"""The method Publish of Pub/Sub: bytes in, bytes out, over a channel that is connected again at once."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import grpc
from google.cloud.pubsub_v1 import PublisherClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

# gRPC itself would wait up to two minutes before it connects again.
CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.max_send_message_length", -1),
    # A new channel would otherwise be given the connection of the one that it replaces.
    ("grpc.use_local_subchannel_pool", 1),
)

METHOD = "/google.pubsub.v1.Publisher/Publish"


class Call(Protocol):
    """What is used of a grpc.Future."""

    def result(self, timeout: float) -> object:
        """Return the answer; raises grpc's errors, FutureTimeoutError when it is not there yet."""

    def cancel(self) -> bool:
        """Give up waiting for the answer."""


class Stub(Protocol):
    """What is used of the method Publish."""

    def future(self, request: bytes, *, timeout: float, metadata: tuple[tuple[str, str], ...]) -> Call:
        """Send the request, and return without waiting."""

    def connect_anew(self) -> None:
        """Leave the connection for a new one; called while no request travels."""


class PublishMethod:
    """The method Publish of a channel that can be replaced."""

    def __init__(self, open_channel: Callable[[], grpc.Channel]) -> None:
        self._open_channel = open_channel
        self._open()

    def future(self, request: bytes, *, timeout: float, metadata: tuple[tuple[str, str], ...]) -> Call:
        """Send the request, and return without waiting."""
        return self._publish(request, timeout=timeout, metadata=metadata)

    def connect_anew(self) -> None:
        """Leave the connection, which may be dead without a word: gRPC finds that out after a minute."""
        self._channel.close()
        self._open()

    def _open(self) -> None:
        self._channel = self._open_channel()
        # Bytes in, bytes out: nobody reads the messages' ids.
        self._publish: Callable[..., Call] = self._channel.unary_unary(METHOD).future


def open_stub() -> PublishMethod:
    """Return the method Publish of Pub/Sub, of PUBSUB_EMULATOR_HOST or where Google's client finds it."""
    emulator = os.environ.get("PUBSUB_EMULATOR_HOST")
    if emulator:
        return PublishMethod(lambda: grpc.insecure_channel(emulator, options=CHANNEL_OPTIONS))
    made: list[Callable[[], grpc.Channel]] = []

    # The client finds endpoint and credentials, once; of the channel, only the options are ours.
    def open_channel(host: str, **arguments: Any) -> grpc.Channel:  # noqa: ANN401 - handed through
        arguments["options"] = CHANNEL_OPTIONS
        made.append(partial(PublisherGrpcTransport.create_channel, host, **arguments))
        return made[0]()

    PublisherClient(transport=partial(PublisherGrpcTransport, channel=open_channel)).transport.close()
    return PublishMethod(made[0])
