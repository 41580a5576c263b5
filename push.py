"""The request that brings a message: Pub/Sub's push body, or the same as a CloudEvent from Eventarc.

https://cloud.google.com/pubsub/docs/push#receive_push
https://github.com/googleapis/google-cloudevents/blob/main/proto/google/events/cloud/pubsub/v1/data.proto
"""

import msgspec
from msgspec import UNSET, UnsetType

from envelope import Message

_STRUCTURED = "application/cloudevents+json"


class _PubsubMessage(msgspec.Struct, frozen=True, rename="camel"):
    data: bytes = b""
    attributes: dict[str, str] = {}
    message_id: str = ""
    publish_time: str | None = None


class _Push(msgspec.Struct, frozen=True, rename="camel"):
    message: _PubsubMessage
    delivery_attempt: int | None = None


class _StructuredEvent(msgspec.Struct, frozen=True):
    data: _Push | UnsetType = UNSET
    data_base64: bytes | UnsetType = UNSET


class Delivery(msgspec.Struct, frozen=True):
    """One delivery of one Pub/Sub message; `attempt` counts from 1 where the subscription counts."""

    message: Message
    message_id: str
    publish_time: str | None
    attempt: int | None


class MalformedRequestError(ValueError):
    """A request body that Pub/Sub or Eventarc would not have sent: the text says where it is wrong."""


_push = msgspec.json.Decoder(_Push)
_structured = msgspec.json.Decoder(_StructuredEvent)


def receive(content_type: str, body: bytes) -> Delivery:
    """Return the delivery in a request.

    A binary CloudEvent has the push body as its own, so only the structured mode is told apart.

    Raises:
        MalformedRequestError: the body is not such a request.
    """
    try:
        push = _structured_push(body) if content_type.lower().startswith(_STRUCTURED) else _push.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedRequestError(
            f"request body of {len(body)} bytes is not a Pub/Sub push: {error}"
        ) from error
    message = push.message
    if not message.message_id:
        raise MalformedRequestError(
            "request body is not a Pub/Sub push: message.messageId is missing or empty"
        )
    return Delivery(
        message=Message(message.data, message.attributes),
        message_id=message.message_id,
        publish_time=message.publish_time,
        attempt=push.delivery_attempt,
    )


def _structured_push(body: bytes) -> _Push:
    event = _structured.decode(body)
    if not isinstance(event.data, UnsetType):
        return event.data
    if not isinstance(event.data_base64, UnsetType):
        return _push.decode(event.data_base64)
    raise MalformedRequestError("structured CloudEvent has neither data nor data_base64")
