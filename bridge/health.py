"""What the bridge says of itself: /healthz, /readyz, /metrics, and a log line a minute."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
from confluent_kafka import Consumer
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bridge.consumer import lag
from logs import fields, log

# A turn of the loop may wait for Pub/Sub's answers; longer than this it hangs.
MAX_TURN_S = 120.0
REPORT_EVERY_S = 60.0
LAG_EVERY_S = 5.0
# A histogram would have a gauge more, of the time when it was made.
disable_created_metrics()  # type: ignore[no-untyped-call] # ships no types
LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Status(Collector):
    """Counts since the start, written by the loop alone and read by the HTTP server."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._turned_at = self._reported_at = self._acknowledged_at = clock()
        self._publish_s, self._publishes = 0.0, 0  # since the last status line
        self._lag_at = float("-inf")
        self._lags: dict[tuple[str, int], int] = {}
        self.assigned: list[str] = []
        self.ends: dict[tuple[str, int], int] = {}
        self.forwarded = 0
        self.dead_lettered: Counter[str] = Counter()
        self.bytes = 0
        self.retries = 0
        self.gaps: Counter[tuple[str, int]] = Counter()
        self.degraded: str | None = None
        self.refused: str | None = None
        self._said_at: dict[str, float] = {}
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self.latency = Histogram(
            "bridge_publish_seconds",
            "From a publish request to when the loop took its acknowledgement, in their order",
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )

    def turn(self, consumer: Consumer) -> None:
        """Note that the loop turns; look at the lag now and then, and log the counts once a minute."""
        self._turned_at = self._clock()
        if self._turned_at - self._lag_at >= LAG_EVERY_S:
            self._lag_at = self._turned_at
            self._lags = lag(consumer, self.ends)
        if self._turned_at - self._reported_at >= REPORT_EVERY_S:
            self._reported_at = self._turned_at
            self.report(consumer)

    def acknowledged(self, seconds: float, size: int) -> None:
        """Note that Pub/Sub acknowledged a request of so many bytes, so many seconds after it was sent."""
        self._acknowledged_at = self._clock()
        self.bytes += size
        self.refused = None
        self._publish_s += seconds
        self._publishes += 1
        self.latency.observe(seconds)

    def refuse(self, reason: str) -> None:
        """Note that the brokers refuse the bridge, and say so once a minute, however often it tries."""
        self.refused = reason
        if self._is_news("refused"):
            log.error("%s", reason)

    def warn(self, text: str) -> None:
        """Log what the client says of the brokers, the same once a minute, however often it tries them."""
        if self._is_news(text.partition(" (after ")[0]):  # so many ms, in a state
            log.warning("Kafka: %s", text)

    def _is_news(self, what: str) -> bool:
        now = self._clock()
        self._said_at = {said: at for said, at in self._said_at.items() if now - at < REPORT_EVERY_S}
        if what in self._said_at:
            return False
        self._said_at[what] = now
        return True

    def report(self, consumer: Consumer) -> None:
        """Log the counts and the lag now, and what acknowledgements took since the last time."""
        self._lags = lag(consumer, self.ends)
        by_partition = {f"{topic}/{partition}": each for (topic, partition), each in self._lags.items()}
        extra: dict[str, object] = {
            **self.counts(),
            "assigned": len(self.assigned),
            "since_acknowledged_s": int(self._since_acknowledged()),
        }
        if self._publishes:
            extra["publish_ms"] = round(1_000 * self._publish_s / self._publishes)
            self._publish_s, self._publishes = 0.0, 0
        if self.assigned:  # a member without partitions knows nothing of what it lags behind
            extra |= {"lag": sum(by_partition.values()), "lag_by_partition": by_partition}
        if self.degraded is not None:
            extra["degraded"] = self.degraded
        elif reason := self.unready():
            extra["unready"] = reason
        log.info("status", extra=fields(**extra))

    def counts(self) -> dict[str, int]:
        """Return the counts by name; `forwarded` includes the dead-lettered."""
        return {
            "forwarded": self.forwarded,
            "dead_lettered": self.dead_lettered.total(),
            "bytes": self.bytes,
            "retries": self.retries,
            "gap": self.gaps.total(),
        }

    def _since_acknowledged(self) -> float:
        return self._clock() - self._acknowledged_at

    def is_alive(self) -> bool:
        """Return whether the loop turned lately."""
        return self._clock() - self._turned_at < MAX_TURN_S

    def unready(self) -> str | None:
        """Return why the bridge does not forward now, None when it does."""
        if not self.is_alive():
            return f"the loop has not turned for {MAX_TURN_S:.0f} s"
        return self.degraded or (None if self.assigned else self.refused or "no partition is assigned")

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, read from the counts when they are asked for."""
        yield CounterMetricFamily(
            "bridge_forwarded", "Records acknowledged by Pub/Sub, dead letters among them", self.forwarded
        )
        yield CounterMetricFamily(
            "bridge_forwarded_bytes", "Bytes of the requests that Pub/Sub acknowledged", self.bytes
        )
        dead_letters = CounterMetricFamily(
            "bridge_dead_letters", "Records that Pub/Sub cannot take", labels=["reason"]
        )
        for reason, count in dict(self.dead_lettered).items():
            dead_letters.add_metric([reason], count)
        yield dead_letters
        yield CounterMetricFamily(
            "bridge_publish_retries", "Attempts after Pub/Sub did not take records", self.retries
        )
        gap = CounterMetricFamily(
            "bridge_gap_offsets", "Offsets gone before they were read", labels=["topic", "partition"]
        )
        for (topic, partition), count in dict(self.gaps).items():
            gap.add_metric([topic, str(partition)], count)
        yield gap
        lags = GaugeMetricFamily(
            "bridge_lag_records", "Records that were not taken yet", labels=["topic", "partition"]
        )
        for (topic, partition), count in self._lags.items():
            lags.add_metric([topic, str(partition)], count)
        yield lags
        yield GaugeMetricFamily("bridge_assigned_partitions", "Partitions of this member", len(self.assigned))
        yield GaugeMetricFamily(
            "bridge_degraded", "1 while Pub/Sub does not take records", int(self.degraded is not None)
        )
        yield GaugeMetricFamily(
            "bridge_since_acknowledged_publish_seconds",
            "Since the last acknowledged publish, or the start",
            self._since_acknowledged(),
        )


def serve(status: Status, port: int) -> ThreadingHTTPServer:
    """Answer GET on the port, 0 for a free one, in a thread.

    /healthz is 200 while the loop turns, and 503 after, with the counts as JSON; /readyz is 200 while records
    are forwarded, and otherwise 503 with the reason; /metrics is Prometheus' text.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/healthz":
                alive = status.is_alive()
                body = msgspec.json.encode({"alive": alive, "assigned": status.assigned, **status.counts()})
                self._answer(200 if alive else 503, "application/json", body)
            elif self.path == "/readyz":
                reason = status.unready()
                self._answer(503 if reason else 200, "text/plain", f"{reason or 'ready'}\n".encode())
            elif self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(status.registry))
            else:
                self.send_error(404)

        def _answer(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Probes are not worth a line."""

    server = ThreadingHTTPServer(("", port), Handler)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    log.info("health server is listening", extra=fields(port=server.server_address[1]))
    return server
