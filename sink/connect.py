"""The connection to BigQuery: settings from the environment, credentials, and an HTTP session.

Imported with the first row: a worker is forked after `main` is imported, and a cold start should not wait
for google-auth and requests.
"""

import functools
import os
import time

import google.auth
import requests
import urllib3
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession

from rejection import TransientError
from sink.bigquery import Response, Table

_SCOPE = "https://www.googleapis.com/auth/bigquery.insertdata"
_ENDPOINT = "https://bigquery.googleapis.com"
_HEADERS = {"Content-Type": "application/json"}
_CHUNK = 65_536


def connect(table: str) -> Table:
    """Return a table of the dataset that the environment names.

    BIGQUERY_PROJECT (the credentials' own where unset), BIGQUERY_DATASET (`events`), and
    BIGQUERY_EMULATOR_HOST as Google's clients read it.

    Raises:
        TransientError: no credentials, or no project.
    """
    credentials, own_project = _credentials()
    project = os.environ.get("BIGQUERY_PROJECT") or own_project
    if not project:
        raise TransientError("BIGQUERY_PROJECT is not set and the credentials name no project: set it")
    session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call] # google-auth types only a part

    def post(url: str, body: bytes, seconds: float) -> Response:
        return _post(session, url, body, seconds)

    dataset = os.environ.get("BIGQUERY_DATASET", "events")
    return Table(post, os.environ.get("BIGQUERY_EMULATOR_HOST") or _ENDPOINT, f"{project}.{dataset}.{table}")


@functools.cache
def _credentials() -> tuple[Credentials, str | None]:
    """Return the credentials, one token for all tables, and the project that they name."""
    if os.environ.get("BIGQUERY_EMULATOR_HOST"):
        return AnonymousCredentials(), None  # type: ignore[no-untyped-call] # as above
    try:
        credentials, project = google.auth.default(scopes=[_SCOPE])
    except GoogleAuthError as error:
        raise TransientError(f"no credentials for BigQuery: {error}") from error
    return credentials, project


def _post(session: requests.Session, url: str, body: bytes, seconds: float) -> Response:
    deadline = time.monotonic() + seconds
    try:
        with session.post(
            url, data=body, headers=_HEADERS, timeout=seconds, stream=True, allow_redirects=False
        ) as response:
            # The session's timeout is of each wait: an answer that drips would never be late by it.
            chunks = []
            while chunk := response.raw.read1(_CHUNK, decode_content=True):
                chunks.append(chunk)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"an answer that was not whole after {seconds:g} s")
            return Response(response.status_code, b"".join(chunks))
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise TimeoutError(str(error)) from error
    except urllib3.exceptions.HTTPError as error:  # of the body, which is read past requests: no OSError
        raise ConnectionError(str(error)) from error
    except GoogleAuthError as error:  # a token that could not be refreshed
        raise ConnectionError(str(error)) from error
