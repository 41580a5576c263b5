# ruff: noqa: RUF001 - the multiplication sign is one
"""What a month costs: list prices, the sizes of what is billed, and the arithmetic from one to the other.

The prices are those of us-central1 in US dollars, without discounts, taxes or contracts. They were looked up
in November 2026 in stored copies of Google's pages and in what others quote of them, not on the live pages:
check https://cloud.google.com/products/calculator before you rely on a sum. Left out: Kafka itself, network
from another region or through a NAT, readers' queries, builds, secrets and monitoring.

The bridge publishes a message for each record. The function also takes bundles, many records a message: their
columns say what it would save if the bridge made them.
"""

import math
import re
from collections.abc import Callable, Sequence

import msgspec

from bridge.batch import MAX_REQUEST_MESSAGES, TARGET_REQUEST_BYTES

GIB = 2**30
MONTH_S = 730 * 3_600


class Price(msgspec.Struct, frozen=True):
    """`usd` for each `per` of a quantity after the first `free` of a month; `unit` says it in words."""

    usd: float
    per: float
    free: float
    unit: str
    page: str

    def cost(self, quantity: float) -> float:
        """Return dollars for a month's quantity, in the unit that `per` and `free` are in."""
        return max(0.0, quantity - self.free) / self.per * self.usd


_PUBSUB = "https://cloud.google.com/pubsub/pricing"
_RUN = "https://cloud.google.com/run/pricing"
_BIGQUERY = "https://cloud.google.com/bigquery/pricing"
_LOGGING = "https://cloud.google.com/stackdriver/pricing"


class Prices(msgspec.Struct, frozen=True):
    """The price of each thing that is billed; the free quantities are a whole billing account's."""

    pubsub: Price = Price(40.0, 2**40, 10 * GIB, "TiB published or delivered, 10 GiB free", _PUBSUB)
    retention: Price = Price(0.27, GIB, 0, "GiB-month that a topic retains", _PUBSUB)
    requests: Price = Price(0.40, 1e6, 2e6, "million requests, 2 million free", _RUN)
    function_cpu: Price = Price(0.000_024, 1, 180_000, "vCPU-second with a request, 180,000 free", _RUN)
    function_memory: Price = Price(0.000_002_5, 1, 360_000, "GiB-second with a request, 360,000 free", _RUN)
    # Whether the free seconds of instance-based services cover worker pools is not clear: none are taken off.
    bridge_cpu: Price = Price(0.000_011_244, 1, 0, "vCPU-second of a worker pool", _RUN)
    bridge_memory: Price = Price(0.000_001_235, 1, 0, "GiB-second of a worker pool", _RUN)
    inserts: Price = Price(0.01, 200 * 2**20, 0, "200 MiB inserted with insertAll", _BIGQUERY)
    # 0.02 in the multi-regions US and EU.
    storage: Price = Price(
        0.023, GIB, 10 * GIB, "GiB-month of active logical storage, 10 GiB free", _BIGQUERY
    )
    logs: Price = Price(0.50, GIB, 50 * GIB, "GiB of logs, 50 GiB free", _LOGGING)


PRICES = Prices()

# Pub/Sub bills so much for a publish request or a push that is smaller.
MIN_PUBSUB_BYTES = 1_000
# BigQuery bills so much for a row that is smaller: 1 KB, and its units are binary.
MIN_ROW_BYTES = 1_024
MAX_BUNDLE = 100
# A record's position, key and headers with their names: the means of tests/events. Pub/Sub adds 20 bytes for
# the timestamp, and the message's id.
ATTRIBUTE_BYTES = 312
BUNDLED_BYTES = 254
BUNDLE_ATTRIBUTE_BYTES = 30
MESSAGE_BYTES = 20 + 16
# A publish request waits about so long for its answer; what arrives meanwhile goes into the next ones.
GATHERING_S = 0.05
# terraform/variables.tf: size of the function and of the bridge, days that the topic retains.
VCPU = 1.0
MEMORY_GIB = 0.5
RETENTION_DAYS = 7
# An instance of the function with 1 vCPU; 2,430 to 3,500 were measured, so this leaves room.
INSTANCE_EVENTS_PER_S = 1_000
# From a push to its answer, nearly all of it BigQuery's time.
REQUEST_S = 0.15
# An instance of the bridge with 1 vCPU; at the measured 10 to 14 µs a record it is less than half busy.
BRIDGE_EVENTS_PER_S = 30_000
# The bridge's status line, and a little of everything.
LOG_BYTES_PER_MINUTE = 2_000
# The function's line of an insert; each instance has one insert of a table under way at a time.
INSERT_LOG_BYTES = 300
TABLES = 5
# Cloud Run writes an entry for each request. A guess of its size.
REQUEST_LOG_BYTES = 1_000


class Load(msgspec.Struct, frozen=True):
    """What flows: records a second, bytes of a Kafka value, records in a message (1: plain messages)."""

    events_per_s: float
    value_bytes: int
    bundle: int = 1


class Part(msgspec.Struct, frozen=True):
    """A line of the bill: dollars a month, and how they come about."""

    name: str
    usd: float
    arithmetic: str


def gathered(events_per_s: float) -> float:
    """Return how many records the bridge has for its next cycle, at least one."""
    return max(1.0, events_per_s * GATHERING_S)


def bundle_size(events_per_s: float) -> int:
    """Return how many records a bundle would hold without anyone waiting for it to fill."""
    return min(MAX_BUNDLE, int(gathered(events_per_s)))


def messages(load: Load) -> float:
    """Return messages a month."""
    return load.events_per_s * MONTH_S / load.bundle


def message_bytes(load: Load) -> int:
    """Return what Pub/Sub counts for a message: data, attributes, timestamp and id."""
    if load.bundle == 1:
        return load.value_bytes + ATTRIBUTE_BYTES + MESSAGE_BYTES
    return load.bundle * (load.value_bytes + BUNDLED_BYTES) + BUNDLE_ATTRIBUTE_BYTES + MESSAGE_BYTES


def published_bytes(load: Load) -> float:
    """Return the bytes billed for publishing one message, which shares its request's minimum with others."""
    size = message_bytes(load)
    in_request = gathered(load.events_per_s) / load.bundle
    in_request = max(1.0, min(in_request, MAX_REQUEST_MESSAGES, TARGET_REQUEST_BYTES / size))
    return max(float(size), MIN_PUBSUB_BYTES / in_request)


def delivered_bytes(load: Load) -> int:
    """Return the bytes billed for delivering one message: each push is a request of its own."""
    return max(message_bytes(load), MIN_PUBSUB_BYTES)


def busy_instances(load: Load) -> float:
    """Return how many instances of the function are busy on average.

    CPU and memory are billed while an instance has at least one request: at load always, below it for
    `REQUEST_S` a message.
    """
    instances = math.ceil(load.events_per_s / INSTANCE_EVENTS_PER_S)
    return min(float(instances), load.events_per_s / load.bundle * REQUEST_S)


def bridge_instances(load: Load) -> int:
    """Return how many instances the bridge needs; they run all the time."""
    return math.ceil(load.events_per_s / BRIDGE_EVENTS_PER_S)


def row_bytes(load: Load) -> int:
    """Return the bytes of a row: the event, twice as long in JSON as in Avro, and 400 of other columns."""
    return 2 * load.value_bytes + 400


def throughput(load: Load) -> Part:
    """Return the cost of publishing and of pushing."""
    count, published, delivered = messages(load), published_bytes(load), delivered_bytes(load)
    quantity = count * (published + delivered)
    text = (
        f"{count:,.0f} messages × ({published:,.0f} B published + {delivered:,} B pushed) "
        f"= {quantity / GIB:,.1f} GiB"
    )
    return Part("Pub/Sub publish and push", PRICES.pubsub.cost(quantity), text)


def retention(load: Load) -> Part:
    """Return the cost of what the topic keeps to seek back to: at any time the messages of the last days."""
    kept = load.events_per_s / load.bundle * message_bytes(load) * RETENTION_DAYS * 86_400
    text = f"{RETENTION_DAYS} days of {message_bytes(load):,} B a message = {kept / GIB:,.1f} GiB"
    return Part("Pub/Sub topic retention", PRICES.retention.cost(kept), text)


def function_requests(load: Load) -> Part:
    """Return the cost of the function's requests, one a message."""
    count = messages(load)
    return Part("Function requests", PRICES.requests.cost(count), f"{count:,.0f} requests")


def function_cpu(load: Load) -> Part:
    """Return the cost of the function's CPU."""
    seconds = busy_instances(load) * VCPU * MONTH_S
    text = f"{busy_instances(load):,.2f} busy × {VCPU:g} vCPU × {MONTH_S:,} s = {seconds:,.0f} vCPU-s"
    return Part("Function CPU", PRICES.function_cpu.cost(seconds), text)


def function_memory(load: Load) -> Part:
    """Return the cost of the function's memory."""
    seconds = busy_instances(load) * MEMORY_GIB * MONTH_S
    text = f"{busy_instances(load):,.2f} busy × {MEMORY_GIB:g} GiB × {MONTH_S:,} s = {seconds:,.0f} GiB-s"
    return Part("Function memory", PRICES.function_memory.cost(seconds), text)


def bridge(load: Load) -> Part:
    """Return the cost of the bridge's worker pool, CPU and memory."""
    seconds = bridge_instances(load) * MONTH_S
    usd = PRICES.bridge_cpu.cost(seconds * VCPU) + PRICES.bridge_memory.cost(seconds * MEMORY_GIB)
    text = f"{bridge_instances(load)} × ({VCPU:g} vCPU + {MEMORY_GIB:g} GiB) × {MONTH_S:,} s"
    return Part("Bridge CPU and memory", usd, text)


def inserts(load: Load) -> Part:
    """Return the cost of streaming the rows into BigQuery."""
    rows, size = load.events_per_s * MONTH_S, max(row_bytes(load), MIN_ROW_BYTES)
    text = f"{rows:,.0f} rows × {size:,} B = {rows * size / GIB:,.1f} GiB"
    return Part("BigQuery streaming inserts", PRICES.inserts.cost(rows * size), text)


def storage(load: Load) -> Part:
    """Return the cost of keeping one month's rows for a month; each further month that is kept adds to it."""
    rows, size = load.events_per_s * MONTH_S, row_bytes(load)
    text = f"{rows:,.0f} rows × {size:,} B = {rows * size / GIB:,.1f} GiB"
    return Part("BigQuery storage of a month", PRICES.storage.cost(rows * size), text)


def logs(load: Load) -> Part:
    """Return the cost of what bridge and function log themselves: the function a line an insert."""
    per_s = min(load.events_per_s / load.bundle, TABLES * math.ceil(busy_instances(load)) / REQUEST_S)
    quantity = LOG_BYTES_PER_MINUTE * MONTH_S / 60 + per_s * INSERT_LOG_BYTES * MONTH_S
    return Part(
        "Cloud Logging",
        PRICES.logs.cost(quantity),
        f"{LOG_BYTES_PER_MINUTE:,} B a minute + {per_s:,.0f} inserts/s × {INSERT_LOG_BYTES} B "
        f"= {quantity / GIB:,.1f} GiB",
    )


def request_logs(load: Load) -> Part:
    """Return the cost of Cloud Run's request log, which an exclusion on the sink _Default makes nothing."""
    quantity = messages(load) * REQUEST_LOG_BYTES
    text = f"{messages(load):,.0f} entries × {REQUEST_LOG_BYTES:,} B = {quantity / GIB:,.1f} GiB"
    return Part("Request logs, if not excluded", PRICES.logs.cost(quantity), text)


_NUMBER = re.compile(r"(\+ |\*\*)?[\d,.]+(\*\*)?")

_PARTS: tuple[Callable[[Load], Part], ...] = (
    throughput,
    retention,
    function_requests,
    function_cpu,
    function_memory,
    bridge,
    inserts,
    storage,
    logs,
)


def bill(load: Load) -> list[Part]:
    """Return the parts of a month's cost."""
    return [part(load) for part in _PARTS]


def total(load: Load) -> float:
    """Return the dollars of a month, without request logs."""
    return sum(part.usd for part in bill(load))


def loads(rates: Sequence[float], value_bytes: int) -> list[Load]:
    """Return the report's columns: each rate as plain messages, and as bundles where these hold several."""
    columns = []
    for rate in rates:
        columns.append(Load(rate, value_bytes))
        if bundle_size(rate) > 1:
            columns.append(Load(rate, value_bytes, bundle_size(rate)))
    return columns


def report(rates: Sequence[float], value_bytes: int) -> str:
    """Return the costs as Markdown: a table of all loads, the arithmetic of each, and the prices."""
    columns = loads(rates, value_bytes)
    lines = [f"US dollars a month of 730 hours, Kafka values of {value_bytes:,} bytes", ""]
    lines += _table(["", *(_title(load) for load in columns)], _summary(columns))
    for load in columns:
        lines += ["", _title(load), ""]
        parts = [*bill(load), request_logs(load)]
        lines += _table(["", "USD", "of"], [[p.name, _usd(p.usd), p.arithmetic] for p in parts])
    lines += ["", "Prices of us-central1", ""]
    prices = [getattr(PRICES, name) for name in PRICES.__struct_fields__]
    lines += _table(
        ["", "USD", "page"], [[p.unit, f"{p.usd:.9f}".rstrip("0").rstrip("."), p.page] for p in prices]
    )
    return "\n".join(lines)


def _summary(columns: Sequence[Load]) -> list[list[str]]:
    rows = []
    for part in _PARTS:
        bills = [part(load) for load in columns]
        rows.append([bills[0].name, *(_usd(each.usd) for each in bills)])
    rows.append(["**Total**", *(f"**{_usd(total(load))}**" for load in columns)])
    extra = [request_logs(load) for load in columns]
    rows.append([extra[0].name, *(f"+ {_usd(each.usd)}" for each in extra)])
    return rows


def _title(load: Load) -> str:
    return f"{load.events_per_s:,g}/s, {'plain' if load.bundle == 1 else f'bundles of {load.bundle}'}"


def _usd(dollars: float) -> str:
    return f"{dollars:,.2f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table that is aligned also where nothing renders it: numbers to the right."""
    columns = list(zip(head, *rows, strict=True))
    aligned = [_aligned(cells) for cells in columns]
    return [f"| {' | '.join(row)} |" for row in zip(*aligned, strict=True)]


def _aligned(cells: Sequence[str]) -> list[str]:
    """Return a column's cells as wide as its widest, the rule below the first."""
    head, *rest = cells
    width = max(len(cell) for cell in cells)
    if all(_NUMBER.fullmatch(cell) for cell in rest):
        return [head.rjust(width), "-" * (width - 1) + ":", *(cell.rjust(width) for cell in rest)]
    return [head.ljust(width), "-" * width, *(cell.ljust(width) for cell in rest)]
