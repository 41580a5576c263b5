"""How long events take from Kafka to BigQuery's answer, and how many arrived: from the function's log.

The function logs one line for each insert, so this asks BigQuery nothing.
"""

from collections import Counter
from pathlib import Path

import msgspec

from local.tail import Tail


class _Line(msgspec.Struct, frozen=True):
    message: str = ""
    table: str = ""
    rows: int = 0
    kafka_to_bigquery_ms: int | None = None


_decoder = msgspec.json.Decoder(_Line)


class InsertLog:
    """What the function's log says of inserts; `read` takes what was added since the last time.

    Attributes:
        rows: Rows that BigQuery took, by table, repeats included.
        inserts: Requests that they came in.
    """

    def __init__(self, path: Path) -> None:
        self.rows: Counter[str] = Counter()
        self.inserts = 0
        self._log = Tail(path)
        self._rows_by_ms: Counter[int] = Counter()

    def read(self) -> None:
        """Count the lines that are complete by now; a log that does not exist yet is empty."""
        for line in self._log.read():
            if b'"inserted"' in line:
                self._count(line)

    def quantile_ms(self, q: float) -> float | None:
        """Return milliseconds from Kafka's timestamp to BigQuery's answer, None before the first row.

        An insert's line has the time of its oldest row, which is counted for all of its rows: an upper bound.
        Dead letters are not in it.
        """
        missing = q * self._rows_by_ms.total()
        for ms, rows in sorted(self._rows_by_ms.items()):
            missing -= rows
            if missing <= 0:
                return float(ms)
        return None

    def _count(self, text: bytes) -> None:
        try:
            line = _decoder.decode(text)
        except msgspec.DecodeError:
            return  # a line of another library, or two lines in one
        if line.message != "inserted":
            return
        self.rows[line.table] += line.rows
        self.inserts += 1
        if line.kafka_to_bigquery_ms is not None:
            self._rows_by_ms[line.kafka_to_bigquery_ms] += line.rows
