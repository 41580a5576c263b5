"""BigQuery's strictness, in front of the emulator that lacks it.

`insertAll` here refuses what BigQuery refuses: a field the table does not have, null in a REQUIRED column,
a value the column cannot hold, a date that no partition takes by streaming, an insertId over 128 characters;
it drops repeats of an insertId; and it refuses a whole request that has no row, or one over 10 MB. It can be
told to fail. All else is passed on.
https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/insertAll
https://cloud.google.com/bigquery/docs/streaming-data-into-bigquery#column-partitioning
"""

import re
import threading
from base64 import b64decode
from binascii import Error as Base64Error
from collections import deque
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast
from urllib.request import Request, urlopen

import msgspec

from decoder.streams import ROOT

MAX_ROW_BYTES = 10_000_000
MAX_INSERT_ID = 128
# What may be streamed into a table that a DATE partitions.
OLDEST, NEWEST = timedelta(days=-3_653), timedelta(days=366)
_INSERT_ALL = re.compile(r"/bigquery/v2/projects/[^/]+/datasets/[^/]+/tables/(\w+)/insertAll")

Json = dict[str, object]


class StrictBigQuery:
    """An HTTP server on a free port; `url` is for BIGQUERY_EMULATOR_HOST."""

    def __init__(self) -> None:
        self.emulator = ""  # where it passes rows on to
        self._seen: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self.requests: list[tuple[str, int]] = []  # table and number of rows
        self.failures: deque[int] = deque()  # statuses to answer the next inserts with
        self.absent_columns: set[str] = set()  # as if the tables did not have them
        self.added_columns: list[Json] = []  # as if all tables had them too
        self.required_columns: set[str] = set()  # as if the tables had them REQUIRED
        self.refused_event_ids: set[str] = set()
        self.remembers = True  # insertIds; BigQuery does for a minute or so, at its best
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = outer.answer(self.path, body)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()

    def forget(self, insert_id: str) -> None:
        """Forget an insertId, as BigQuery does after a minute or so."""
        with self._lock:
            self._seen = {seen for seen in self._seen if seen[1] != insert_id}

    def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Return status and body of an insertAll."""
        match = _INSERT_ALL.match(path)
        assert match, path
        table = match[1]
        with self._lock:
            if self.failures:
                return self.failures.popleft(), b'{"error": {"message": "told to fail"}}'
            request = msgspec.json.decode(body, type=dict[str, object])
            rows = cast("list[Json]", request["rows"])
            self.requests.append((table, len(rows)))
            if not rows:
                return 400, b'{"error": {"message": "No rows present in the request."}}'
            if any(len(msgspec.json.encode(row)) > MAX_ROW_BYTES for row in rows):
                return 413, b'{"error": {"message": "Request size is too large"}}'
            errors = {index: error for index, row in enumerate(rows) if (error := self._error(table, row))}
            if errors and not request.get("skipInvalidRows"):
                errors = {index: errors.get(index, "stopped") for index in range(len(rows))}
            good = []
            for index, row in enumerate(rows):
                repeated = self.remembers and (table, str(row["insertId"])) in self._seen
                if index not in errors and not repeated:
                    good.append(row)
        if good:
            forwarded = Request(  # noqa: S310 - the emulator's address
                self.emulator + path,
                msgspec.json.encode({"rows": good}),
                {"Content-Type": "application/json"},
            )
            with urlopen(forwarded, timeout=30) as response:  # noqa: S310 - as above
                assert response.status == 200
        with self._lock:  # not before: a row that did not get there must not be taken for a repeat
            self._seen |= {(table, str(row["insertId"])) for row in good}
        insert_errors = [
            {"index": i, "errors": [{"reason": "stopped" if e == "stopped" else "invalid", "message": e}]}
            for i, e in errors.items()
        ]
        return 200, msgspec.json.encode({"insertErrors": insert_errors})

    def _error(self, table: str, row: Json) -> str | None:
        if not 0 < len(str(row["insertId"])) <= MAX_INSERT_ID:
            return "insertId is too long"
        if cast("Json", row["json"]).get("event_id") in self.refused_event_ids:
            return "told to refuse this row"
        kind = "dead_letter" if table == "dead_letters" else "event"
        columns = msgspec.json.decode(
            (ROOT / "sink" / "tables" / f"{kind}.json").read_bytes(), type=list[Json]
        )
        columns = [
            {**column, "mode": "REQUIRED"} if column["name"] in self.required_columns else column
            for column in columns
            if column["name"] not in self.absent_columns
        ] + self.added_columns
        return _error_in(columns, cast("Json", row["json"]))


def _error_in(columns: list[Json], cells: Json) -> str | None:
    unknown = cells.keys() - {column["name"] for column in columns}
    if unknown:
        return f"no such field: {min(unknown)}."
    for column in columns:
        value = cells.get(str(column["name"]))
        error = _error_of(column, value)
        if error:
            return f"{column['name']}: {error}"
    return None


def _error_of(column: Json, value: object) -> str | None:
    if column["mode"] == "REPEATED":
        if not isinstance(value, list):
            return "Array specified for non-repeated field or missing"
        fields = cast("list[Json]", column["fields"])
        return next((e for cell in value if (e := _error_in(fields, cell))), None)
    if value is None:
        return "Missing required field" if column["mode"] == "REQUIRED" else None
    try:
        _READERS[str(column["type"])](value)
    except (ValueError, TypeError, Base64Error) as error:
        return f"Cannot convert value to {column['type']}: {error}"
    return None


def _string(value: object) -> None:
    if not isinstance(value, str):
        raise TypeError("not a string")


def _boolean(value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError("not a boolean")


def _integer(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | str) or not -(2**63) <= int(value) < 2**63:
        raise ValueError("not an int64")


def _timestamp(value: object) -> None:
    if datetime.fromisoformat(str(value)).tzinfo is None:
        raise ValueError("no time zone")


def _date(value: object) -> None:
    # Every DATE here is a partition.
    if not OLDEST <= date.fromisoformat(str(value)) - datetime.now(UTC).date() <= NEWEST:
        raise ValueError("outside the allowed bounds of partitions")


def _bytes(value: object) -> None:
    b64decode(str(value), validate=True)


_READERS = {
    "STRING": _string,
    "BOOLEAN": _boolean,
    "INTEGER": _integer,
    "TIMESTAMP": _timestamp,
    "DATE": _date,
    "BYTES": _bytes,
}
