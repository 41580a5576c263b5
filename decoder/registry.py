"""The schema registry, over its REST interface: a writer schema for an id or a GUID.

A small client on `requests`, which the function has anyway: confluent-kafka's would load librdkafka. Schemas
never change under their id, so each is asked for once a worker.
https://docs.confluent.io/platform/current/schema-registry/develop/api.html
"""

import os
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

import msgspec

from decoder.schema_file import SchemaKey
from rejection import Reason, RejectedError, TransientError

TIMEOUT_S = 5.0
# An id that is unknown now may be registered later; until then it is not asked for again and again.
UNKNOWN_FOR_S = 60.0
MAX_UNKNOWN = 10_000
_OK, _NOT_FOUND = 200, 404


class Response(Protocol):
    """What is read of an HTTP response."""

    status_code: int

    @property
    def content(self) -> bytes:
        """The body."""


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    schema: str
    schema_type: str = "AVRO"
    references: list[object] = []


class Registry:
    """A client; `get` takes a path and raises OSError where no answer comes."""

    def __init__(self, get: Callable[[str], Response], clock: Callable[[], float] = time.monotonic) -> None:
        self._get = get
        self._clock = clock
        self._schemas: dict[SchemaKey, bytes] = {}
        self._unknown: dict[SchemaKey, float] = {}

    def schema(self, key: SchemaKey) -> bytes:
        """Return a schema as JSON text.

        Raises:
            RejectedError: unknown_schema, the registry has none of this id, or one that is not Avro.
            TransientError: no answer, or none that says so.
        """
        if key in self._schemas:
            return self._schemas[key]
        if self._clock() < self._unknown.get(key, 0):
            raise _unknown(key)
        path = f"/schemas/ids/{key}" if isinstance(key, int) else f"/schemas/guids/{guid_text(key)}"
        try:
            response = self._get(path)
        except OSError as error:  # requests' errors are OSErrors
            raise TransientError(f"no answer from the schema registry: {type(error).__name__}") from error
        if response.status_code == _NOT_FOUND:
            if len(self._unknown) >= MAX_UNKNOWN:
                self._unknown.clear()
            self._unknown[key] = self._clock() + UNKNOWN_FOR_S
            raise _unknown(key)
        if response.status_code != _OK:
            raise TransientError(f"the schema registry answers {response.status_code} for {path}")
        try:
            answer = msgspec.json.decode(response.content, type=_Answer)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise TransientError(f"the schema registry's answer for {path} does not parse") from error
        if answer.schema_type != "AVRO" or answer.references:
            raise RejectedError(
                Reason.UNKNOWN_SCHEMA,
                f"{path} of the schema registry is {answer.schema_type} with {len(answer.references)} "
                "references, and only Avro without any is read: put it into the catalogue with its schema_id",
            )
        self._schemas[key] = answer.schema.encode()
        return self._schemas[key]


def guid_text(guid: bytes) -> str:
    """Return a GUID as the registry writes it."""
    text = guid.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _unknown(key: SchemaKey) -> RejectedError:
    name = f"id {key}" if isinstance(key, int) else f"GUID {guid_text(key)}"
    return RejectedError(
        Reason.UNKNOWN_SCHEMA, f"neither the catalogue nor the schema registry has a schema of {name}"
    )


@lru_cache(1)
def connect() -> Registry | None:
    """Return the registry at SCHEMA_REGISTRY_URL, None where it is unset.

    SCHEMA_REGISTRY_USER_INFO is `user:password`, as Confluent's clients read it.
    """
    url = os.environ.get("SCHEMA_REGISTRY_URL", "").rstrip("/")
    if not url:
        return None
    import requests  # noqa: PLC0415 - a cold start should not wait for what one topic in many needs

    session = requests.Session()
    user, _, password = os.environ.get("SCHEMA_REGISTRY_USER_INFO", "").partition(":")
    if user:
        session.auth = (user, password)
    session.headers["Accept"] = "application/vnd.schemaregistry.v1+json"

    def get(path: str) -> Response:
        return session.get(f"{url}{path}", timeout=TIMEOUT_S)

    return Registry(get)
