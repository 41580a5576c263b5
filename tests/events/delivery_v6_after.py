"""What follows a delivery that was delivered: the proof, and perhaps the customer's rating."""

from datetime import datetime, timedelta
from random import Random

from tests.events.sample import Event
from tests.events.values import NAMES, money

_BAD_STARS = 2
_COMMENTS = (None, None, "Perfect, thank you!", "Trop tard 😡", "Left at the wrong door\nagain.", "")


def proof(rng: Random, now: datetime) -> Event:
    """Return the fields of DeliveryProofCapturedV6 of its own: people sign, lockers are photographed."""
    person = rng.choice((True, True, False))
    return {
        "courier_id": rng.randint(1_000, 9_999),
        "handed_to": _person(rng) if person else _locker(rng),
        "signature": b"\x89PNG\r\n\x1a\n" + rng.randbytes(rng.randint(40, 200)) if person else None,
        "photos": [] if person else [_photo(rng, now) for _ in range(rng.randint(1, 3))],
        "age_checked": person and rng.choice((True, False, False)),
    }


def rating(rng: Random) -> Event:
    """Return the fields of DeliveryRatedV6 of its own."""
    stars = rng.choice((1, 2, 3, 4, 4, 5, 5, 5, 5))
    bad = stars <= _BAD_STARS
    tags = ("LATE", "DAMAGED", "ITEM_MISSING") if bad else ("ON_TIME", "FRIENDLY")
    return {
        "stars": stars,
        "asked_by": rng.choice(("PUSH", "EMAIL", "NOBODY")),
        "tags": rng.sample(tags, rng.randint(0, 2)),
        "comment": rng.choice(_COMMENTS),
        "tip": None if bad else rng.choice((None, money(rng, 1, 5))),
    }


def _person(rng: Random) -> Event:
    return {
        "name": rng.choice(NAMES),
        "relation": rng.choice(("CUSTOMER", "CUSTOMER", "HOUSEHOLD", "NEIGHBOUR", "RECEPTION")),
    }


def _locker(rng: Random) -> Event:
    return {"location": f"LOCK-{rng.randint(1, 90):03}", "door": rng.randint(1, 48), "pin": rng.randbytes(32)}


def _photo(rng: Random, now: datetime) -> Event:
    return {
        "url": f"https://photos.example.com/{rng.getrandbits(64):016x}.jpg",
        "taken_at": now - timedelta(seconds=rng.randint(1, 60)),
        "size_bytes": rng.randint(80_000, 3_000_000),
    }
