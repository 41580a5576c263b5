"""Lines that are appended to a log while it is watched."""

from pathlib import Path


class Tail:
    """Reads a log as it grows; a log that does not exist yet is empty."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._offset = 0

    def read(self) -> list[bytes]:
        """Return the lines that were completed since the last time."""
        try:
            with self._log.open("rb") as file:
                file.seek(self._offset)
                added = file.read()
        except FileNotFoundError:
            return []
        complete = added[: added.rfind(b"\n") + 1]
        self._offset += len(complete)
        return complete.splitlines()
