"""The events of all streams, mixed."""

from collections.abc import Iterator
from random import Random

from tests.events import (
    delivery_v4,
    delivery_v6,
    ims_updates,
    physical_stock,
    shipping_costs,
    shipping_prices,
)
from tests.events.encode import encode, encode_either
from tests.events.sample import Clock, SampleEvent
from tests.events.spoil import spoiled

# How often each comes, compared with the others.
_SHARES = {
    delivery_v6.events: 10,
    delivery_v4.events: 2,
    physical_stock.events: 4,
    ims_updates.events: 3,
    shipping_costs.events: 2,
    shipping_prices.events: 2,
}


def sample_events(seed: int, clock: Clock, spoil_ratio: float = 0.02) -> Iterator[SampleEvent]:
    """Make records without end: the seed decides all of them except for what the clock says.

    The clock returns UTC. About `spoil_ratio` of the records are spoiled, see `SampleEvent.spoiled`.
    """
    rng = Random(seed)
    makers = [events(rng, clock) for events in _SHARES]
    while True:
        (maker,) = rng.choices(makers, tuple(_SHARES.values()))
        draft = next(maker)
        if rng.random() < spoil_ratio:
            yield spoiled(encode(draft, rng), rng)
        else:
            yield encode_either(draft, rng)
