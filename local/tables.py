"""What the tables say: counts, the newest rows; asked through the views, as a reader would."""

import msgspec
from google.cloud import bigquery as bq

from decoder.streams import DEAD_LETTERS, UNIQUE, Stream
from local.stack import DATASET


class Counts(msgspec.Struct, frozen=True):
    """Rows by stream and dead letters by reason, each record once, and how many rows repeat one."""

    rows: dict[str, int]
    dead_letters: dict[str, int]
    duplicates: int

    @property
    def total(self) -> int:
        """All records that arrived."""
        return sum(self.rows.values()) + sum(self.dead_letters.values())


def count(client: bq.Client, streams: dict[str, Stream]) -> Counts:
    """Count what has arrived."""
    unique, every = {}, 0
    for name, stream in streams.items():
        unique[name] = _count(client, f"{stream.table}{UNIQUE}")
        every += _count(client, stream.table)
    reasons = client.query_and_wait(
        f"SELECT reason, COUNT(*) AS n FROM `{DATASET}.{DEAD_LETTERS}{UNIQUE}` "
        "GROUP BY reason ORDER BY reason"
    )
    dead_letters = {row.reason: row.n for row in reasons}
    every += _count(client, DEAD_LETTERS)
    once = sum(unique.values()) + sum(dead_letters.values())
    return Counts(unique, dead_letters, every - once)


def newest(client: bq.Client, streams: dict[str, Stream], limit: int) -> list[dict[str, object]]:
    """Return the newest rows of all streams."""
    selects = " UNION ALL ".join(
        f"SELECT '{name}' AS stream, stream_timestamp, event_type, event_id, kafka_topic, kafka_partition, "
        f"kafka_offset, event_json FROM `{DATASET}.{stream.table}{UNIQUE}`"
        for name, stream in streams.items()
    )
    rows = client.query_and_wait(f"SELECT * FROM ({selects}) ORDER BY stream_timestamp DESC LIMIT {limit}")
    return [dict(row) for row in rows]


def newest_dead_letters(client: bq.Client, limit: int) -> list[dict[str, object]]:
    """Return the newest dead letters."""
    rows = client.query_and_wait(
        "SELECT dead_lettered_at, reason, message, kafka_topic, kafka_partition, kafka_offset "
        f"FROM `{DATASET}.{DEAD_LETTERS}{UNIQUE}` ORDER BY dead_lettered_at DESC LIMIT {limit}"
    )
    return [dict(row) for row in rows]


def _count(client: bq.Client, table: str) -> int:
    (row,) = client.query_and_wait(f"SELECT COUNT(*) AS n FROM `{DATASET}.{table}`")
    n: int = row.n
    return n
