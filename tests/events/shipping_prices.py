"""shipping_prices_events_v1_topic: what customers pay for shipping, by zone or as a country's whole list."""

from collections.abc import Iterator
from datetime import time, timedelta
from decimal import Decimal
from random import Random

from tests.events.sample import Clock, Draft, Event
from tests.events.values import PLACES, Place, millis, money, new_uuid

_TOPIC = "shipping_prices_events_v1_topic"
_TIERS = (2, 5, 10, 20, None)
_FACTORS = (0.75, 1.25, 1.5)
_CENT = Decimal("0.01")


def events(rng: Random, clock: Clock) -> Iterator[Draft]:
    """Make events without end. A change knows the price before it; a list is no zone's, so it has no key."""
    prices: dict[tuple[str, str], Decimal] = {}
    while True:
        place = rng.choice(PLACES)
        head: Event = {"id": new_uuid(rng), "timestamp": millis(clock())}
        if rng.choice((True, False, False, False)):
            event = head | _list(rng, clock, place)
            yield Draft(_TOPIC, "shipping.prices.v1.PriceListPublishedV1", None, event)
        else:
            zone = _zone(place, rng.randint(1, 3))
            event = head | {"zone": zone} | _change(rng, clock, place, zone, prices)
            yield Draft(_TOPIC, "shipping.prices.v1.PriceChangedV1", zone.encode(), event)


def _zone(place: Place, ring: int) -> str:
    return f"{place.country}-{place.city.upper()}-{ring}"


def _change(
    rng: Random, clock: Clock, place: Place, zone: str, prices: dict[tuple[str, str], Decimal]
) -> Event:
    option = rng.choice(("STANDARD", "EXPRESS", "SAME_DAY", "PICKUP"))
    previous = prices.get((zone, option))
    cause = rng.choice(("MANUAL", "DEMAND", "CARRIER_COST", "CAMPAIGN")) if previous else "MANUAL"
    factor = rng.choice(_FACTORS) if cause == "DEMAND" else 1.0
    price = (money(rng, 2, 14) * Decimal(factor)).quantize(_CENT)
    prices[zone, option] = price
    return {
        "option": option,
        "price": price,
        "previous": previous,
        "currency": place.currency,
        "cause": cause,
        "valid_from": millis(clock()) + timedelta(minutes=rng.choice((0, 15, 60))),
        "demand_factor": factor,
    }


def _list(rng: Random, clock: Clock, place: Place) -> Event:
    return {
        "country": place.country,
        "currency": place.currency,
        "valid_from": clock().date() + timedelta(days=rng.randint(1, 14)),
        "order_by": time(rng.randint(14, 22), rng.choice((0, 30)), 59, 999_999),
        "zones": {_zone(place, ring): _tiers(rng, ring) for ring in (1, 2, 3)},
        "approved_by": rng.choice((None, "pricing-team", "m.oliveira")),
    }


def _tiers(rng: Random, ring: int) -> list[Event]:
    price = money(rng, ring, ring + 2)
    tiers: list[Event] = []
    for up_to_kg in _TIERS:
        tiers.append({"up_to_kg": up_to_kg, "price": price})
        price += money(rng, 1, 3)
    return tiers
