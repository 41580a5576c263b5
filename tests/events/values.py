"""Small values that the makers of several streams need."""

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import NamedTuple
from uuid import UUID


class Place(NamedTuple):
    """A city that is delivered to."""

    city: str
    country: str
    currency: str
    latitude: float
    longitude: float
    postcodes: tuple[str, ...]
    streets: tuple[str, ...]


PLACES = (
    Place("Lisboa", "PT", "EUR", 38.72, -9.14, ("1100-148", "1200-109"), ("Rua Áurea", "Rua da Prata")),
    Place("Porto", "PT", "EUR", 41.15, -8.61, ("4000-322", "4050-253"), ("Rua das Flores", "Rua do Almada")),
    Place("Köln", "DE", "EUR", 50.94, 6.96, ("50667", "50672"), ("Große Budengasse", "Hohe Straße")),
    Place("Dublin", "IE", "EUR", 53.35, -6.26, ("D02 X285", "D01 F5P2"), ("Dame Street", "Capel Street")),
    Place("Leeds", "GB", "GBP", 53.80, -1.55, ("LS1 4DY", "LS2 8BH"), ("Park Row", "The Headrow")),
    Place("Bristol", "GB", "GBP", 51.45, -2.59, ("BS1 4RW", "BS8 1QU"), ("Corn Street", "Park Street")),
)

NAMES = (
    "Inês",
    "João",
    "Jürgen",
    "Aoife",
    "Zoë",
    "Amir",
    "Łukasz",
    "Priya",
    "Tom",
    "Mei 美",
    "Θάλεια",
    "Sam",
)

SKUS = (
    "MILK-OAT-1L",
    "WATER-6X1L",
    "RICE-BAS-5K",
    "ICE-VAN-500",
    "SOAP-LAV-300",
    "BATT-AA-8",
    "APPLE-GALA-1K",
)


def new_uuid(rng: Random) -> UUID:
    """Return a random UUID that the seed decides."""
    return UUID(int=rng.getrandbits(128), version=4)


def money(rng: Random, low: int, high: int, places: int = 2) -> Decimal:
    """Return an amount from `low` to `high` with exactly that many decimal places."""
    return Decimal(rng.randint(low * 10**places, high * 10**places)).scaleb(-places)


def quarters(rng: Random, low: int, high: int) -> float:
    """Return a number in steps of 0.25, which a 32-bit float holds without loss."""
    return rng.randint(low * 4, high * 4) / 4


def millis(moment: datetime) -> datetime:
    """Return the moment in whole milliseconds, as timestamp-millis keeps it."""
    return moment - timedelta(microseconds=moment.microsecond % 1000)
