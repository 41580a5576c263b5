"""Attacks with a header that names the writer schema."""

from decoder.schema_file import schema_fingerprint
from rejection import Reason
from tests.attacks.attack import EVENT, Attack, record, text

_ID = record(id="string")
_ONE = text(b"abc")
_SINGLE, _CONFLUENT = {"framing": "single_object"}, {"framing": "confluent"}
_KNOWN = b"\xc3\x01" + schema_fingerprint(_ID)
_BAD, _UNKNOWN = Reason.UNDECODABLE, Reason.UNKNOWN_SCHEMA

ATTACKS = [
    Attack("single object", _ID, _KNOWN + _ONE, EVENT, "abc", _SINGLE),
    Attack(
        "single object, trailing bytes",
        _ID,
        _KNOWN + _ONE + b"\0",
        Reason.TRAILING_BYTES,
        "14 of 15",
        _SINGLE,
    ),
    Attack(
        "single object, unknown fingerprint", _ID, b"\xc3\x01" + b"\0" * 8 + _ONE, _UNKNOWN, "0000", _SINGLE
    ),
    Attack("single object, no header", _ID, _ONE, _BAD, "no fingerprint", _SINGLE),
    Attack("single object, cut in its header", _ID, _KNOWN[:9], _BAD, "no fingerprint", _SINGLE),
    Attack("confluent, unknown id", _ID, b"\0\0\0\0\x07" + _ONE, _UNKNOWN, "schema id 7", _CONFLUENT),
    Attack("confluent, unknown GUID", _ID, b"\x01" + b"g" * 16 + _ONE, _UNKNOWN, "6767", _CONFLUENT),
    Attack("confluent, magic 2", _ID, b"\x02\0\0\0\x07" + _ONE, _BAD, "no schema id", _CONFLUENT),
    Attack("confluent, cut in its header", _ID, b"\0\0\0", _BAD, "no schema id", _CONFLUENT),
]
