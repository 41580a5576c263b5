"""The records that the local stack sends: samples of the catalog's own types, some of them spoiled."""

from collections.abc import Callable, Iterator
from datetime import datetime
from random import Random

from decoder.catalog import Catalog
from decoder.samples import sample_events
from local.spoil import LocalRecord, good, spoiled

SPOIL_RATIO = 0.02


def sample_records(
    catalog: Catalog, seed: int, clock: Callable[[], datetime], spoil_ratio: float = SPOIL_RATIO
) -> Iterator[LocalRecord]:
    """Make records without end; the seed determines all but the values of the clock, which is in UTC.

    Raises:
        SampleError: see decoder.samples.sample_events; raised here rather than in the producer's thread.
    """
    trial = sample_events(catalog, seed, clock)
    for _ in catalog.types:
        next(trial)

    def records() -> Iterator[LocalRecord]:
        rng = Random(seed)
        for sample in sample_events(catalog, seed, clock):
            yield spoiled(sample, catalog, rng) if rng.random() < spoil_ratio else good(sample)

    return records()
