"""delivery_events_v6_topic: deliveries under way, each a step further every time it is drawn."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import time, timedelta
from random import Random
from uuid import UUID

from tests.events.delivery_v6_after import proof, rating
from tests.events.sample import Clock, Draft, Event
from tests.events.values import NAMES, PLACES, millis, money, new_uuid, quarters

_TOPIC = "delivery_events_v6_topic"
_UNDER_WAY = 12
_NEXT = {
    "DeliveryCreatedV6": ("DeliveryAssignedV6",),
    "DeliveryAssignedV6": ("DeliveryPickedUpV6", "DeliveryPickedUpV6", "DeliveryOnHoldV6"),
    "DeliveryOnHoldV6": ("DeliveryResumedV6", "DeliveryResumedV6", "DeliveryFailedV6"),
    "DeliveryResumedV6": ("DeliveryPickedUpV6",),
    "DeliveryPickedUpV6": ("DeliveryArrivedV6",),
    "DeliveryArrivedV6": ("DeliveryDeliveredV6", "DeliveryDeliveredV6", "DeliveryFailedV6"),
    "DeliveryFailedV6": ("DeliveryAssignedV6", None),
    "DeliveryDeliveredV6": ("DeliveryProofCapturedV6",),
    "DeliveryProofCapturedV6": ("DeliveryRatedV6", None),
    "DeliveryRatedV6": (None,),
}
_REASONS = {
    "DeliveryOnHoldV6": ("STORE_DELAYED", "VEHICLE_BROKEN", "WEATHER"),
    "DeliveryFailedV6": ("ADDRESS_NOT_FOUND", "CUSTOMER_ABSENT", "REFUSED"),
}
_WITHOUT_ARRIVAL = ("DeliveryCreatedV6", "DeliveryOnHoldV6", "DeliveryFailedV6", "DeliveryDeliveredV6")


@dataclass
class _Delivery:
    """A delivery: what was ordered never changes, the rest changes with its steps."""

    id: UUID
    ordered: Event
    courier: Event | None = None
    attempt: int = 1
    step: str = "DeliveryCreatedV6"


def events(rng: Random, clock: Clock) -> Iterator[Draft]:
    """Make events without end. The first ones are all deliveries that begin."""
    under_way: list[_Delivery] = []
    while True:
        if len(under_way) < _UNDER_WAY:
            delivery = _new_delivery(rng, clock)
            under_way.append(delivery)
        else:
            delivery = rng.choice(under_way)
        event = _event(rng, clock, delivery)
        yield Draft(_TOPIC, f"delivery.events.v6.{delivery.step}", str(delivery.id).encode(), event)
        following = rng.choice(_NEXT[delivery.step])
        if following:
            delivery.step = following
        else:
            under_way.remove(delivery)


def _new_delivery(rng: Random, clock: Clock) -> _Delivery:
    place = rng.choice(PLACES)
    slot = rng.randint(9, 20)
    ordered: Event = {
        "order_number": f"{place.country}-{rng.randint(10_000_000, 99_999_999)}",
        "store_id": f"store-{rng.randint(1, 240):04}",
        "channel": rng.choice(("APP", "APP", "APP", "WEB", "WEB", "PHONE", "MARKETPLACE")),
        "dropoff": {
            "street": f"{rng.choice(place.streets)} {rng.randint(1, 180)}",
            "postcode": rng.choice(place.postcodes),
            "city": place.city,
            "country": place.country,
            "latitude": round(place.latitude + rng.uniform(-0.05, 0.05), 6),
            "longitude": round(place.longitude + rng.uniform(-0.05, 0.05), 6),
            "note": rng.choice(
                (None, None, "2nd floor, bell is broken", "Bitte beim Nachbarn klingeln", "🐕!")
            ),
        },
        "parcels": [
            {
                "barcode": f"3{rng.randrange(10**17):017}",
                "weight_kg": quarters(rng, 1, 18),
                "chilled": rng.choice((True, False, False)),
            }
            for _ in range(rng.choice((1, 1, 2, 3)))
        ],
        "slot_date": clock().date() + timedelta(days=rng.choice((0, 0, 1))),
        "slot_from": time(slot, 0),
        "slot_until": time(slot + 2, 30),
        "distance_m": rng.randint(150, 14_000),
        "fee": money(rng, 0, 9),
        "currency": place.currency,
        "labels": rng.choice(({}, {}, {"campaign": "spring"}, {"route": "N7", "priority": "high"})),
    }
    return _Delivery(new_uuid(rng), ordered)


def _event(rng: Random, clock: Clock, delivery: _Delivery) -> Event:
    now, step = millis(clock()), delivery.step
    if step == "DeliveryAssignedV6":
        delivery.attempt += delivery.courier is not None
        delivery.courier = {
            "id": rng.randint(1_000, 9_999),
            "name": rng.choice(NAMES),
            "vehicle": rng.choice(("BICYCLE", "SCOOTER", "CAR", "VAN")),
        }
    head: Event = {"id": new_uuid(rng), "timestamp": now, "delivery_id": delivery.id}
    if step == "DeliveryRatedV6":
        return head | rating(rng)
    if step == "DeliveryProofCapturedV6":
        return head | proof(rng, now)
    return (
        head
        | delivery.ordered
        | {
            "courier": delivery.courier,
            "arrives_at": None if step in _WITHOUT_ARRIVAL else now + timedelta(minutes=rng.randint(2, 45)),
            "reason": rng.choice(_REASONS.get(step, (None,))),
            "attempt": delivery.attempt,
        }
    )
