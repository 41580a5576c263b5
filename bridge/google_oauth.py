"""Tokens for Google's Managed Kafka, from Application Default Credentials.

The brokers take an access token in the third part of something that looks like a JWT.
https://cloud.google.com/managed-service-for-apache-kafka/docs/authentication-kafka
"""

import base64
from collections.abc import Callable
from datetime import UTC, datetime

import google.auth
import msgspec
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request

from logs import log

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_HEADER = {"typ": "JWT", "alg": "GOOG_OAUTH2_TOKEN"}


def token_source() -> Callable[[str], tuple[str, float]]:
    """Return librdkafka's `oauth_cb`: a fresh token, and its end in seconds since the epoch.

    librdkafka asks again when four fifths of the token's life are over, and ten seconds after an error.

    Raises:
        GoogleAuthError: there are no credentials.
    """
    credentials, _ = google.auth.default(scopes=[SCOPE])

    def token(_: str) -> tuple[str, float]:
        try:
            credentials.refresh(Request())  # type: ignore[no-untyped-call]
        except GoogleAuthError as error:
            log.error("no token for the brokers, asking again: %s", error)
            raise
        if credentials.expiry is None or credentials.token is None:
            raise GoogleAuthError("the credentials were refreshed, and have no token with an end")  # type: ignore[no-untyped-call]
        ends_at = credentials.expiry.replace(tzinfo=UTC).timestamp()
        claims = {
            "exp": int(ends_at),
            "iat": int(datetime.now(UTC).timestamp()),
            "scope": "kafka",
            "sub": getattr(credentials, "service_account_email", "") or "bridge",
        }
        parts = (msgspec.json.encode(_HEADER), msgspec.json.encode(claims), credentials.token.encode())
        return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), ends_at

    return token
