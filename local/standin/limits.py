"""The limits of the real service, each beside the address of the page that states it.

The official emulator enforces only some of them, so what passes there can still fail in production.
"""

import re
from collections.abc import Sequence

from local.standin.message import Content
from local.standin.refused import invalid

# https://cloud.google.com/pubsub/quotas#resource_limits
MAX_REQUEST_BYTES = 10_000_000
MAX_MESSAGES_PER_REQUEST = 1_000
MAX_ATTRIBUTES = 100
MAX_ATTRIBUTE_NAME_BYTES = 256
MAX_ATTRIBUTE_VALUE_BYTES = 1_024
MAX_ORDERING_KEY_BYTES = 1_024

# https://cloud.google.com/pubsub/docs/publisher#using-attributes
RESERVED_PREFIX = "goog"

# https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names
RESOURCE_NAME = re.compile(
    r"projects/[^/]+/(?P<kind>topics|subscriptions)/(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}"
)


def check_name(name: str, kind: str) -> None:
    """Raise Refused unless `name` is a full resource name of `kind` ("topics" or "subscriptions")."""
    match = RESOURCE_NAME.fullmatch(name)
    if match is None or match["kind"] != kind:
        raise invalid(f"Invalid [{kind}] name: (name={name})")


def check_publish(contents: Sequence[Content], request_bytes: int) -> None:
    """Raise Refused if any message is invalid: one of them fails the whole request."""
    if not contents:
        raise invalid("A publish request needs at least one message.")
    if len(contents) > MAX_MESSAGES_PER_REQUEST:
        raise invalid(
            f"{len(contents)} messages in a request, the most allowed is {MAX_MESSAGES_PER_REQUEST}."
        )
    if request_bytes > MAX_REQUEST_BYTES:
        raise invalid(f"Request of {request_bytes} bytes, the most allowed is {MAX_REQUEST_BYTES}.")
    for index, content in enumerate(contents):
        fault = _fault(content)
        if fault is not None:
            raise invalid(f"Message {index} of the request: {fault}.")


def _fault(content: Content) -> str | None:
    if not content.data and not content.attributes:
        return "neither data nor an attribute"
    if len(content.attributes) > MAX_ATTRIBUTES:
        return f"{len(content.attributes)} attributes, the most allowed is {MAX_ATTRIBUTES}"
    if len(content.ordering_key.encode()) > MAX_ORDERING_KEY_BYTES:
        return f"ordering key over {MAX_ORDERING_KEY_BYTES} bytes"
    faults = (_attribute_fault(name, value) for name, value in content.attributes.items())
    return next((fault for fault in faults if fault is not None), None)


def _attribute_fault(name: str, value: str) -> str | None:
    if not name:
        return "empty attribute name"
    if name.startswith(RESERVED_PREFIX):
        return f"attribute name begins with the reserved {RESERVED_PREFIX!r}: {name[:40]!r}"
    if len(name.encode()) > MAX_ATTRIBUTE_NAME_BYTES:
        return f"attribute name over {MAX_ATTRIBUTE_NAME_BYTES} bytes: {name[:40]!r}"
    if len(value.encode()) > MAX_ATTRIBUTE_VALUE_BYTES:
        return f"value of attribute {name!r} over {MAX_ATTRIBUTE_VALUE_BYTES} bytes"
    return None
