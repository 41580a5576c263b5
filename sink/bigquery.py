"""The insert: one tabledata.insertAll of rows that are JSON text already, and what its answers mean.

The client library is left out on purpose (docs/adr/0002-insert-without-the-client-library.md).
https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/insertAll
"""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from logs import fields, log
from rejection import Reason, RejectedError, TransientError
from sink.batch import Outcome, Row
from sink.errors import Answer, Verdict, classify, classify_row

# Of one request, and of an insert with all the requests that it is halved into. The function's own timeout is
# three times that, and the ack deadline longer.
REQUEST_S = 15.0
INSERT_S = 30.0
MAX_SAID_CHARACTERS = 500


class Response(msgspec.Struct, frozen=True):
    """What is read of an HTTP response."""

    status: int
    content: bytes


class Post(Protocol):
    """Sends a body to an address, and returns the answer within so many seconds.

    Raises:
        TimeoutError: no answer, or not the whole of it, in this time.
        OSError: the connection broke or could not be made.
    """

    def __call__(self, url: str, body: bytes, seconds: float) -> Response:
        """Send it."""


class _Row(msgspec.Struct, frozen=True, rename="camel"):
    insert_id: str
    json: object


class _Error(msgspec.Struct, frozen=True):
    reason: str = ""
    location: str = ""
    message: str = ""


class _RowErrors(msgspec.Struct, frozen=True):
    index: int
    errors: list[_Error] = []


class _Inserted(msgspec.Struct, frozen=True, rename="camel"):
    insert_errors: list[_RowErrors] = []


class _Errors(msgspec.Struct, frozen=True):
    errors: list[_Error] = []
    message: str = ""


class _Refused(msgspec.Struct, frozen=True):
    error: _Errors


_encode = msgspec.json.Encoder().encode
_inserted = msgspec.json.Decoder(_Inserted)
_refused = msgspec.json.Decoder(_Refused)


def make_row(insert_id: str, columns: object, kafka_timestamp: int | None = None) -> Row:
    """Return the columns, a Struct or JSON as msgspec.Raw, with the id by which repeats are dropped."""
    return Row(_encode(_Row(insert_id, columns)), kafka_timestamp)


class Table:
    """One table to insert into, by its full name."""

    def __init__(
        self,
        post: Post,
        endpoint: str,
        name: str,
        *,
        insert_s: float = INSERT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._post_once = post
        self.name = name
        project, dataset, table = name.split(".")
        path = f"/bigquery/v2/projects/{project}/datasets/{dataset}/tables/{table}/insertAll"
        self._url = f"{endpoint}{path}?prettyPrint=false"
        self.insert_s = insert_s
        self._clock = clock

    def insert(self, rows: Sequence[Row]) -> list[Outcome]:
        """Insert the rows; for each, None when it is in the table, or why it is not.

        A request that BigQuery refuses as a whole is halved until the row at fault stands alone, one request
        after the other: at most twice as many as there are rows, and none after `insert_s` seconds.

        Raises:
            TransientError: no answer, or one that time may change, for all of them.
        """
        deadline = self._clock() + self.insert_s
        outcomes: list[Outcome] = []
        parts = [rows]
        while parts:
            part = parts.pop()
            try:
                settled = self._try(part, deadline)
            except TransientError as error:
                if not outcomes:
                    raise
                return outcomes + [error] * (len(rows) - len(outcomes))
            if settled is None:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
            else:
                outcomes += settled
        return outcomes

    def _try(self, rows: Sequence[Row], deadline: float) -> list[Outcome] | None:
        """Return the outcomes of one request, or None where it is refused for a row that is not known yet."""
        response = self._post(_body(rows), deadline)
        if response.status == 200:  # noqa: PLR2004 - OK
            return self._outcomes(len(rows), response.content)
        reason, said = _what_is_wrong(response.content)
        answer = classify(response.status, reason)
        if answer.verdict is Verdict.TRANSIENT:
            self._log(answer, said, len(rows))
            raise TransientError(f"{self.name}: {answer.status} {reason}".rstrip())
        if len(rows) > 1:
            return None
        text = f"BigQuery refused the row: {answer.status} {reason}: {said}"
        return [RejectedError(Reason.ROW_REFUSED, text)]

    def _log(self, answer: Answer, said: str, rows: int) -> None:
        # Only of transient answers: what BigQuery says of a row that it refuses repeats values of it.
        log.error(
            "BigQuery did not take rows of %s: %s, %s",
            self.name,
            answer.status,
            answer.meaning,
            extra=fields(
                table=self.name, status=answer.status, bigquery_reason=answer.reason, said=said, rows=rows
            ),
        )

    def _post(self, body: bytes, deadline: float) -> Response:
        # A kept connection that the other side has closed shows only in use, so once more on a new one:
        # the insertId makes a repeat harmless. All longer waiting is Pub/Sub's.
        failure: OSError | None = None
        for _ in range(2):
            seconds = min(REQUEST_S, deadline - self._clock())
            if seconds <= 0:
                break
            try:
                return self._post_once(self._url, body, seconds)
            except TimeoutError as error:
                failure = error
                break
            except OSError as error:
                failure = error
        why = f"no answer from BigQuery: {failure}" if failure else f"not within {self.insert_s:g} s"
        log.error(
            "BigQuery did not take rows of %s: %s", self.name, why, extra=fields(table=self.name, status=None)
        )
        raise TransientError(f"{self.name}: {why}") from failure

    def _outcomes(self, count: int, content: bytes) -> list[Outcome]:
        outcomes: list[Outcome] = [None] * count
        try:
            inserted = _inserted.decode(content)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise TransientError(f"{self.name}: BigQuery's answer does not parse") from error
        for row in inserted.insert_errors:
            if not 0 <= row.index < count:
                raise TransientError(f"{self.name}: BigQuery answers for row {row.index} of {count}")
            reasons = [error.reason for error in row.errors]
            if classify_row(reasons) is Verdict.PERMANENT:
                said = "; ".join(f"{e.reason} at {e.location or 'the row'}: {e.message}" for e in row.errors)
                outcomes[row.index] = RejectedError(Reason.ROW_REFUSED, f"BigQuery refused the row: {said}")
            else:
                # Without the message, which may repeat a value: this text is logged.
                outcomes[row.index] = TransientError(f"{self.name}: {', '.join(reasons) or 'no reason'}")
        return outcomes


def _body(rows: Sequence[Row]) -> bytes:
    parts = [row.body for row in rows]
    # Joined once: half a megabyte is copied no more often than it must be.
    parts[0] = b'{"skipInvalidRows":true,"rows":[' + parts[0]
    parts[-1] += b"]}"
    return b",".join(parts)


def _what_is_wrong(content: bytes) -> tuple[str, str]:
    """Return reason and text of an answer that is an error, "" for a reason that it does not give."""
    try:
        error = _refused.decode(content).error
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return "", content[:MAX_SAID_CHARACTERS].decode(errors="replace")
    first = error.errors[0] if error.errors else _Error()
    return first.reason, (error.message or first.message)[:MAX_SAID_CHARACTERS]
