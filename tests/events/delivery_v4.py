"""delivery_events_v4_topic: the few British stores that have not moved to version 6."""

from collections.abc import Iterator
from random import Random

from tests.events.sample import Clock, Draft, Event
from tests.events.values import NAMES, PLACES, millis, money

_TOPIC = "delivery_events_v4_topic"
_UNDER_WAY = 4
_BRITISH = tuple(place for place in PLACES if place.country == "GB")
_STEPS = ("DeliveryCreatedV4", "DeliveryPickedUpV4", "DeliveryDeliveredV4")


def events(rng: Random, clock: Clock) -> Iterator[Draft]:
    """Make events without end: several deliveries go through their steps, or are cancelled between two."""
    lives = [_life(rng, clock) for _ in range(_UNDER_WAY)]
    while True:
        which = rng.randrange(_UNDER_WAY)
        draft = next(lives[which], None)
        if draft:
            yield draft
        else:
            lives[which] = _life(rng, clock)


def _life(rng: Random, clock: Clock) -> Iterator[Draft]:
    place = rng.choice(_BRITISH)
    delivery_id = f"D4{rng.randrange(10**8):08}"
    cancelled_before = rng.choice((None, None, *_STEPS[1:]))
    ordered: Event = {
        "delivery_id": delivery_id,
        "store_id": f"store-{rng.randint(241, 260):04}",
        "address": {
            "lines": [
                f"{rng.randint(1, 90)} {rng.choice(place.streets)}",
                *rng.choice(((), ("Flat B",))),
                f"{place.city} {rng.choice(place.postcodes)}",
            ],
            "country": place.country,
        },
        "weight_kg": round(rng.uniform(0.4, 22), 3),
        "paid_in_cash": rng.choice((True, False, False, False)),
    }
    courier = rng.choice(NAMES)
    for step in _STEPS:
        head: Event = {"id": f"evt-{rng.getrandbits(48):012x}", "timestamp": millis(clock())}
        if step == cancelled_before:
            yield _draft("DeliveryCancelledV4", delivery_id, head | _cancelled(rng, delivery_id))
            return
        courier_name = None if step == "DeliveryCreatedV4" else courier
        yield _draft(step, delivery_id, head | ordered | {"courier_name": courier_name})


def _cancelled(rng: Random, delivery_id: str) -> Event:
    return {
        "delivery_id": delivery_id,
        "cancelled_by": rng.choice(("CUSTOMER", "STORE", "SUPPORT")),
        "remark": rng.choice(
            (None, "Ordered twice", "Out of stock, apologised (naïve order)", "Paid 100 % back")
        ),
        "refund": rng.choice((None, {"amount": money(rng, 5, 90), "currency": "GBP"})),
    }


def _draft(name: str, delivery_id: str, event: Event) -> Draft:
    return Draft(_TOPIC, f"delivery.events.v4.{name}", delivery_id.encode(), event)
