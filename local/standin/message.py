"""A message on its way through: what a publisher sent, and the two forms in which it leaves."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Content:
    """What a publisher sent."""

    data: bytes
    attributes: Mapping[str, str]
    ordering_key: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """Content that a topic accepted, with the identity that it got there."""

    content: Content
    message_id: str
    published: datetime

    @property
    def publish_time(self) -> str:
        """RFC 3339 in UTC with milliseconds, as it stands in push bodies and dead letters."""
        return self.published.strftime("%Y-%m-%dT%H:%M:%S.") + f"{self.published.microsecond // 1000:03}Z"


def push_body(message: Message, subscription: str, delivery_attempt: int | None) -> bytes:
    """Return the JSON that a push carries (https://cloud.google.com/pubsub/docs/push#receive_push).

    Empty fields are absent, as in any JSON of a protobuf message: a receiver must cope with a message without
    ``data``. (The official emulator sends them empty instead.) `delivery_attempt` is None
    where the subscription has no dead-letter policy.
    """
    content = message.content
    fields: dict[str, object] = {}
    if content.attributes:
        fields["attributes"] = dict(content.attributes)
    if content.data:
        fields["data"] = base64.b64encode(content.data).decode("ascii")
    fields["messageId"] = fields["message_id"] = message.message_id
    fields["publishTime"] = fields["publish_time"] = message.publish_time
    if content.ordering_key:
        fields["orderingKey"] = content.ordering_key
    body: dict[str, object] = {"message": fields, "subscription": subscription}
    if delivery_attempt is not None:
        body["deliveryAttempt"] = delivery_attempt
    return json.dumps(body).encode()


def dead_letter(message: Message, subscription: str, deliveries: int) -> Content:
    """Return what the dead-letter topic gets: the message and where it failed.

    The added attributes are those of https://cloud.google.com/pubsub/docs/handling-failures. The limits on
    attributes do not apply to them: the service publishes this message itself.
    """
    _, project, _, name = subscription.split("/")
    source = {
        "CloudPubSubDeadLetterSourceDeliveryCount": str(deliveries),
        "CloudPubSubDeadLetterSourceSubscription": name,
        "CloudPubSubDeadLetterSourceSubscriptionProject": project,
        "CloudPubSubDeadLetterSourceTopicPublishTime": message.publish_time,
    }
    content = message.content
    return Content(content.data, {**content.attributes, **source}, content.ordering_key)
