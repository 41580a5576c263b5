"""Made-up events for the frozen catalog's streams: what a delivery company's services would send.

Some of it is spoiled. `python -m tests.events` writes examples of them beside the repository's schemas.
"""

from tests.events.encode import frozen_catalog
from tests.events.sample import SampleEvent
from tests.events.spoil import bad_events
from tests.events.stream import sample_events

__all__ = ["SampleEvent", "bad_events", "frozen_catalog", "sample_events"]
