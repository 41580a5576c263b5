"""Made-up events for every stream: what a delivery company's services would send, some of it spoiled."""

from local.events.sample import SampleEvent
from local.events.spoil import bad_events
from local.events.stream import sample_events

__all__ = ["SampleEvent", "bad_events", "sample_events"]
