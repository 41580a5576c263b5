"""The function's log as the source of counts and times."""

import json
from pathlib import Path

from local.latency import InsertLog


def _line(table: str, rows: int, ms: int | None) -> str:
    values: dict[str, object] = {"severity": "INFO", "message": "inserted", "table": table, "rows": rows}
    return json.dumps(values if ms is None else {**values, "kafka_to_bigquery_ms": ms}) + "\n"


def test_lines_are_counted_once_and_only_when_complete(tmp_path: Path) -> None:
    """A line that is half written is read when its end is there, and nothing is read twice."""
    path = tmp_path / "function.log"
    inserts = InsertLog(path)
    inserts.read()  # the function has not started
    first, second = _line("events", 3, 10), _line("events", 4, 20)
    path.write_text(first + second[:20])
    inserts.read()
    assert inserts.rows == {"events": 3}
    path.write_text(first + second)
    inserts.read()
    inserts.read()
    assert inserts.rows == {"events": 7}


def test_an_insert_counts_with_each_of_its_rows(tmp_path: Path) -> None:
    """A hundred rows in one insert weigh as much as a hundred inserts; dead letters have no time."""
    path = tmp_path / "function.log"
    path.write_text(_line("a", 1, 5) + _line("b", 98, 40) + _line("b", 1, 900) + _line("dead", 50, None))
    inserts = InsertLog(path)
    assert inserts.quantile_ms(0.5) is None
    inserts.read()
    assert inserts.rows == {"a": 1, "b": 99, "dead": 50}
    assert [inserts.quantile_ms(q) for q in (0.01, 0.5, 0.99, 1.0)] == [5, 40, 40, 900]


def test_other_lines_are_skipped(tmp_path: Path) -> None:
    """Lines of other libraries, and other lines of the function, are no inserts."""
    path = tmp_path / "function.log"
    other = '{"message":"dead letter: tombstone","said":"inserted"}\n'
    path.write_text('Traceback "inserted"\n{"inserted"\n[1, "inserted"]\n' + other + _line("a", 2, 7))
    inserts = InsertLog(path)
    inserts.read()
    assert inserts.rows == {"a": 2}
