"""Attacks in the bytes of an event, whose schema is the catalogue's."""

import math

from rejection import Reason
from tests.attacks.attack import EVENT, STRICT, Attack, double, limits, long, record, text

_TREE = {"type": "record", "name": "T", "fields": [{"name": "next", "type": ["null", "T"]}]}
_E = {"type": "enum", "name": "E", "symbols": ["A", "B"]}


def _logical(kind: str, name: str, **more: object) -> dict[str, object]:
    return {"type": kind, "logicalType": name, **more}


_ID = record(id="string")
_INT, _LONG = record(n="int"), record(n="long")
_BOOLEAN, _ENUM, _UNION = record(b="boolean"), record(e=_E), record(u=["null", "long", "string"])
_MAP, _ARRAY = record(m={"type": "map", "values": "long"}), record(a={"type": "array", "items": "long"})
_RECORDS = record(
    a={"type": "array", "items": {"type": "record", "name": "I", "fields": [{"name": "i", "type": "int"}]}}
)
_DECIMAL = record(d=_logical("bytes", "decimal", precision=9, scale=2))
_DATE, _TIME = record(d=_logical("int", "date")), record(t=_logical("int", "time-millis"))
_TIME_MICROS = record(t=_logical("long", "time-micros"))
_MILLIS, _MICROS = (
    record(t=_logical("long", "timestamp-millis")),
    record(t=_logical("long", "timestamp-micros")),
)
_UUID, _DOUBLE = record(u=_logical("string", "uuid")), record(f="double")
_RECURSIVE = record(t=_TREE)
_NESTED = record(
    r={"type": "record", "name": "N", "fields": [{"name": "s", "type": {"type": "array", "items": "string"}}]}
)
_BAD, _LEFT, _LARGE = Reason.UNDECODABLE, Reason.TRAILING_BYTES, Reason.TOO_LARGE

ATTACKS = [
    Attack("nothing at all", _ID, b"", _BAD, "field id, at byte 0 of 0"),
    Attack("cut short", _ID, text(b"abc")[:-1], _BAD, "3 bytes are to follow, 2 do"),
    Attack("trailing bytes", _ID, text(b"abc") + b"\x00", _LEFT, "1 bytes follow"),
    Attack("length of 2^40", _ID, long(2**40) + b"abc", _BAD, "1099511627776 bytes are to follow"),
    Attack("negative length", _ID, long(-1), _BAD, "a length of -1 bytes"),
    Attack("not UTF-8", _ID, text(b"ab\xff"), _BAD, "field id, at byte 3 of 4: not UTF-8"),
    Attack("half a surrogate pair", _ID, text(b"\xed\xa0\x80"), _BAD, "not UTF-8"),
    Attack("overlong UTF-8", _ID, text(b"\xc0\x80"), _BAD, "not UTF-8"),
    Attack("not UTF-8, deep", _NESTED, long(2) + text(b"a") + text(b"\xff") + long(0), _BAD, "r.s[1]"),
    Attack("not UTF-8 in a key", _MAP, long(1) + text(b"\xff") + long(1) + long(0), _BAD, "field m"),
    Attack("enum index -1", _ENUM, long(-1), _BAD, "symbol -1"),
    Attack("enum index too high", _ENUM, long(2), _BAD, "symbol 2"),
    Attack("union index -1", _UNION, long(-1) + text(b"a"), _BAD, "branch -1"),
    Attack("union index too high", _UNION, long(3), _BAD, "branch 3"),
    Attack("boolean 2", _BOOLEAN, b"\x02", _BAD, "a boolean is 0 or 1"),
    Attack("2^40 in an int", _INT, long(2**40), _BAD, "not in the range of an int"),
    Attack("-2^31-1 in an int", _INT, long(-(2**31) - 1), _BAD, "not in the range of an int"),
    Attack("a number of 66 bits", _LONG, b"\xff" * 9 + b"\x7f", _BAD, "more than 64 bits"),
    Attack("a number of 20 bytes", _LONG, b"\xff" * 19 + b"\x01", _BAD, "more than 64 bits"),
    Attack("a number of a megabyte", _LONG, b"\xff" * 1_000_000, _BAD, "more than 64 bits"),
    Attack("overlong number, strict", _LONG, b"\x80\x00", _BAD, "that fewer can hold", STRICT),
    Attack("overlong number, default", _LONG, b"\x82\x00", EVENT, '{"n":1}'),
    Attack("overlong length, strict", _ID, b"\x82\x00a", _BAD, "that fewer can hold", STRICT),
    Attack(
        "repeated map key", _MAP, long(2) + (text(b"k") + long(1)) * 2 + long(0), _BAD, "'k' of the map is"
    ),
    Attack(
        "repeated map key over blocks",
        _MAP,
        (long(1) + text(b"k") + long(1)) * 2 + b"\0",
        _BAD,
        "there twice",
    ),
    Attack("array of 2^40", _ARRAY, long(2**40) + b"\x00" * 9, _BAD, "items are to follow"),
    Attack("array of -2^63", _ARRAY, long(-(2**63)) + long(1) + b"\x00" * 9, _BAD, "items are to follow"),
    Attack("map of 2^40", _MAP, long(2**40) + b"\x00" * 9, _BAD, "items are to follow"),
    Attack("block that lies about its bytes", _ARRAY, long(-1) + long(9) + b"\x02\x00", EVENT, "[1]"),
    Attack("a million numbers", _ARRAY, long(999_990) + bytes(999_991), _LARGE, "more than 50,000 values"),
    Attack("a million records", _RECORDS, long(999_990) + bytes(999_991), _LARGE, "more than 50,000 values"),
    Attack("date after 9999", _DATE, long(2_932_897), _BAD, "field d, at byte 0"),
    Attack("date before 0001", _DATE, long(-719_163), _BAD, "field d, at byte 0"),
    Attack("time -1", _TIME, long(-1), _BAD, "is not a time of day"),
    Attack("time 24:00", _TIME, long(86_400_000), _BAD, "is not a time of day"),
    Attack("time in micros -1", _TIME_MICROS, long(-1), _BAD, "is not a time of day"),
    Attack("timestamp after 9999", _MILLIS, long(253_402_300_800_000), _BAD, "field t, at byte 0"),
    Attack("timestamp of 2^63", _MICROS, long(2**63 - 1), _BAD, "field t, at byte 0"),
    Attack(
        "decimal beyond its precision", _DECIMAL, text(b"\x7f" * 5), _BAD, "more than the schema's 9 digits"
    ),
    Attack(
        "decimal of a megabyte", _DECIMAL, text(b"\x7f" * 999_990), _BAD, "more than the schema's 9 digits"
    ),
    Attack("decimal of no bytes", _DECIMAL, text(b""), _BAD, "a decimal of no bytes"),
    Attack("uuid in braces", _UUID, text(b"{6d6d2c1e-5d1c-4b0a-9d55-0d7a4f0c2b11}"), _BAD, "is not a UUID"),
    Attack(
        "NaN where it is refused", _DOUBLE, double(math.nan), _BAD, "not finite", {"non_finite": "refuse"}
    ),
    Attack("NaN where it is text", _DOUBLE, double(math.nan), EVENT, '{"f":"NaN"}'),
    Attack("nested 6,000 deep", _RECURSIVE, long(1) * 6_000 + long(0), _LARGE, "nested more than 64 deep"),
    Attack(
        "nested a million deep", _RECURSIVE, long(1) * 999_999 + long(0), _LARGE, "nested more than 64 deep"
    ),
    Attack("nested 60 deep", _RECURSIVE, long(1) * 60 + long(0), EVENT, '{"t":{"next":'),
    Attack("a value over its limit", _ID, text(b"a" * 2_000), _LARGE, "limit is 1,000", limits(bytes=1_000)),
]
