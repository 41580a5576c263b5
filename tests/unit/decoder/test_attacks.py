"""The attack corpus: each case has its reason, and its message says where and why."""

from pathlib import Path

import pytest

from tests.attacks.__main__ import ATTACKS, got
from tests.attacks.attack import Attack


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack(attack: Attack) -> None:
    """A value that was made to harm is a dead letter of the expected reason, or an exact event."""
    outcome, message = got(attack)
    assert (outcome, attack.said in message) == (attack.expected, True), message


def test_names_are_different() -> None:
    """Each case of the table can be told from the others."""
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)


def test_table_of_the_corpus_is_in_the_documents() -> None:
    """docs/security.md shows each case with its size and reason, as `python -m tests.attacks` prints them."""
    text = (Path(__file__).parents[3] / "docs" / "security.md").read_text()
    lines = [f"| {a.name} | {len(a.value):,} | {a.expected} | {a.expected} |" for a in ATTACKS]
    assert [line for line in lines if line not in text] == []
