"""Log lines that Cloud Logging reads: one JSON object a line, with severity, message and fields.

https://cloud.google.com/logging/docs/structured-logging
"""

import json
import logging
import sys
from datetime import UTC, datetime

import msgspec

_OURS = "kafka_to_bigquery"

log = logging.getLogger(_OURS)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "severity": record.levelname,
            "message": record.getMessage(),
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
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


def fields(**values: object) -> dict[str, dict[str, object]]:
    """Return the `extra` of a log call: fields of the JSON object, beside the message."""
    return {"fields": values}


def set_up() -> None:
    """Send the project's own log lines to standard output as JSON, once."""
    if not log.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(_JsonFormatter())
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False
