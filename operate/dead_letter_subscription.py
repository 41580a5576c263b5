"""The dead-letter topic's subscription: what no row could hold is there whole, and is published again.

Pub/Sub's own dead-lettering forwards a message with all its bytes and attributes, and adds some of its own.
https://cloud.google.com/pubsub/docs/handling-failures#dead_letter_topic
"""

import os
from collections.abc import Sequence
from datetime import datetime

import grpc
from google.api_core.exceptions import DeadlineExceeded, GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1 import SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from google.pubsub_v1.types import pubsub

import envelope
from envelope import Message
from operate.dead_letters import Summary, mark, parts
from operate.smoke import SmokeError, no_credentials, publish

PULL_MESSAGES = 100
PULL_S = 10.0
# Of one request: Pub/Sub takes 512 KB, and an ack id has some 200 bytes.
MAX_ACK_IDS = 1_000


def replay_subscription(subscription: str, topic: str, *, now: datetime, dry_run: bool) -> Summary:
    """Publish what the subscription holds, each message as it came but marked, and acknowledge it then.

    The bridge's notices are left there: their values are in Kafka, at the position that they name. So is
    everything in a dry run. It ends when nothing new comes for `PULL_S` seconds.

    Raises:
        SmokeError: Pub/Sub cannot be asked, or does not take them; what was not acknowledged stays.
    """
    published = 0
    held: dict[str, pubsub.ReceivedMessage] = {}  # by message id: what is pulled and stays there
    try:
        with _subscriber() as client:
            try:
                # What is held comes again once its ack deadline is over: then there is nothing new.
                while new := [each for each in _pull(client, subscription) if _id(each) not in held]:
                    held |= {_id(each): each for each in new}
                    staying = [each for each in new if dry_run or _is_notice(each)]
                    _print(staying, "would be published")
                    going = [] if dry_run else [each for each in new if not _is_notice(each)]
                    _publish(client, subscription, topic, going, now)
                    published += len(going)
                    for each in going:
                        del held[_id(each)]
            finally:
                _give_back(client, subscription, [each.ack_id for each in held.values()])
    except GoogleAuthError as error:
        raise no_credentials(error) from error
    except GoogleAPIError as error:
        text = " ".join(str(error).split())
        raise SmokeError(f"subscription {subscription}: {text}: check --from-subscription") from error
    notices = sum(_is_notice(each) for each in held.values())
    return Summary(published + len(held), published, 0, notices)


def _id(received: pubsub.ReceivedMessage) -> str:
    return str(received.message.message_id)


def _is_notice(received: pubsub.ReceivedMessage) -> bool:
    return envelope.DEAD_LETTER_REASON in received.message.attributes


def _print(received: Sequence[pubsub.ReceivedMessage], became: str) -> None:
    for each in received:
        what = "a notice: its value is in Kafka" if _is_notice(each) else became
        print(f"{_id(each)}\t{what}", flush=True)


def _pull(client: SubscriberClient, subscription: str) -> Sequence[pubsub.ReceivedMessage]:
    request = pubsub.PullRequest(subscription=subscription, max_messages=PULL_MESSAGES)
    try:
        return client.pull(request=request, timeout=PULL_S).received_messages
    except DeadlineExceeded:  # an empty subscription answers so, or with no messages
        return []


def _publish(
    client: SubscriberClient,
    subscription: str,
    topic: str,
    received: Sequence[pubsub.ReceivedMessage],
    now: datetime,
) -> None:
    """Publish the messages, and acknowledge them when all are: one that goes out twice is one row."""
    if not received:
        return
    messages = [mark(Message(each.message.data, dict(each.message.attributes)), now) for each in received]
    for part in parts(messages):
        publish(topic, part)
    client.acknowledge(subscription=subscription, ack_ids=[each.ack_id for each in received])
    _print(received, "published")


def _give_back(client: SubscriberClient, subscription: str, ack_ids: list[str]) -> None:
    for at in range(0, len(ack_ids), MAX_ACK_IDS):
        some = ack_ids[at : at + MAX_ACK_IDS]
        client.modify_ack_deadline(subscription=subscription, ack_ids=some, ack_deadline_seconds=0)


def _subscriber() -> SubscriberClient:
    address = os.environ.get("PUBSUB_EMULATOR_HOST")
    if not address:
        return SubscriberClient()
    # As the client's own channel: a message may have 10 MB, gRPC would take 4.
    channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)])
    return SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
