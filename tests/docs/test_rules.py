"""The rules by which the pages are tested find what is wrong."""

import pytest

from tests.docs.kinds import kind
from tests.docs.output import missing
from tests.docs.pages import Part

PRINTED = """Starting Kafka (embedded), Pub/Sub (embedded) …
All five are up after 3.7 s.
stream            produced   rows
delivery_changed     1,055  1,035
physical_stock         344    337

tombstone            ims_events_v2_topic/2:72              the record is a tombstone: it has a key and no v…
Newest dead letters: tombstone 1, undecodable 12
{"produced":2000,"rows":1956,"p50_ms":2784.8}
"""


@pytest.mark.parametrize(
    "shown",
    [
        'All five are up after 12.0 s.\n{"produced":5,"rows":5,"p50_ms":1.5}',
        'stream  produced  rows\nshipping_costs  1  2\n…\n{"produced":…',
        "Newest dead letters: unknown_type 7",
        "trailing_bytes  ims_events_v2_topic/0:1  the record is a tombstone: it has a key and no value",
    ],
)
def test_what_differs_from_run_to_run_may_differ(shown: str) -> None:
    """Numbers, names from the catalogue, widths, and what `…` stands for are not compared."""
    assert missing(shown, PRINTED) == []


@pytest.mark.parametrize(
    ("shown", "wrong"),
    [
        ("All six are up after 3.7 s.", "All six are up after 3.7 s."),
        ('{"produced":2000,"rows":1956}', '{"produced":2000,"rows":1956}'),
        ("stream  rows\nphysical_stock  337", "stream  rows"),
        ("delivery_changed 1 2\nAll five are up after 1 s.", "All five are up after 1 s."),
    ],
)
def test_another_word_field_or_order_is_found(shown: str, wrong: str) -> None:
    """What is not printed, or not in this order, is told."""
    assert wrong in missing(shown, PRINTED)


@pytest.mark.parametrize("text", ["apt install kafka\n", "npm test\n", "an idea\n"])
def test_a_block_that_no_rule_knows_has_no_kind(text: str) -> None:
    """Then test_every_block_is_known fails."""
    assert kind(Part("page.md", 1, text)) is None
