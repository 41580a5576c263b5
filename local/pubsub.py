"""Pub/Sub on this machine: which server there is, how it starts, and what messages need before they flow."""

import os
import shutil
import sys
from datetime import timedelta
from pathlib import Path

import grpc
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from google.pubsub_v1.types import pubsub

TOPIC = "events"
PUSH_SUBSCRIPTION = "events-push"
DEAD_LETTERS = "events-dead-letter"  # the topic, and the pull subscription that keeps what arrives there

ACK_DEADLINE_S = 30

# Enough for a backlog of 50 MB. Young objects have little room, so that garbage is collected instead of kept,
# and native memory has few arenas. The quick compiler alone: a run ends before the better one pays.
JVM = (
    "-Xmx256m -Xms16m -Xmn12m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "
    "-XX:MinHeapFreeRatio=10 -XX:MaxHeapFreeRatio=30"
)
ARENAS = "MALLOC_ARENA_MAX=2"

# A server that is just starting is asked again soon, not after gRPC's seconds; messages may be as large as
# Pub/Sub takes them, which is over gRPC's 4 MB.
CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 300),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
)


def find_emulator() -> Path | None:
    """Return the start script of the gcloud CLI's emulator, or None where it or Java is missing."""
    gcloud = shutil.which("gcloud")
    if gcloud is None or shutil.which("java") is None:
        return None
    sdk = Path(gcloud).resolve().parent.parent
    script = sdk / "platform" / "pubsub-emulator" / "bin" / "cloud-pubsub-emulator"
    return script if script.is_file() else None


def emulator_command(port: int) -> list[str]:
    """Return what starts the emulator on 127.0.0.1; raises FileNotFoundError where there is none.

    The script replaces itself by Java, so the process started is the server. The wrapper
    ``gcloud beta emulators pubsub start`` would be its parent, and leave it behind when ended.
    """
    script = find_emulator()
    if script is None:
        raise FileNotFoundError(
            "The Pub/Sub emulator needs `gcloud components install pubsub-emulator` "
            "(or the package google-cloud-cli-pubsub-emulator) and Java."
        )
    # The script has this variable for options of the JVM; what the user has set in it wins.
    options = f"CLOUD_PUBSUB_EMULATOR_OPTS={JVM} {os.environ.get('CLOUD_PUBSUB_EMULATOR_OPTS', '')}"
    return ["env", ARENAS, options, str(script), "--host=127.0.0.1", f"--port={port}"]


def standin_command(port: int) -> list[str]:
    """Return what starts the stand-in on 127.0.0.1, to be run in the repository's root."""
    return [sys.executable, "-m", "local.standin", "--port", str(port)]


def publisher(address: str) -> PublisherClient:
    """Return a client of the server at `address` (host:port), whatever the environment says."""
    channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
    return PublisherClient(transport=PublisherGrpcTransport(channel=channel))


def subscriber(address: str) -> SubscriberClient:
    """Return a client of the server at `address` (host:port), whatever the environment says."""
    channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
    return SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))


def wait_until_ready(address: str, deadline_s: float) -> None:
    """Return once a server answers at `address`; raises TimeoutError after `deadline_s` seconds."""
    with grpc.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=deadline_s)
        except grpc.FutureTimeoutError:
            raise TimeoutError(f"No Pub/Sub server at {address} after {deadline_s:g} s.") from None


def create_topics_and_subscriptions(
    address: str,
    project: str,
    push_endpoint: str,
    *,
    ack_deadline_s: int = ACK_DEADLINE_S,
    min_backoff_s: float = 1.0,
    max_backoff_s: float = 10.0,
    max_delivery_attempts: int = 5,
) -> None:
    """Create the pipeline's topics and subscriptions, as Terraform does in the cloud, times in seconds.

    The dead-letter topic's subscription comes first: a topic without one loses what it gets. Raises
    google.api_core.exceptions.AlreadyExists where the server has them.
    """
    topics, subscriptions = publisher(address), subscriber(address)
    with topics, subscriptions:
        topic = topics.topic_path(project, TOPIC)
        dead_letters = topics.topic_path(project, DEAD_LETTERS)
        topics.create_topic(name=dead_letters)
        subscriptions.create_subscription(
            request=pubsub.Subscription(
                name=subscriptions.subscription_path(project, DEAD_LETTERS),
                topic=dead_letters,
                ack_deadline_seconds=ack_deadline_s,
            )
        )
        topics.create_topic(name=topic)
        subscriptions.create_subscription(
            request=pubsub.Subscription(
                name=subscriptions.subscription_path(project, PUSH_SUBSCRIPTION),
                topic=topic,
                ack_deadline_seconds=ack_deadline_s,
                push_config=pubsub.PushConfig(push_endpoint=push_endpoint),
                retry_policy=pubsub.RetryPolicy(
                    minimum_backoff=timedelta(seconds=min_backoff_s),
                    maximum_backoff=timedelta(seconds=max_backoff_s),
                ),
                dead_letter_policy=pubsub.DeadLetterPolicy(
                    dead_letter_topic=dead_letters, max_delivery_attempts=max_delivery_attempts
                ),
            )
        )
