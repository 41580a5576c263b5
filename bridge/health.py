"""What the bridge says of itself: /healthz, and a log line a minute."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
from confluent_kafka import Consumer

from bridge.consumer import lag
from logs import fields, log

# A turn of the loop may wait for Pub/Sub's answers; longer than this it hangs.
MAX_TURN_S = 120.0
REPORT_EVERY_S = 60.0


class Status:
    """Counts since the start, written by the loop alone and read by the HTTP server."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._turned_at = self._reported_at = clock()
        self.assigned: list[str] = []
        self.forwarded = 0
        self.dead_lettered = 0
        self.bytes = 0

    def turn(self, consumer: Consumer) -> None:
        """Note that the loop turns; once a minute, log the counts and the lag."""
        self._turned_at = self._clock()
        if self._turned_at - self._reported_at >= REPORT_EVERY_S:
            self._reported_at = self._turned_at
            self.report(consumer)

    def report(self, consumer: Consumer) -> None:
        """Log the counts and the lag now."""
        lags = lag(consumer)
        log.info("status", extra=fields(**self.counts(), lag=sum(lags.values()), lag_by_partition=lags))

    def counts(self) -> dict[str, int]:
        """Return the counts by name; `forwarded` includes the dead-lettered."""
        return {"forwarded": self.forwarded, "dead_lettered": self.dead_lettered, "bytes": self.bytes}

    def is_alive(self) -> bool:
        """Return whether the loop turned lately."""
        return self._clock() - self._turned_at < MAX_TURN_S


def serve(status: Status, port: int) -> ThreadingHTTPServer:
    """Answer GET /healthz on the port, 0 for a free one, in a thread: 200 while the loop turns, 503 after."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/healthz":
                self.send_error(404)
                return
            alive = status.is_alive()
            body = msgspec.json.encode({"alive": alive, "assigned": status.assigned, **status.counts()})
            self.send_response(200 if alive else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Probes are not worth a line."""

    server = ThreadingHTTPServer(("", port), Handler)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    log.info("health server is listening", extra=fields(port=server.server_address[1]))
    return server
