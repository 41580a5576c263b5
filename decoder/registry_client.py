"""The schema registry's REST interface: the schema of an id or a GUID, and those that it refers to.

A small client on `requests`, which the function has anyway: confluent-kafka's would load librdkafka.
https://docs.confluent.io/platform/current/schema-registry/develop/api.html
"""

from collections.abc import Callable
from typing import Protocol
from urllib.parse import quote

import msgspec

from decoder.schema_file import SchemaKey
from rejection import Reason, RejectedError, TransientError

# Of each answer; an unanswered question takes a thread, and what waits for it, no longer.
TIMEOUT_S = 5.0
# What one schema may bring with it. Each reference is a question.
MAX_REFERENCES = 100
MAX_REFERENCE_DEPTH = 16
MAX_TEXT_BYTES = 1_000_000
_OK, _NOT_FOUND = 200, 404

# The JSON texts of the schemas that one refers to, each behind those that it needs itself, and of that one.
Texts = tuple[bytes, ...]


class Response(Protocol):
    """What is read of an HTTP response."""

    status_code: int

    @property
    def content(self) -> bytes:
        """The body."""


# Takes a path, raises OSError where no answer comes.
Get = Callable[[str], Response]


class _Reference(msgspec.Struct, frozen=True):
    name: str
    subject: str
    version: int


class _Schema(msgspec.Struct, frozen=True, rename="camel"):
    schema: str
    schema_type: str | None = None  # Avro's is left out
    references: list[_Reference] | None = None


def ask(get: Get, key: SchemaKey) -> Texts:
    """Return a schema with those that it refers to.

    Raises:
        RejectedError: unknown_schema, the registry has none of this id, or one that cannot be read here.
        TransientError: an answer that says neither. OSError: none.
    """
    own = shown(key)
    path = f"/schemas/ids/{key}" if isinstance(key, int) else f"/schemas/guids/{guid_text(key)}"
    missing = f"neither the catalogue nor the schema registry has a schema of {own}"
    schema = _answer(get, path, missing)
    texts: dict[str, bytes] = {}
    _refer(get, schema, own, texts, ())
    whole = (*texts.values(), schema.schema.encode())
    if sum(map(len, whole)) > MAX_TEXT_BYTES:
        raise _unreadable(f"the schema of {own} and what it refers to are over {MAX_TEXT_BYTES:,} bytes")
    return whole


def _refer(get: Get, schema: _Schema, own: str, texts: dict[str, bytes], inside: tuple[str, ...]) -> None:
    """Add what a schema refers to, by the name that it is referred to by.

    Of two under one name the first counts, as for Confluent's serializers, which wrote with it.
    """
    for reference in schema.references or ():
        if reference.name in inside:
            raise _unreadable(f"the schema of {own} refers to {reference.name}, which refers to itself")
        if reference.name in texts:
            continue
        if len(inside) == MAX_REFERENCE_DEPTH or len(inside) + len(texts) == MAX_REFERENCES:
            raise _unreadable(
                f"the schema of {own} refers to more than {MAX_REFERENCES} schemas, or more than "
                f"{MAX_REFERENCE_DEPTH} deep"
            )
        # A version that was deleted since is still what events were written with.
        path = f"/subjects/{quote(reference.subject, safe='')}/versions/{reference.version}?deleted=true"
        missing = (
            f"the schema registry has no version {reference.version} of the subject {reference.subject}, "
            f"which the schema of {own} refers to"
        )
        referred = _answer(get, path, missing)
        _refer(get, referred, own, texts, (*inside, reference.name))
        texts[reference.name] = referred.schema.encode()


def _answer(get: Get, path: str, missing: str) -> _Schema:
    response = get(path)
    if response.status_code == _NOT_FOUND:
        raise RejectedError(Reason.UNKNOWN_SCHEMA, missing)
    if response.status_code != _OK:
        raise TransientError(f"the schema registry answers {response.status_code} for {path}")
    try:
        schema = msgspec.json.decode(response.content, type=_Schema)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise TransientError(f"the schema registry's answer for {path} does not parse") from error
    if schema.schema_type not in (None, "AVRO"):
        raise _unreadable(f"{path} of the schema registry is {schema.schema_type}, and only Avro is read")
    return schema


def shown(key: SchemaKey) -> str:
    """Return what names a schema, for people."""
    return f"id {key}" if isinstance(key, int) else f"GUID {guid_text(key)}"


def guid_text(guid: bytes) -> str:
    """Return a GUID as the registry writes it."""
    text = guid.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _unreadable(said: str) -> RejectedError:
    return RejectedError(
        Reason.UNKNOWN_SCHEMA, f"{said}: put it into the catalogue, whole, with its schema_id"
    )
