"""Log lines as Cloud Logging reads them."""

import json
import logging
import sys
from datetime import datetime, timedelta

import pytest

import logs

# Before any test runs: pytest attaches handlers of its own to loggers that do not propagate.
logs.set_up()
_HANDLER = logs.log.handlers[0]


def _line(message: str, *arguments: object, level: int = logging.INFO, **values: object) -> dict[str, object]:
    """Return what the project's handler writes for a log call, which must be one line of JSON."""
    record = logs.log.makeRecord(
        "n", level, "f.py", 1, message, arguments, None, extra=logs.fields(**values) if values else None
    )
    return _parsed(record)


def _parsed(record: logging.LogRecord) -> dict[str, object]:
    text = _HANDLER.format(record)
    assert "\n" not in text
    line: dict[str, object] = json.loads(text)
    return line


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
def test_line_has_severity_message_and_time(level: str) -> None:
    """A line is one JSON object with the names that Cloud Logging looks for."""
    line = _line("%s of %d", "one", 2, level=logging.getLevelNamesMapping()[level])
    assert line.keys() == {"severity", "message", "time"}
    assert (line["severity"], line["message"]) == (level, "one of 2")
    assert datetime.fromisoformat(str(line["time"])).utcoffset() == timedelta(0)


def test_fields_stand_beside_the_message() -> None:
    """The fields of a log call become members of the object, with their types."""
    line = _line("m", table="t", rows=3, lag=None, by={"a": [1]})
    assert line["message"] == "m"
    assert {n: line[n] for n in ("table", "rows", "lag", "by")} == {
        "table": "t",
        "rows": 3,
        "lag": None,
        "by": {"a": [1]},
    }


def test_newlines_stay_within_the_line() -> None:
    """A message of several lines is still one line of output."""
    assert _line("a\nb\r\n", field="c\nd")["message"] == "a\nb\r\n"


def test_exception_is_in_the_message() -> None:
    """A stack trace follows the message, where Error Reporting groups by it."""
    try:
        raise ZeroDivisionError("by nothing")  # noqa: TRY301 - to have a stack trace
    except ZeroDivisionError:
        record = logs.log.makeRecord("n", logging.ERROR, "f.py", 1, "failed", (), sys.exc_info())
    message = str(_parsed(record)["message"])
    assert message.startswith("failed\nTraceback (most recent call last)")
    assert message.endswith("ZeroDivisionError: by nothing")


class _Thing:
    def __repr__(self) -> str:
        return "<thing>"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (_Thing(), "<thing>"),
        (ValueError("v"), "ValueError('v')"),
        (b"\x00", "AA=="),
        (float("nan"), None),
        (2**70, 2**70),
        ([_Thing()], ["<thing>"]),
        ((1, 2), [1, 2]),
    ],
    ids=str,
)
def test_value_that_is_not_json_is_written_all_the_same(value: object, written: object) -> None:
    """A log line is never lost for a value that JSON does not know."""
    assert _line("m", value=value)["value"] == written


@pytest.mark.parametrize("place", ["message", "field"])
def test_text_that_is_not_unicode_is_written_all_the_same(place: str) -> None:
    """A file name that is not UTF-8 has lone surrogates in it: the line is not lost for them."""
    if place == "message":
        assert "name" in str(_line("name %s", "\udcff")["message"])
    else:
        assert _line("m", file="\udcff")["message"] == "m"


def test_set_up_twice_writes_once() -> None:
    """Setting up again adds no second handler, and nothing goes to the root logger."""
    before = list(logs.log.handlers)
    logs.set_up()
    assert logs.log.handlers == before
    assert logs.log.level == logging.INFO
    assert not logs.log.propagate


@pytest.mark.parametrize(
    "headers",
    [
        {b"traceparent": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
        {b"x-cloud-trace-context": b"4bf92f3577b34da6a3ce929d0e0e4736/67667974448284343;o=1"},
        {b"x-cloud-trace-context": b"4bf92f3577b34da6a3ce929d0e0e4736"},
    ],
)
def test_line_has_the_trace_of_its_request(
    headers: dict[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cloud Logging shows a line with its request by the trace that either header gives, with the project."""
    monkeypatch.setenv("BIGQUERY_PROJECT", "p")
    token = logs.headers.set(headers)
    try:
        trace = "projects/p/traces/4bf92f3577b34da6a3ce929d0e0e4736"
        assert _line("m")["logging.googleapis.com/trace"] == trace
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "other")
        assert str(_line("m")["logging.googleapis.com/trace"]).startswith("projects/other/")
    finally:
        logs.headers.reset(token)


@pytest.mark.parametrize(
    "headers",
    [{}, {b"traceparent": b"no"}, {b"traceparent": b"00-XYZ-1-1", b"x-cloud-trace-context": b"a/b"}],
)
def test_line_without_a_known_trace_has_none(
    headers: dict[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no trace is not repeated, and costs no line."""
    monkeypatch.setenv("BIGQUERY_PROJECT", "p")
    token = logs.headers.set(headers)
    try:
        assert _line("m").keys() == {"severity", "message", "time"}
    finally:
        logs.headers.reset(token)


def test_stack_has_no_text_of_the_error() -> None:
    """The text of an error may repeat a value of a record: type and place are enough."""
    try:
        raise ValueError("secret")  # noqa: TRY301 - to have a stack trace
    except ValueError as error:
        stack = logs.stack(error)
    assert stack.startswith("ValueError\n")
    assert "test_stack_has_no_text_of_the_error" in stack
