"""Lines that are appended to a log while it is watched."""

from collections.abc import Sequence
from pathlib import Path


class Tail:
    """Counts lines of a log as they are appended; a log that does not exist yet is empty."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._read = 0

    def count(self, texts: Sequence[bytes]) -> int:
        """Return how many complete lines since the last time contain one of these."""
        try:
            with self._log.open("rb") as file:
                file.seek(self._read)
                new = file.read()
        except FileNotFoundError:
            return 0
        complete = new[: new.rfind(b"\n") + 1]
        self._read += len(complete)
        return sum(any(text in line for text in texts) for line in complete.splitlines())
