"""The connection to BigQuery: settings from the environment, credentials, and an HTTP session.

Imported with the first row: a worker is forked after `main` is imported, and a cold start should not wait
for google-auth and urllib3.
"""

import functools
import os
import time

import certifi
import google.auth
import urllib3
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.urllib3 import AuthorizedHttp

from rejection import TransientError
from sink.bigquery import REQUEST_S, Response, Table

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
    # Not through requests, which doubles the CPU of an insert. The timeout here is of requests for a token.
    pool = urllib3.PoolManager(ca_certs=certifi.where(), timeout=REQUEST_S)
    http = AuthorizedHttp(credentials, pool)  # type: ignore[no-untyped-call] # google-auth types only a part

    def post(url: str, body: bytes, seconds: float) -> Response:
        return _post(http, url, body, seconds)

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


def _post(http: AuthorizedHttp, url: str, body: bytes, seconds: float) -> Response:
    deadline = time.monotonic() + seconds
    try:
        response: urllib3.BaseHTTPResponse = http.urlopen(  # type: ignore[no-untyped-call] # as above
            "POST", url, body, _HEADERS, timeout=seconds, retries=False, preload_content=False
        )
        # The timeout is of each wait: an answer that drips would never be late by it.
        chunks = []
        while chunk := response.read1(_CHUNK, decode_content=True):
            chunks.append(chunk)
            if time.monotonic() > deadline:
                response.close()
                raise TimeoutError(f"an answer that was not whole after {seconds:g} s")
        return Response(response.status, b"".join(chunks))
    except urllib3.exceptions.TimeoutError as error:
        raise TimeoutError(str(error)) from error
    except urllib3.exceptions.HTTPError as error:  # no OSError
        raise ConnectionError(str(error)) from error
    except GoogleAuthError as error:  # a token that could not be refreshed
        raise ConnectionError(str(error)) from error
