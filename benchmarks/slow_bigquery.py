"""`python -m benchmarks.slow_bigquery PORT`: a BigQuery that takes every row, 50 ms after it was asked.

`GET /counts` tells what it was asked for: `{"inserts", "rows"}` since the last time.
"""

import asyncio
import json
import sys

INSERT_S = 0.05


class Counts:
    """What was inserted since somebody asked."""

    inserts = 0
    rows = 0

    def take(self) -> bytes:
        """Return the counts as JSON, and start again."""
        counts = json.dumps({"inserts": self.inserts, "rows": self.rows}).encode()
        self.inserts = self.rows = 0
        return counts


class Connection(asyncio.Protocol):
    """One connection, one request after the other."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._received += data
        while True:
            head, blank, body = self._received.partition(b"\r\n\r\n")
            length = content_length(bytes(head))
            if not blank or len(body) < length:
                return
            request = bytes(body[:length])
            del self._received[: len(head) + 4 + length]
            if head.startswith(b"GET /counts"):
                self._answer(self._counts.take())
                continue
            self._counts.inserts += 1
            self._counts.rows += request.count(b'"insertId"')
            asyncio.get_running_loop().call_later(INSERT_S, self._answer, b"{}")

    def _answer(self, body: bytes) -> None:
        if isinstance(self._transport, asyncio.WriteTransport) and not self._transport.is_closing():
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            self._transport.write(head % len(body) + body)


def content_length(head: bytes) -> int:
    """Return the length that a request's or an answer's head gives."""
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    counts = Counts()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(counts), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
