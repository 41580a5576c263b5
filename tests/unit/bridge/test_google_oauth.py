"""The brokers' token is Google's access token in the form that its Managed Kafka takes."""

import base64
import logging
from datetime import UTC, datetime, timedelta

import google.auth
import msgspec
import pytest
from google.auth.exceptions import GoogleAuthError, RefreshError

from bridge.google_oauth import SCOPE, token_source
from logs import log

ENDS_AT = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)


class FakeCredentials:
    """Credentials with a new token after each refresh."""

    def __init__(self, account: str | None) -> None:
        self.token: str | None = None
        self.expiry: datetime | None = None
        self.refreshes = 0
        self.failing = False
        if account:
            self.service_account_email = account

    def refresh(self, _: object) -> None:
        """Get a token, or fail."""
        if self.failing:
            raise RefreshError("invalid_grant")  # type: ignore[no-untyped-call]
        self.refreshes += 1
        self.token, self.expiry = f"ya29.token-{self.refreshes}", ENDS_AT.replace(tzinfo=None)


def credentials(monkeypatch: pytest.MonkeyPatch, account: str | None = "a@p.iam") -> FakeCredentials:
    """Make these the application's default credentials."""
    made = FakeCredentials(account)

    def default(*, scopes: list[str]) -> tuple[FakeCredentials, str]:
        assert scopes == [SCOPE]
        return made, "p"

    monkeypatch.setattr(google.auth, "default", default)
    return made


def decoded(part: str) -> bytes:
    """Return the bytes of a part, whose padding a JWT leaves out."""
    assert "=" not in part
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@pytest.mark.parametrize(("account", "subject"), [("a@p.iam", "a@p.iam"), (None, "bridge")])
def test_token_has_googles_form(monkeypatch: pytest.MonkeyPatch, account: str | None, subject: str) -> None:
    """Header, claims and the access token, base64url with dots between; the end is the access token's."""
    credentials(monkeypatch, account)
    token, ends_at = token_source()("")
    header, claims, access = map(decoded, token.split("."))
    assert msgspec.json.decode(header) == {"typ": "JWT", "alg": "GOOG_OAUTH2_TOKEN"}
    read = msgspec.json.decode(claims)
    assert (read["sub"], read["scope"], read["exp"]) == (subject, "kafka", int(ENDS_AT.timestamp()))
    assert read["iat"] <= datetime.now(UTC).timestamp()
    assert access == b"ya29.token-1"
    assert ends_at == ENDS_AT.timestamp()


def test_each_question_gets_a_fresh_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """When librdkafka asks again, the token is not the one that is about to end."""
    credentials(monkeypatch)
    token = token_source()
    assert token("")[0] != token("")[0]


def test_failing_refresh_is_said_and_raised(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Librdkafka hears of a token that could not be had, and asks again; the log names the reason."""
    monkeypatch.setattr(log, "propagate", True)
    given = credentials(monkeypatch)
    token = token_source()
    token("")
    given.failing = True
    with caplog.at_level(logging.ERROR), pytest.raises(GoogleAuthError):
        token("")
    assert "no token for the brokers, asking again: invalid_grant" in caplog.text
