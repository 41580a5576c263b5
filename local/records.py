"""The records that the local stack sends: samples of the catalog's own types, some of them spoiled."""

from collections.abc import Callable, Iterator
from datetime import datetime
from random import Random

from decoder.catalog import Catalog
from decoder.encode import framing_problem
from decoder.samples import sample_events, samples_of_each
from local.spoil import LocalRecord, good, spoiled

SPOIL_RATIO = 0.02


def sample_records(
    catalog: Catalog, seed: int, clock: Callable[[], datetime], spoil_ratio: float = SPOIL_RATIO
) -> Iterator[LocalRecord]:
    """Make records without end; the seed determines all but the values of the clock, which is in UTC.

    Raises:
        SampleError: a type's schema or one of its examples makes no sample; raised here, not by the iterator.
    """
    for event_type in catalog.types.values():
        if framing_problem(event_type) is None:
            list(samples_of_each(event_type, Random(seed), clock, 1))

    def records() -> Iterator[LocalRecord]:
        rng = Random(seed)
        for sample in sample_events(catalog, seed, clock):
            yield spoiled(sample, catalog, rng) if rng.random() < spoil_ratio else good(sample)

    return records()
