"""Log lines that Cloud Logging reads: one JSON object a line, with severity, message and fields.

No line has a payload: no value, key or header of a record, and no text in which BigQuery repeats one.
https://cloud.google.com/logging/docs/structured-logging
"""

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime

import msgspec

_OURS = "kafka_to_bigquery"
# https://www.w3.org/TR/trace-context/#traceparent-header, https://cloud.google.com/trace/docs/trace-context
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}.*")
_CLOUD_TRACE = re.compile(rb"([0-9a-f]{32})(?:/\d+)?(?:;.*)?")

log = logging.getLogger(_OURS)
# The headers of the request that is answered, as ASGI has them: its trace is in the lines of the answer.
headers: ContextVar[Mapping[bytes, bytes] | None] = ContextVar("headers", default=None)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "severity": record.levelname,
            "message": record.getMessage(),
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            **_trace(headers.get()),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            line.update(fields)
        if record.exc_info:
            # Error Reporting groups by a stack trace in the message.
            line["message"] = f"{line['message']}\n{self.formatException(record.exc_info)}"
        try:
            return msgspec.json.encode(line, enc_hook=repr).decode()
        except UnicodeEncodeError:
            # Half a surrogate pair, which only the escapes of the standard library can hold.
            return json.dumps(line, default=repr)


def _trace(request: Mapping[bytes, bytes] | None) -> dict[str, str]:
    """Return the field by which Cloud Logging shows a line with its request, where that can be known."""
    if request is None:
        return {}
    found = _TRACEPARENT.fullmatch(request.get(b"traceparent", b"")) or _CLOUD_TRACE.fullmatch(
        request.get(b"x-cloud-trace-context", b"")
    )
    project = os.environ.get("GOOGLE_CLOUD_PROJECT") or os.environ.get("BIGQUERY_PROJECT")
    if found is None or not project:
        return {}
    return {"logging.googleapis.com/trace": f"projects/{project}/traces/{found[1].decode()}"}


def fields(**values: object) -> dict[str, dict[str, object]]:
    """Return the `extra` of a log call: fields of the JSON object, beside the message."""
    return {"fields": values}


def stack(error: BaseException) -> str:
    """Return type and stack of an error without its text, which may repeat a value."""
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"


def set_up() -> None:
    """Send the project's own log lines to standard output as JSON, once."""
    if not log.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(_JsonFormatter())
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False
