"""The settings of the sink, from environment variables; docs/settings.md lists them."""

from collections.abc import Mapping

from sink.batch import MAX_BYTES, MAX_ROWS, MAX_WAITING_BYTES, Limits

# BigQuery's own bounds of a request. https://cloud.google.com/bigquery/quotas#streaming_inserts
_MOST_ROWS = 50_000
_MOST_BYTES = 10_000_000
# The room must hold at least one group; the upper bound is the largest memory that a function can have.
_MOST_WAITING_BYTES = 32 * 10**9


def load_limits(environment: Mapping[str, str]) -> tuple[Limits, int]:
    """Return what an insert holds at most, and the bytes that may wait at once.

    Raises:
        ValueError: a setting is not a whole number of its range: the text names it.
    """
    limits = Limits(
        max_rows=_integer(environment, "INSERT_MAX_ROWS", MAX_ROWS, 1, _MOST_ROWS),
        max_bytes=_integer(environment, "INSERT_MAX_BYTES", MAX_BYTES, 1_000, _MOST_BYTES),
    )
    waiting = _integer(environment, "MAX_WAITING_BYTES", MAX_WAITING_BYTES, _MOST_BYTES, _MOST_WAITING_BYTES)
    return limits, waiting


def _integer(environment: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environment.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
        raise ValueError(f"{name} is {text[:40]!r}, not a whole number from {low} to {high}")
    return int(text)
