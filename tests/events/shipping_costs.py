"""carrier_account_events_v1_topic: accounts with carriers, what they charge, and their invoices."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import NamedTuple

from tests.events.sample import Clock, Draft, Event
from tests.events.values import millis, money, new_uuid, quarters

_TOPIC = "carrier_account_events_v1_topic"
_CENT = Decimal("0.01")


class _Account(NamedTuple):
    number: str
    carrier: str
    currency: str
    vat: Decimal
    services: tuple[str, ...]
    # Two carriers send tracking numbers as numbers.
    plain_numbers: bool


_ACCOUNTS = (
    _Account(
        "NP-778120", "NORTHPOST", "GBP", Decimal("0.20"), ("24h", "48h", "returns"), plain_numbers=False
    ),
    _Account("SV-0042", "SWIFTVAN", "GBP", Decimal("0.20"), ("same-day", "saturday"), plain_numbers=True),
    _Account("PL-DE-9913", "PARCELINE", "EUR", Decimal("0.19"), ("paket", "päckchen"), plain_numbers=False),
    _Account("PL-PT-2207", "PARCELINE", "EUR", Decimal(0), ("encomenda",), plain_numbers=False),
    _Account("BB-LIS-1", "BIKEBOX", "EUR", Decimal("0.23"), ("bike",), plain_numbers=True),
)


def events(rng: Random, clock: Clock) -> Iterator[Draft]:
    """Make events without end: mostly charges, sometimes an invoice, seldom a new account."""
    makers = {
        "ShippingCostChargedV1": _charged,
        "CarrierInvoiceReceivedV1": _invoice,
        "CarrierAccountOpenedV1": _opened,
    }
    while True:
        account = rng.choice(_ACCOUNTS)
        (name,) = rng.choices(tuple(makers), (8, 2, 1))
        head: Event = {"id": new_uuid(rng), "timestamp": millis(clock()), "account": account.number}
        event = head | makers[name](rng, clock, account)
        yield Draft(_TOPIC, f"carrier.accounts.v1.{name}", account.number.encode(), event)


def _charged(rng: Random, _clock: Clock, account: _Account) -> Event:
    number = rng.randrange(10**11, 10**12)
    kinds = rng.sample(("FUEL", "REMOTE_AREA", "OVERSIZE", "SATURDAY"), rng.choice((0, 0, 1, 2)))
    return {
        "carrier": account.carrier,
        "tracking": number if account.plain_numbers else f"{account.number[:2]}{number}",
        "base": money(rng, 3, 28, places=4),
        "surcharges": [{"kind": kind, "amount": money(rng, 0, 4, places=4)} for kind in kinds],
        "currency": account.currency,
        "billed_weight_kg": quarters(rng, 1, 31),
    }


def _invoice(rng: Random, clock: Clock, account: _Account) -> Event:
    until = clock().date() - timedelta(days=rng.randint(1, 5))
    lines = [_line(rng, service) for service in account.services]
    net = sum((amount for _, amount in lines), Decimal(0))
    return {
        "invoice_number": f"{account.number}/{until:%Y%m%d}",
        "period_from": until - timedelta(days=6),
        "period_until": until,
        "lines": [line for line, _ in lines],
        "net": net,
        "tax": (net * account.vat).quantize(_CENT),
        "currency": account.currency,
        "pdf_md5": rng.randbytes(16),
        "disputed": rng.choice((True, *[False] * 7)),
    }


def _line(rng: Random, service: str) -> tuple[Event, Decimal]:
    shipments = rng.randint(0, 2_500)
    amount = (shipments * money(rng, 4, 12)).quantize(_CENT)
    return {"service": service, "shipments": shipments, "amount": amount}, amount


def _opened(rng: Random, clock: Clock, account: _Account) -> Event:
    starts_on = clock().date() + timedelta(days=rng.randint(1, 30))
    return {
        "carrier": account.carrier,
        "contract": {
            "starts_on": starts_on,
            "ends_on": rng.choice((None, starts_on + timedelta(days=730))),
            "discount": rng.choice((0.0, 0.05, 0.125, 0.3)),
        },
        "services": {service: rng.choice((True, True, False)) for service in account.services},
    }
