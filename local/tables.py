"""What the tables contain: counts, repeats, the newest rows."""

from collections.abc import Iterable, Mapping

import msgspec
import requests
from google.api_core.exceptions import GoogleAPICallError, NotFound, RetryError
from google.api_core.retry import Retry
from google.cloud import bigquery as bq

from decoder.streams import DEAD_LETTERS, UNIQUE, Stream
from local.state import DATASET, ENV

# A record is identified by these, and a row by its record.
IDENTITY = "kafka_topic, kafka_partition, kafka_offset, kafka_timestamp"
# A look waits so long for the emulator, not for the minutes of retries that the client has in mind.
LOOK_TIMEOUT_S = 10.0
# The views look at every row, at the end once.
COUNT_TIMEOUT_S = 45.0
NO_ANSWER = (GoogleAPICallError, RetryError, requests.RequestException, TimeoutError)
ROW = ("event_type", "kafka_topic", "kafka_partition", "kafka_offset", "event_json")
DEAD_LETTER = ("reason", "kafka_topic", "kafka_partition", "kafka_offset", "message")
_ONCE = Retry(predicate=lambda _: False)


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
    reasons = _look(
        client,
        f"SELECT reason, COUNT(*) AS n FROM `{DATASET}.{DEAD_LETTERS}{UNIQUE}` "
        "GROUP BY reason ORDER BY reason",
        COUNT_TIMEOUT_S,
    )
    dead_letters = {str(row["reason"]): _int(row["n"]) for row in reasons}
    every += _count(client, DEAD_LETTERS)
    once = sum(unique.values()) + sum(dead_letters.values())
    return Counts(unique, dead_letters, every - once)


class Repeats(msgspec.Struct, frozen=True):
    """How many records of this Kafka are in the tables, each once, and how many `rows` repeat one of them."""

    records: int
    rows: int


def count_repeats(client: bq.Client, tables: Iterable[str]) -> Repeats:
    """Count records and repeats: one query that reads the identity of every row."""
    selects = " UNION ALL ".join(
        f"SELECT '{table}' AS name, env, {IDENTITY} FROM `{DATASET}.{table}`" for table in tables
    )
    row = _only(
        client,
        "SELECT COUNT(*) AS records, SUM(n - places) AS repeats "
        "FROM (SELECT COUNT(*) AS n, COUNT(DISTINCT name) AS places "
        f"FROM ({selects}) WHERE env = '{ENV}' GROUP BY {IDENTITY})",
    )
    return Repeats(_int(row["records"]), _int(row["repeats"] or 0))


def newest(
    client: bq.Client, tables: Mapping[str, str], limit: int, since: int = 0
) -> list[dict[str, object]]:
    """Return the newest rows of the tables or views, given with the names of their streams.

    `since` is a stream_timestamp: only what is newer is read, which is little.
    """
    selects = " UNION ALL ".join(
        f"(SELECT '{table}' AS name, stream_timestamp, {', '.join(ROW)} FROM `{DATASET}.{table}` "
        f"WHERE stream_timestamp > {since} ORDER BY stream_timestamp DESC LIMIT {limit})"
        for table in tables
    )
    rows = _look(client, f"SELECT * FROM ({selects}) ORDER BY stream_timestamp DESC LIMIT {limit}")
    return [{**row, "stream": tables[str(row["name"])]} for row in rows]


def newest_dead_letters(client: bq.Client, limit: int, table: str = DEAD_LETTERS) -> list[dict[str, object]]:
    """Return the newest dead letters of the table, or of its view."""
    return _look(
        client,
        f"SELECT dead_lettered_at, {', '.join(DEAD_LETTER)} "
        f"FROM `{DATASET}.{table}` ORDER BY dead_lettered_at DESC LIMIT {limit}",
    )


def _only(client: bq.Client, sql: str, seconds: float = LOOK_TIMEOUT_S) -> dict[str, object]:
    rows = _look(client, sql, seconds)
    if not rows:
        # query_and_wait's way to say that the emulator failed: somebody dropped a table, for instance.
        raise NotFound(f"no answer to {sql}")  # type: ignore[no-untyped-call] # google-api-core types only a part
    return rows[0]


def _look(client: bq.Client, sql: str, seconds: float = LOOK_TIMEOUT_S) -> list[dict[str, object]]:
    rows = client.query_and_wait(sql, api_timeout=seconds, wait_timeout=seconds, retry=_ONCE, job_retry=_ONCE)
    return [dict(row) for row in rows]


def _int(value: object) -> int:
    return int(str(value))


def _count(client: bq.Client, table: str) -> int:
    row = _only(client, f"SELECT COUNT(*) AS n FROM `{DATASET}.{table}`", COUNT_TIMEOUT_S)
    return _int(row["n"])
