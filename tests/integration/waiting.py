"""Waiting for a condition, with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_EVERY_S = 0.1


def eventually(condition: Callable[[], T], seconds: float = 30.0) -> T:
    """Return the first truthy answer of the condition; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s, last answer: {answer!r}")
        time.sleep(LOOK_EVERY_S)
