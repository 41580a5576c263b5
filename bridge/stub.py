"""The method Publish of Pub/Sub: bytes in, bytes out, its channel connected again at once after a reset."""

import os
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
)

METHOD = "/google.pubsub.v1.Publisher/Publish"


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
