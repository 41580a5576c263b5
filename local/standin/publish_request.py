"""What is read of the protobuf class PublishRequest: proto-plus would wrap every message and map."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class RawMessage(Protocol):
    """The part of the protobuf class PubsubMessage that is read here."""

    data: bytes
    attributes: Mapping[str, str]
    ordering_key: str


class RawPublishRequest(Protocol):
    """The protobuf class behind PublishRequest."""

    topic: str
    messages: Sequence[RawMessage]

    def ByteSize(self) -> int:  # noqa: N802 - protobuf's name
        """Return the size on the wire."""
