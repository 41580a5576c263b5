"""What a block is: each kind is tested in its own way, and a block of none fails the tests."""

import re
from collections.abc import Callable, Mapping

from tests.docs.commands import CHECKS
from tests.docs.output import PRINTED
from tests.docs.pages import Part, blocks, section

# A part of a block → the test that reads the block from its page and runs it.
ELSEWHERE: Mapping[str, str] = {
    "kafka-consumer-groups.sh ": "tests/integration/test_moving.py",
    "sasl.jaas.config=": "tests/integration/test_moving.py",
}
TUTORIAL = ("README.md", "Your own event in five minutes")


def elsewhere(block: Part) -> str | None:
    """Return the file of the test that has this block, None where it is one of these."""
    if block.page == TUTORIAL[0] and block in section(*TUTORIAL):
        return "tests/docs/test_tutorial.py"
    return next((test for part, test in ELSEWHERE.items() if part in block.text), None)


def _is_sql(block: Part) -> bool:
    return block.language == "sql" or (not block.language and is_query(block.text))


def is_query(text: str) -> bool:
    """Return whether the text is a whole query."""
    return re.match(r"\s*(SELECT|WITH)\b.*\bFROM\b", text, re.DOTALL) is not None


def _is_commands(block: Part) -> bool:
    if block.language in {"sh", "bash", "shell", "console"}:
        return True
    return not block.language and block.text.split()[0] in CHECKS


def _is_output(block: Part) -> bool:
    return block.language in {"", "text"} and any(re.search(start, block.text) for start in PRINTED)


def _is_picture(block: Part) -> bool:
    return block.language in {"", "text"} and "──►" in block.text


def _is_properties(block: Part) -> bool:
    lines = block.text.strip().splitlines()
    return block.language in {"", "properties"} and all(re.match(r"[a-z.]+=", line) for line in lines)


# In this order; the first that fits.
KINDS: Mapping[str, Callable[[Part], bool]] = {
    "elsewhere": lambda block: elsewhere(block) is not None,
    "sql": _is_sql,
    "yaml": lambda block: block.language in {"yaml", "yml"},
    "json": lambda block: block.language in {"json", "avsc"},
    "commands": _is_commands,
    "output": _is_output,
    "picture": _is_picture,
    "properties": _is_properties,
}


def kind(block: Part) -> str | None:
    """Return the kind of a block, None where no rule knows it."""
    known = next((name for name, fits in KINDS.items() if fits(block)), None)
    return known or ("output" if block.language in {"", "text"} and printed_by(block) else None)


def printed_by(block: Part) -> Part | None:
    """Return the commands that stand right before a block, which is then what they print."""
    before = [each for each in blocks() if each.page == block.page and each.line < block.line]
    return before[-1] if before and block in blocks() and kind(before[-1]) == "commands" else None
