"""The differential check: what the `avro` package makes of the same bytes, and what is accepted."""

import io
import json
import math
import re
import warnings
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import avro.errors
import avro.io
import avro.schema
from fastavro.types import Schema

# Why ours refuses what avro takes: the text of the dead letter, and the reason that this is right.
REFUSED_BY_US: Mapping[str, str] = {
    r"a boolean is 0 or 1": "the specification knows no other byte; avro reads it as false",
    r"not in the range of an int": "an int has 32 bits; avro reads any long",
    r"of the map is there twice": "avro keeps the last of a key's values",
    r"is not a UUID": "avro takes any text",
    r"more than the schema's \d+ digits": "avro keeps digits that the schema does not have",
    r"that fewer can hold": "of a strict topic, or of bytes that were walked: not the encoding",
    r"a block ends here": "avro skips a block's size",
    r"a block of -": "as above",
    r"more than [\d,]+ values|nested more than": "limits",
    r"is no local-timestamp-micros": "avro has no local timestamps",
    r"is not a time of day": "avro takes what is over 24 hours around the clock",
}
# Why ours takes what avro refuses: avro's error, and the reason that this is right.
REFUSED_BY_AVRO: Mapping[str, str] = {
    r"Writer's Schema: \"(bytes|string)\"\s+Reader's Schema: \"(string|bytes)\"": "avro lacks this promotion",
    r"(?s)Writer's Schema: \[\n.*\n\]\nReader's Schema: [^\[]": "avro wants every branch to match",
    r"Invalid negative block size|Block size \d+ is too small": "seen where the bytes are walked",
    r"Varint is too long": "a topic that is not strict takes a number in more bytes than it needs",
}
_UUID = "6d6d2c1e-5d1c-4b0a-9d55-0d7a4f0c2b11"


def prepared(schema: Schema) -> avro.schema.Schema:
    """Return avro's own form of a parsed schema."""
    text = json.dumps({key: value for key, value in dict(schema).items() if not str(key).startswith("__")})  # type: ignore[arg-type] # a record
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return avro.schema.parse(text)


def disagreement(
    schema: avro.schema.Schema, reader: avro.schema.Schema, value: bytes, event: object, message: str
) -> str | None:
    """Return how the two readers disagree, None where they do not or that is accepted.

    `event` is ours without the names of branches, None where it was refused with `message`.
    """
    theirs: object = None
    said = ""
    stream = io.BytesIO(value)
    try:
        theirs = avro.io.DatumReader(schema, reader).read(avro.io.BinaryDecoder(stream))
    except Exception as error:  # noqa: BLE001 - avro lets through whatever its readers raise
        said = f"{type(error).__name__}: {error}"
    else:
        if stream.tell() != len(value):
            said = "bytes left over"
    if event is None and said:
        return None
    if event is None:
        refused = _accepted(message, REFUSED_BY_US)
        return None if refused else f"ours refuses ({message}), avro has {theirs!r:.200}"
    if said:
        refused = _accepted(said, REFUSED_BY_AVRO)
        return None if refused else f"ours has {event!r:.200}, avro refuses ({said:.200})"
    return None if _same(event, theirs) else f"ours has {event!r:.300}, avro has {theirs!r:.300}"


def _accepted(said: str, known: Mapping[str, str]) -> bool:
    return any(re.search(pattern, said) for pattern in known)


def _same(ours: object, theirs: object) -> bool:  # noqa: PLR0911 - one for each kind of value
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(_same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    if isinstance(theirs, float) and not math.isfinite(theirs):
        return ours == ("NaN" if math.isnan(theirs) else "Infinity" if theirs > 0 else "-Infinity")
    if isinstance(ours, datetime) and isinstance(theirs, int):
        # avro has no local timestamps and keeps the number: tests/fuzz/schemas.py means microseconds.
        return ours.tzinfo is None and ours - datetime(1970, 1, 1) == timedelta(microseconds=theirs)  # noqa: DTZ001
    if isinstance(theirs, Decimal | UUID):
        return ours == (f"{theirs:f}" if isinstance(theirs, Decimal) else str(theirs))
    if isinstance(ours, float) and type(theirs) is int:
        return ours == float(theirs)  # avro leaves a promoted int an int
    if isinstance(ours, str) and isinstance(theirs, str) and len(ours) == len(_UUID):
        theirs = theirs.lower() if ours == ours.lower() else theirs  # ours writes a UUID in small letters
    return type(ours) is type(theirs) and ours == theirs
