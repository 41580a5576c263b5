"""A short fuzz: what `make fuzz` does for minutes, on a few schemas that are always the same."""

from tests.fuzz.compare import REFUSED_BY_AVRO, REFUSED_BY_US
from tests.fuzz.worker import run


def test_any_bytes_are_an_event_or_rejected_and_avro_agrees() -> None:
    """No value raises anything but RejectedError, and none is read otherwise than by the avro package."""
    summary = run(1, seconds=20, schemas=60)
    assert summary.executions > 1_000
    assert (summary.errors, summary.disagreements) == ([], [])


def test_accepted_disagreements_have_their_reason() -> None:
    """Each disagreement that is accepted says why it is right."""
    assert all({**REFUSED_BY_US, **REFUSED_BY_AVRO}.values())
