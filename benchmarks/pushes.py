"""`python -m benchmarks.pushes plain|bundle PORT CONNECTIONS PUSHES`: pushes as Pub/Sub sends them.

Each connection sends the next when the one before is answered. The last line is a JSON object: how many were
not acknowledged, seconds in all, and the time of each in ms.
"""

import asyncio
import io
import itertools
import json
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import fastavro
import msgspec

from benchmarks.slow_bigquery import content_length
from decoder.catalog import load_catalog
from envelope import Message, Record, pack, pack_bundle

TOPIC = "delivery_events_v6_topic"
TYPE = "delivery.events.v6.DeliveryRatedV6"
BUNDLE = 200
DISTINCT = 2_000


def records() -> list[Record]:
    """Return records with different events of one type, of 170 bytes, and three more headers."""
    schema = load_catalog().types[TOPIC, TYPE].schema
    headers = (
        ("item_type_name", TYPE.encode()),
        ("source", b"benchmarks"),
        ("trace_id", b"4bf92f3577b34da6a3ce929d0e0e4736"),
        ("schema_version", b"6"),
    )
    now = datetime.now(UTC)
    found = []
    for number in range(DISTINCT):
        event = {
            "id": UUID(int=number),
            "timestamp": now,
            "delivery_id": UUID(int=number + DISTINCT),
            "stars": 5,
            "asked_by": "PUSH",
            "tags": ["ON_TIME", "FRIENDLY"],
            "comment": "The parcel was on time, and the driver friendly. Thank you, until the next one!",
            "tip": Decimal("2.50"),
        }
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, schema, event)
        timestamp = time.time_ns() // 1_000_000
        found.append(Record(TOPIC, number % 8, number, timestamp, b"%d" % number, headers, buffer.getvalue()))
    return found


def requests(form: str) -> list[bytes]:
    """Return the requests, each a binary CloudEvent too, so that a CloudEvent function takes them."""
    found = records()
    messages = (
        [pack_bundle(found[at : at + BUNDLE], "bench") for at in range(0, len(found), BUNDLE)]
        if form == "bundle"
        else [pack(record, "bench") for record in found]
    )
    return [_request(message, str(number)) for number, message in enumerate(messages)]


def _request(message: Message, message_id: str) -> bytes:
    body = msgspec.json.encode(
        {
            "message": {
                "data": message.data,
                "attributes": message.attributes,
                "messageId": message_id,
                "publishTime": "2026-11-24T12:00:00.000Z",
            },
            "subscription": "projects/p/subscriptions/events-push",
            "deliveryAttempt": 1,
        }
    )
    head = (
        "POST / HTTP/1.1\r\nHost: function\r\nContent-Type: application/json\r\n"
        "User-Agent: CloudPubSub-Google\r\nce-id: 1\r\nce-source: //pubsub\r\nce-specversion: 1.0\r\n"
        "ce-type: google.cloud.pubsub.topic.v1.messagePublished\r\n"
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Load:
    """So many pushes, whoever sends them."""

    def __init__(self, bodies: list[bytes], pushes: int) -> None:
        self._left = iter(itertools.islice(itertools.cycle(bodies), pushes))
        self._pushes = pushes
        self.times_ms: list[float] = []
        self.refused = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def next(self) -> bytes | None:
        """Return the next request, None where all are sent."""
        return next(self._left, None)

    def settle(self, seconds: float, *, acknowledged: bool) -> None:
        """Count an answer."""
        self.times_ms.append(seconds * 1_000)
        self.refused += not acknowledged
        if len(self.times_ms) == self._pushes:
            self.done.set_result(None)


class Connection(asyncio.Protocol):
    """Sends the next push when the one before is answered."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first."""
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Take an answer that is whole."""
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank or len(body) < content_length(head):
            return
        self._received = b""
        acknowledged = head[9:12] in (b"200", b"204")
        self._load.settle(time.perf_counter() - self._sent_at, acknowledged=acknowledged)
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        """Fail: no contender closes a connection."""
        if not self._load.done.done():
            self._load.done.set_exception(error or ConnectionResetError("the function closed a connection"))

    def _send(self) -> None:
        request = self._load.next()
        if request is not None and isinstance(self._transport, asyncio.WriteTransport):
            self._sent_at = time.perf_counter()
            self._transport.write(request)


async def push(form: str, port: int, connections: int, pushes: int) -> None:
    """Send all pushes over so many connections, and print what came of them."""
    load = Load(requests(form), pushes)
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(load), "127.0.0.1", port)
    await load.done
    seconds = time.perf_counter() - started
    print(json.dumps({"refused": load.refused, "seconds": seconds, "times_ms": load.times_ms}))


if __name__ == "__main__":
    asyncio.run(push(sys.argv[1], *(int(number) for number in sys.argv[2:])))
