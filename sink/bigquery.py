"""The insert: one tabledata.insertAll of rows that are JSON text already, and what its answers mean.

The client library is left out on purpose (docs/adr/0002-insert-without-the-client-library.md).
https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/insertAll
"""

import os
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from logs import fields, log
from rejection import Reason, RejectedError
from sink.batch import Row, TransientError

TIMEOUT_S = 30.0
_SCOPE = "https://www.googleapis.com/auth/bigquery.insertdata"
_ENDPOINT = "https://bigquery.googleapis.com"

# Answers to a whole request that say the request itself is bad; all others may pass with time
# (a missing table or permission too: Terraform may be about to make it).
# https://cloud.google.com/bigquery/docs/error-messages
_BAD_REQUEST = frozenset({400, 413})
# Of a single row: the row is at fault. With others ("stopped", "timeout", "backendError") it is not.
_BAD_ROW = frozenset({"invalid", "invalidQuery", "badRequest"})


class Response(Protocol):
    """What is read of an HTTP response."""

    status_code: int

    @property
    def content(self) -> bytes:
        """The body."""


# (url, body) → the answer; raises OSError when none comes.
Post = Callable[[str, bytes], Response]


class _Row(msgspec.Struct, frozen=True, rename="camel"):
    insert_id: str
    json: msgspec.Raw


class _Request(msgspec.Struct, frozen=True, rename="camel"):
    rows: list[_Row]
    skip_invalid_rows: bool = True


class _Error(msgspec.Struct, frozen=True):
    reason: str = ""
    location: str = ""
    message: str = ""


class _RowErrors(msgspec.Struct, frozen=True):
    index: int
    errors: list[_Error] = []


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    insert_errors: list[_RowErrors] = []


_encoder = msgspec.json.Encoder()
_answer = msgspec.json.Decoder(_Answer)

Outcome = RejectedError | TransientError | None


class Table:
    """One table to insert into, over a connection of its own; not for concurrent use."""

    def __init__(self, post: Post, endpoint: str, project: str, dataset: str, table: str) -> None:
        self._post_once = post
        self._name = f"{project}.{dataset}.{table}"
        path = f"/bigquery/v2/projects/{project}/datasets/{dataset}/tables/{table}/insertAll"
        self._url = f"{endpoint}{path}?prettyPrint=false"

    def insert(self, rows: Sequence[Row]) -> list[Outcome]:
        """Insert the rows; for each, None when it is in the table, or why it is not.

        A request that BigQuery refuses as a whole is halved until the row at fault stands alone.

        Raises:
            TransientError: no answer, or one that time may change, for all of them.
        """
        body = _encoder.encode(_Request([_Row(row.insert_id, msgspec.Raw(row.body)) for row in rows]))
        response = self._post(body)
        if response.status_code == 200:  # noqa: PLR2004 - OK
            return self._outcomes(len(rows), response.content)
        text = response.content[:500].decode(errors="replace")
        if response.status_code not in _BAD_REQUEST:
            log.error(
                "BigQuery did not take rows of %s: %s %s",
                self._name,
                response.status_code,
                text,
                extra=fields(table=self._name, status=response.status_code, rows=len(rows)),
            )
            raise TransientError(f"{self._name}: {response.status_code}")
        if len(rows) == 1:
            return [
                RejectedError(Reason.ROW_REFUSED, f"BigQuery refused the row: {response.status_code} {text}")
            ]
        middle = len(rows) // 2
        return self.insert(rows[:middle]) + self.insert(rows[middle:])

    def _post(self, body: bytes) -> Response:
        # A kept connection that the other side has closed shows only in use, so once more on a new one:
        # the insertId makes a repeat harmless. All longer waiting is Pub/Sub's.
        for last in (False, True):
            try:
                return self._post_once(self._url, body)
            except OSError as error:  # requests' errors are OSErrors
                if last:
                    log.error(
                        "no answer from BigQuery for %s: %s",
                        self._name,
                        error,
                        extra=fields(table=self._name),
                    )
                    raise TransientError(f"{self._name}: no answer from BigQuery: {error}") from error
        raise AssertionError  # pragma: no cover - the loop returns or raises

    def _outcomes(self, count: int, content: bytes) -> list[Outcome]:
        outcomes: list[Outcome] = [None] * count
        try:
            answer = _answer.decode(content)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise TransientError(f"{self._name}: BigQuery's answer does not parse: {error}") from error
        for row in answer.insert_errors:
            if not 0 <= row.index < count:
                raise TransientError(f"{self._name}: BigQuery answers for row {row.index} of {count}")
            said = "; ".join(f"{e.reason} at {e.location or 'the row'}: {e.message}" for e in row.errors)
            if any(error.reason in _BAD_ROW for error in row.errors):
                outcomes[row.index] = RejectedError(Reason.ROW_REFUSED, f"BigQuery refused the row: {said}")
            else:
                outcomes[row.index] = TransientError(f"{self._name}: {said}")
        return outcomes


def connect(table: str) -> Table:
    """Return a table of the dataset that the environment names.

    BIGQUERY_PROJECT (the credentials' own where unset), BIGQUERY_DATASET (`events`), and
    BIGQUERY_EMULATOR_HOST as Google's clients read it.
    """
    # Not at the top: a worker is forked after import, and a cold start should not wait for these.
    import google.auth  # noqa: PLC0415
    from google.auth.credentials import AnonymousCredentials, Credentials  # noqa: PLC0415
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
    from google.auth.transport.requests import AuthorizedSession  # noqa: PLC0415

    emulator = os.environ.get("BIGQUERY_EMULATOR_HOST")
    project = os.environ.get("BIGQUERY_PROJECT")
    credentials: Credentials
    if emulator:
        credentials = AnonymousCredentials()  # type: ignore[no-untyped-call] # google-auth types only a part
    else:
        try:
            credentials, own_project = google.auth.default(scopes=[_SCOPE])
        except GoogleAuthError as error:
            raise TransientError(f"no credentials for BigQuery: {error}") from error
        project = project or own_project
    if not project:
        raise ValueError("BIGQUERY_PROJECT is not set and the credentials name no project: set it")
    session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call] # as above

    def post(url: str, body: bytes) -> Response:
        try:
            return session.post(
                url, data=body, headers={"Content-Type": "application/json"}, timeout=TIMEOUT_S
            )
        except GoogleAuthError as error:  # a token that could not be refreshed
            raise OSError(str(error)) from error

    dataset = os.environ.get("BIGQUERY_DATASET", "events")
    return Table(post, emulator or _ENDPOINT, project, dataset, table)
