"""Leaf values: JSON as in docs/values.md → what Avro writes. The inverse of decoder/leaves.py.

Nothing is rounded to fit: digits that a type cannot hold are an error. Only a number with a fraction becomes
the nearest float or double, because its JSON is rounded already.
"""

import base64
import json
import re
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from math import isfinite
from uuid import UUID

from decoder.leaves import Node, logical_type
from decoder.schema_types import kind_of

_INT, _LONG = 2**31, 2**63
_NON_FINITE = {text: float(text) for text in ("NaN", "Infinity", "-Infinity")}
_EPOCH_DAY = date(1970, 1, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_NANOS = 10**9
_UNITS = {"millis": 10**6, "micros": 10**3, "nanos": 1}  # of nanoseconds

_match_decimal = re.compile(r"(-?)(\d+)(?:\.(\d+))?", re.ASCII).fullmatch
_match_uuid = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch
_match_date = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII).fullmatch
_TIME = r"(\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?"
_match_time = re.compile(_TIME, re.ASCII).fullmatch
_match_timestamp = re.compile(rf"(\d{{4}}-\d\d-\d\d)T{_TIME}(Z|[+-]\d\d:\d\d)?", re.ASCII).fullmatch


class EncodeError(ValueError):
    """JSON that is not a value of its type; `path` leads to the field."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.path: list[str] = []

    def __str__(self) -> str:
        """Return the path to the field and the problem."""
        path = ".".join(self.path).replace(".[", "[")
        return f"{path}: {self.args[0]}" if path else str(self.args[0])


def physical(schema: Node, value: object, non_finite: str) -> object:
    """Return what Avro writes for the JSON of a primitive type, an enum or a fixed.

    Raises:
        EncodeError: it is not a value of the type, or has digits that the type cannot hold.
    """
    kind = kind_of(schema)
    logical = logical_type(schema)
    try:
        if logical is not None:
            return _text_of(value, logical[0]) if not isinstance(value, str) else _logical(schema, value)
        if kind in _PLAIN:
            return _PLAIN[kind](value)
        if kind in ("float", "double"):
            return _number(kind, value, non_finite)
        return _enum(schema, value) if kind == "enum" else _bytes(schema, value)
    except (ValueError, OverflowError) as error:
        if isinstance(error, EncodeError):
            raise
        raise EncodeError(f"{shown(value)}: {error}") from error


def _logical(schema: Node, value: str) -> object:
    name = schema["logicalType"]
    if name == "decimal":
        return _decimal(schema, value)
    if name == "uuid":
        return _uuid(schema, value)
    if name == "date":
        return _date(value)
    unit = name.rpartition("-")[2]
    number = _time(value, name) if name.startswith("time-") else _moment(value, name)
    if number % _UNITS[unit]:
        raise EncodeError(f"{shown(value)} has more digits than a {name} holds")
    return _in_range(number // _UNITS[unit], _LONG, name)


def _null(value: object) -> None:
    if value is not None:
        raise _unlike(value, "null")


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise _unlike(value, "true or false")


def _int(value: object) -> int:
    return _in_range(value, _INT, "int")


def _long(value: object) -> int:
    return _in_range(value, _LONG, "long")


def _in_range(value: object, limit: int, kind: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _unlike(value, f"a whole number, which {kind} needs")
    if -limit <= value < limit:
        return value
    raise EncodeError(f"{value} is not in the range of {kind}")


def _string(value: object) -> str:
    text = _text_of(value, "string")
    text.encode()  # half of a surrogate pair cannot be encoded
    return text


_PLAIN: Mapping[str, Callable[[object], object]] = {
    "null": _null,
    "boolean": _boolean,
    "int": _int,
    "long": _long,
    "string": _string,
}


def _number(kind: str, value: object, non_finite: str) -> float:
    if isinstance(value, str) and value in _NON_FINITE:
        if non_finite == "refuse":
            raise EncodeError(f"{value} is not finite, and non_finite of the topic is refuse")
        return _NON_FINITE[value]
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _unlike(value, f'a number, "NaN", "Infinity" or "-Infinity", which {kind} needs')
    number = float(value)
    if not isfinite(number):
        raise EncodeError(f'{number} is not valid in JSON: write "NaN", "Infinity" or "-Infinity"')
    if kind == "float":
        packed = struct.pack("<f", number)  # raises OverflowError beyond its range
        number = number if isinstance(value, float) else struct.unpack("<f", packed)[0]
    if isinstance(value, int) and number != value:
        raise EncodeError(f"{value} is a whole number that no {kind} is, the nearest is {int(number)}")
    return number


def _enum(schema: Node, value: object) -> str:
    if isinstance(value, str) and value in schema["symbols"]:
        return value
    raise EncodeError(f"{shown(value)} is not a symbol of {schema['name']}: {', '.join(schema['symbols'])}")


def _bytes(schema: Node, value: object) -> bytes:
    text = _text_of(value, "base64")
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise EncodeError(f"{shown(text)} is not base64: {error}") from error
    if kind_of(schema) == "fixed" and len(data) != schema["size"]:
        raise EncodeError(f"{schema['name']} has {schema['size']} bytes, this has {len(data)}")
    return data


def _decimal(schema: Node, value: str) -> bytes:
    precision, scale = schema["precision"], schema.get("scale", 0)
    words = f"decimal({precision}, {scale})"
    match = _match_decimal(value)
    if match is None:
        example = "0." + "0" * scale if scale else "0"
        raise EncodeError(f"{shown(value)} is not a {words}: write its digits as text, like {example}")
    sign, whole, fraction = match[1], match[2], match[3] or ""
    if len(fraction) != scale:
        raise EncodeError(
            f"{shown(value)} has {len(fraction)} digits after the decimal point, {words} has {scale}"
        )
    digits = (whole + fraction).lstrip("0")
    if len(digits) > precision:  # before int(), which has a limit of its own
        raise EncodeError(f"{shown(value)} has more digits than {words}")
    unscaled = int(f"{sign}{digits or 0}")
    size = schema["size"] if kind_of(schema) == "fixed" else (unscaled + (unscaled < 0)).bit_length() // 8 + 1
    return unscaled.to_bytes(size, "big", signed=True)


def _uuid(schema: Node, value: str) -> object:
    if _match_uuid(value) is None:
        raise EncodeError(f"{shown(value)} is not a UUID")
    return UUID(value).bytes if kind_of(schema) == "fixed" else value


def _date(value: str) -> int:
    if _match_date(value) is None:
        raise EncodeError(f"{shown(value)} is not a date like 2024-02-29")
    return (date.fromisoformat(value) - _EPOCH_DAY).days


def _time(value: str, name: str) -> int:
    match = _match_time(value)
    if match is None:
        raise EncodeError(f"{shown(value)} is not a {name} like 23:59:59.987")
    return _nanos_of(_EPOCH_DAY.isoformat(), match[1], match[2])


def _moment(value: str, name: str) -> int:
    """Return the nanoseconds since 1970 of a timestamp, or of a local timestamp as if it were UTC."""
    local = name.startswith("local-")
    match = _match_timestamp(value)
    if match is None or local == bool(match[4]):
        example = f"2024-02-29T23:59:59.987{'' if local else 'Z'}"
        raise EncodeError(f"{shown(value)} is not a {name} like {example}")
    return _nanos_of(match[1], match[2], match[3], match[4] or "Z")


def _nanos_of(day: str, time: str, fraction: str | None, zone: str = "Z") -> int:
    moment = datetime.fromisoformat(f"{day}T{time}{zone}").astimezone(UTC)  # OverflowError beyond its years
    return (moment - _EPOCH) // _SECOND * _NANOS + int((fraction or "").ljust(9, "0"))


def _text_of(value: object, what: str) -> str:
    if isinstance(value, str):
        return value
    raise _unlike(value, f"a string, which {what} needs")


def _unlike(value: object, what: str) -> EncodeError:
    return EncodeError(f"{shown(value)} is not {what}")


def shown(value: object) -> str:
    """Return a value as errors show it: its JSON, truncated where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:60]}…"  # noqa: PLR2004 - fits on a line
