"""What the counts of a look mean."""

import msgspec
import pytest

from local.look import Look
from local.tables import Repeats

LOOK = Look(
    at=0.0,
    produced={"a": 100},
    forwarded=90,
    rows={"a": 80},
    dead_letters=5,
    repeats=Repeats(0, 0),
    counted=0,
    retries=0,
    unacknowledged=0,
    newest_row=None,
    newest_dead_letter=None,
)


@pytest.mark.parametrize(
    ("records", "counted", "arrived"),
    [(0, 0, 85), (60, 70, 75), (85, 80, 85), (70, 85, 70)],
    ids=["not counted yet", "ten repeats", "inserted while they were counted", "fifteen repeats"],
)
def test_what_has_arrived_is_counted_once(records: int, counted: int, arrived: int) -> None:
    """Repeats do not count, and neither does twice what was inserted between the log and the tables."""
    look = msgspec.structs.replace(LOOK, repeats=Repeats(records, 0), counted=counted)
    assert (look.arrived, look.in_flight, look.lag) == (arrived, 90 - arrived, 10)
