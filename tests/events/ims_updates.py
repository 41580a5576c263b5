"""ims_events_v2_topic: items of the inventory management system are created, updated, discontinued."""

from collections.abc import Iterator
from datetime import timedelta
from random import Random

from tests.events.sample import Clock, Draft, Event
from tests.events.values import NAMES, SKUS

_TOPIC = "ims_events_v2_topic"
_FIRST_CHANGE = 88_120_000
_ITEMS = {sku: 500_100 + index for index, sku in enumerate(SKUS)}


def events(rng: Random, clock: Clock) -> Iterator[Draft]:
    """Make events without end: change numbers rise, the key is the item's number as its eight bytes."""
    change = _FIRST_CHANGE
    while True:
        change += rng.randint(1, 40)
        sku = rng.choice(SKUS)
        (name,) = rng.choices(("ItemUpdatedV2", "ItemCreatedV2", "ItemDiscontinuedV2"), (7, 2, 2))
        head: Event = {"id": change, "timestamp": clock(), "item_id": _ITEMS[sku], "sku": sku}
        body = _discontinued(rng, clock, sku) if name == "ItemDiscontinuedV2" else _item(rng, sku)
        yield Draft(_TOPIC, f"ims.updates.v2.{name}", _ITEMS[sku].to_bytes(8, "big"), head | body)


def _item(rng: Random, sku: str) -> Event:
    kind = sku.partition("-")[0]
    return {
        "name": f"{kind.title()} {rng.choice(('classic', 'bio', 'família', '特选'))}",
        "storage": rng.choice({"ICE": ("FROZEN",), "BATT": ("HAZARDOUS",)}.get(kind, ("AMBIENT", "CHILLED"))),
        "packaging": _bottle(rng) if kind in ("MILK", "WATER", "SOAP") else _box(rng),
        "supplier_ref": rng.choice((None, f"S/{rng.randint(100, 999)}-A", rng.randrange(10**6, 10**10))),
        "eans": [f"4{rng.randrange(10**12):012}" for _ in range(rng.randint(0, 3))],
        "attributes": rng.choice(
            (
                {},
                {"vegan": rng.choice((True, False)), "origin": rng.choice(("PT", "ES"))},
                {"fat_percent": rng.choice((0.1, 1.5, 3.5)), "allergens": None},
            )
        ),
        "shelf_life_days": rng.choice((None, 7, 30, 365)),
        "updated_by": rng.choice(("import", *NAMES)),
    }


def _box(rng: Random) -> Event:
    sides = sorted((rng.randint(20, 600) for _ in range(3)), reverse=True)
    return dict(zip(("length_mm", "width_mm", "height_mm"), sides, strict=True))


def _bottle(rng: Random) -> Event:
    return {
        "diameter_mm": rng.randint(40, 120),
        "volume_ml": rng.choice((250, 330, 500, 1_000, 1_500)),
        "deposit": rng.choice((True, False)),
    }


def _discontinued(rng: Random, clock: Clock, sku: str) -> Event:
    other = rng.choice([known for known in SKUS if known != sku])
    return {
        "last_day": clock().date() + timedelta(days=rng.randint(0, 60)),
        "reason": rng.choice(("SUPPLIER_ENDED", "LOW_SALES", "RECALL", "SEASON_OVER")),
        "successor": rng.choice((None, {"item_id": _ITEMS[other], "sku": other})),
    }
