"""physical_stock_events_v3_topic: pieces are moved, counted, and the books adjusted to the count."""

import zlib
from collections.abc import Iterator
from datetime import timedelta
from random import Random

from tests.events.sample import Clock, Draft, Event
from tests.events.values import SKUS, millis, money, new_uuid

_TOPIC = "physical_stock_events_v3_topic"
_WAREHOUSES = {"LIS1": "EUR", "KOE2": "EUR", "LDS1": "GBP"}
_FULL = 1_500


def events(rng: Random, clock: Clock) -> Iterator[Draft]:
    """Make events without end: what comes in and goes out is kept, so that no level is below zero."""
    levels = {(warehouse, sku): rng.randint(100, _FULL) for warehouse in _WAREHOUSES for sku in SKUS}
    while True:
        warehouse, sku = place = rng.choice(tuple(levels))
        (name,) = rng.choices(("StockMovedV3", "StockCountedV3", "StockAdjustedV3"), (6, 2, 2))
        head: Event = {"id": new_uuid(rng), "timestamp": clock(), "sku": sku, "warehouse": warehouse}
        if name == "StockMovedV3":
            levels[place], body = _moved(rng, clock, levels[place])
        elif name == "StockCountedV3":
            body = _counted(rng, clock, levels[place])
        else:
            levels[place], body = _adjusted(rng, clock, levels[place], _WAREHOUSES[warehouse])
        yield Draft(_TOPIC, f"stock.physical.v3.{name}", sku.encode(), head | body)


def _moved(rng: Random, clock: Clock, level: int) -> tuple[int, Event]:
    """Return the level after the move with the event: bin to bin leaves it, a dock lets in or out."""
    pieces = rng.randint(1, 48)
    arrives = level < pieces or (level < _FULL and rng.choice((True, False)))
    leaves = not arrives and rng.choice((True, False))
    best_before = rng.choice((None, clock().date() + timedelta(days=rng.randint(3, 400))))
    split = rng.randint(0, pieces - 1)
    return level + pieces * arrives - pieces * leaves, {
        "pieces": pieces,
        "source": _dock(rng) if arrives else _bin(rng),
        "target": _dock(rng) if leaves else _bin(rng),
        "lots": [
            {"number": f"L{rng.randint(1000, 9999)}", "best_before": best_before, "pieces": part}
            for part in (split, pieces - split)
            if part
        ],
        "urgent": rng.choice((True, False, False)),
    }


def _bin_code(rng: Random) -> str:
    return f"{rng.choice('ABCDEF')}-{rng.randint(1, 40):02}-{rng.randint(1, 5)}"


def _bin(rng: Random) -> Event:
    return {"bin": _bin_code(rng), "left_over": rng.randint(0, 90)}


def _dock(rng: Random) -> Event:
    return {"dock": rng.randint(1, 12), "plate": rng.choice((None, "AA-07-QX", "K-DL 4711", "LF24 ZKP"))}


def _counted(rng: Random, clock: Clock, level: int) -> Event:
    found = max(0, level + rng.choice((0, 0, 0, -2, 1)))
    shelves = rng.sample([f"{aisle}-{rack:02}-1" for aisle in "ABC" for rack in range(1, 9)], 3)
    first = rng.randint(0, found)
    method = rng.choice(("BY_HAND", "SCANNER", "DRONE"))
    scan = None if method == "BY_HAND" else zlib.compress(rng.randbytes(24) * 4)
    started_at = millis(clock() - timedelta(minutes=rng.randint(2, 30)))
    return {
        "expected": level,
        "bins": {shelves[0]: first, shelves[1]: found - first, shelves[2]: 0},
        "started_at": started_at.replace(tzinfo=None),
        "counter": {"method": method, "badge": None if method == "DRONE" else rng.randint(100, 999)},
        "celsius": rng.choice((-18.5, 4.0, 6.5, 19.0)),
        "scan": scan,
    }


def _adjusted(rng: Random, clock: Clock, level: int, currency: str) -> tuple[int, Event]:
    """Return the level after the correction with the event."""
    cause = rng.choice(("MISCOUNT", "DAMAGE", "THEFT", "EXPIRED", "RETURNED", "UNKNOWN"))
    change = rng.randint(1, 20) if cause == "RETURNED" else -rng.randint(0, min(20, level))
    approved_at = clock() - timedelta(seconds=rng.randint(5, 600))
    return level + change, {
        "change": change,
        "level": level + change,
        "cause": cause,
        "value": change * money(rng, 1, 9, places=4),
        "currency": currency,
        "approved_at": rng.choice((None, approved_at)),
    }
