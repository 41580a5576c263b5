"""Pushes as Pub/Sub sends them: over so many connections, each the next when the one before is answered."""

import asyncio
import contextlib
import io
import itertools
import time
from collections.abc import AsyncIterator, Sequence
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
    """Requests, again and again, over connections that stay."""

    def __init__(self, requests: Sequence[bytes]) -> None:
        self._requests = itertools.cycle(requests)
        self.connections: list[Connection] = []

    async def push(self, pushes: int) -> list[float]:
        """Send so many, at least one over each connection; return the time of each in ms.

        Raises:
            RuntimeError: a push was not acknowledged.
        """
        self._left = self._waiting = pushes
        self._times_ms: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for connection in self.connections:
            connection.send()
        await self.done
        return self._times_ms

    def next(self) -> bytes | None:
        """Return the next request, None where all are sent."""
        self._left -= 1
        return next(self._requests) if self._left >= 0 else None

    def settle(self, seconds: float, status: bytes) -> None:
        """Count an answer."""
        self._times_ms.append(seconds * 1_000)
        self._waiting -= 1
        if self.done.done():
            return
        if status not in (b"200", b"204"):
            self.done.set_exception(RuntimeError(f"a push was answered {status.decode()}"))
        elif not self._waiting:
            self.done.set_result(None)


class Connection(asyncio.Protocol):
    """Sends the next push when the one before is answered."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Take an answer that is whole."""
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank or len(body) < content_length(head):
            return
        self._received = b""
        self._load.settle(time.perf_counter() - self._sent_at, head[9:12])
        self.send()

    def connection_lost(self, error: Exception | None) -> None:
        """Fail where an answer is awaited: no contender closes a connection then."""
        if not self._load.done.done():
            self._load.done.set_exception(error or ConnectionResetError("the function closed a connection"))

    def send(self) -> None:
        """Send a push if one is left."""
        request = self._load.next()
        if request is not None and isinstance(self.transport, asyncio.WriteTransport):
            self._sent_at = time.perf_counter()
            self.transport.write(request)


@contextlib.asynccontextmanager
async def connected(requests: Sequence[bytes], port: int, connections: int) -> AsyncIterator[Load]:
    """Give a load over so many connections, each of which has brought a push."""
    load = Load(requests)
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        _, connection = await loop.create_connection(lambda: Connection(load), "127.0.0.1", port)
        load.connections.append(connection)
    try:
        await load.push(connections)
        yield load
    finally:
        for connection in load.connections:
            connection.transport.close()
