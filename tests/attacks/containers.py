"""Attacks with an object container: its bytes, its compression, and the schema that its sender chose."""

import bz2
import json
import lzma
import zlib

import cramjam

from rejection import Reason
from tests.attacks.attack import EVENT, Attack, container, long, record, text, written

_ID = record(id="string")
_OWN = json.dumps({"type": "record", "name": "a.R", "fields": [{"name": "id", "type": "string"}]}).encode()
_ONE = text(b"abc")
_BAD, _LEFT, _LARGE = Reason.UNDECODABLE, Reason.TRAILING_BYTES, Reason.TOO_LARGE
_ZEROS = bytes(50_000_000)
_ONLY = {"framing": "container"}


def _deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return compressor.compress(data) + compressor.flush()


def _snappy(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data)) + zlib.crc32(data).to_bytes(4, "big")


_ENCODERS = {
    "deflate": _deflate,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstandard": lambda data: bytes(cramjam.zstd.compress(data)),
    "snappy": _snappy,
}


def _with_field(kind: object, event: bytes, name: str = "x") -> bytes:
    """Return a container whose own schema has one field more."""
    own = json.loads(_OWN)
    own["fields"].append({"name": name, "type": kind})
    return container(json.dumps(own).encode(), [(1, _ONE + event)])


def _deep(depth: int) -> object:
    kind: object = "long"
    for _ in range(depth):
        kind = {"type": "array", "items": kind}
    return kind


def _doubling(levels: int) -> object:
    """Return a record of nothing but records of nothing, twice as many on each level."""
    kind: object = {"type": "record", "name": "D0", "fields": []}
    for level in range(1, levels):
        fields = [{"name": "l", "type": kind}, {"name": "r", "type": f"D{level - 1}"}]
        kind = {"type": "record", "name": f"D{level}", "fields": fields}
    return kind


def _entangled(count: int) -> object:
    """Return records that each hold the next one twice, and the last one the first again."""
    last: list[object] = [{"name": "x", "type": ["null", "L0"]}]
    kind: object = {"type": "record", "name": f"L{count}", "fields": last}
    for level in reversed(range(count)):
        fields = [{"name": "l", "type": kind}, {"name": "r", "type": f"L{level + 1}"}]
        kind = {"type": "record", "name": f"L{level}", "fields": fields}
    return kind


_CLAIMED = b'{"type":"record","name":"a.R","__fastavro_parsed":true,"__named_schemas":{}}'
_ENDLESS = {"type": "record", "name": "E", "fields": [{"name": "e", "type": "E"}]}
_HUGE_DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 20_000_000}

ATTACKS = [
    *(
        Attack(
            f"good, {codec}", _ID, container(_OWN, [(1, encode(_ONE))], codec.encode()), EVENT, "abc", _ONLY
        )
        for codec, encode in _ENCODERS.items()
    ),
    *(
        Attack(
            f"50 MB of zeros, {codec}",
            _ID,
            container(_OWN, [(1, encode(_ZEROS))], codec.encode()),
            _LARGE,
            "holds more than",
            _ONLY,
        )
        for codec, encode in _ENCODERS.items()
    ),
    *(
        Attack(
            f"broken block, {codec}",
            _ID,
            container(_OWN, [(1, b"\xff" + encode(_ONE)[:-3])], codec.encode()),
            _BAD,
            f"is not {codec}",
            _ONLY,
        )
        for codec, encode in _ENCODERS.items()
    ),
    Attack("unknown codec", _ID, container(_OWN, [(1, _ONE)], b"lz4"), _BAD, "codec 'lz4'", _ONLY),
    Attack("header cut short", _ID, container(_OWN, [])[:40], _BAD, "not an Avro object container", _ONLY),
    Attack("no event", _ID, container(_OWN, []), _BAD, "is empty", _ONLY),
    Attack("two events", _ID, container(_OWN, [(2, _ONE * 2)]), _LEFT, "more than one event", _ONLY),
    Attack("two blocks", _ID, container(_OWN, [(1, _ONE)] * 2), _LEFT, "more than one event", _ONLY),
    Attack("2^62 events", _ID, container(_OWN, [(2**62, _ONE)]), _LEFT, "more than one event", _ONLY),
    Attack(
        "bytes behind the event", _ID, container(_OWN, [(1, _ONE + b"\0")]), _LEFT, "1 bytes follow", _ONLY
    ),
    Attack("bytes behind the block", _ID, container(_OWN, [(1, _ONE)]) + b"\0", _BAD, "", _ONLY),
    Attack(
        "another sync marker", _ID, container(_OWN, [(1, _ONE)], sync=b"x" * 16), _BAD, "sync marker", _ONLY
    ),
    Attack(
        "30,000 empty blocks", _ID, container(_OWN, [(0, b"")] * 30_000), _BAD, "a block of no event", _ONLY
    ),
    Attack("schema that is none", _ID, container(b"{", [(1, _ONE)]), _BAD, "own schema is none", _ONLY),
    Attack("schema that is no text", _ID, container(b"\xff", [(1, _ONE)]), _BAD, "own schema is none", _ONLY),
    Attack(
        "schema nested 30,000 deep", _ID, container(b'{"a":' * 19_000, [(1, _ONE)]), _BAD, "is none", _ONLY
    ),
    Attack(
        "schema of a megabyte",
        _ID,
        container(b" " * 999_000, [(1, _ONE)]),
        _LARGE,
        "a container's schema",
        _ONLY,
    ),
    Attack(
        "schema of another type", _ID, written(record(other="long"), {"other": 1}), _BAD, "no default", _ONLY
    ),
    Attack("schema of arrays 200 deep", _ID, _with_field(_deep(200), long(0)), _BAD, "deep", _ONLY),
    Attack("schema that has no end", _ID, _with_field(_ENDLESS, b""), _BAD, "has no end", _ONLY),
    Attack(
        "schema of 2^40 empty records", _ID, _with_field(_doubling(40), b""), _BAD, "50,000 values", _ONLY
    ),
    Attack(
        "schema of 2^16 empty records", _ID, _with_field(_doubling(17), b""), _BAD, "50,000 values", _ONLY
    ),
    Attack(
        "another checksum, snappy",
        _ID,
        container(_OWN, [(1, _snappy(_ONE)[:-1] + b"?")], b"snappy"),
        _BAD,
        "its checksum is another",
        _ONLY,
    ),
    Attack(
        "schema of 2^30 records in a ring",
        _ID,
        _with_field(_entangled(30), b""),
        _BAD,
        "50,000 values",
        _ONLY,
    ),
    Attack(
        "10^7 items of no bytes",
        _ID,
        _with_field({"type": "array", "items": "null"}, long(10**7) + b"\0"),
        _BAD,
        "items that take no bytes",
        _ONLY,
    ),
    Attack(
        "decimal of 20,000,000 digits",
        _ID,
        _with_field(_HUGE_DECIMAL, text(b"")),
        _BAD,
        "a decimal of",
        _ONLY,
    ),
    Attack(
        "fixed of -1 bytes",
        _ID,
        _with_field({"type": "fixed", "name": "F", "size": -1}, b""),
        _BAD,
        "-1",
        _ONLY,
    ),
    Attack(
        "schema that says it is checked", _ID, container(_CLAIMED, [(1, _ONE)]), _BAD, "no default", _ONLY
    ),
    Attack(
        "array of a union of nothing",
        _ID,
        _with_field({"type": "array", "items": []}, long(0)),
        _BAD,
        "a union of nothing",
        _ONLY,
    ),
    Attack(
        "logical type that is no text",
        _ID,
        _with_field({"type": "int", "logicalType": {}}, long(1)),
        EVENT,
        '"x":1',
        _ONLY,
    ),
    Attack("no container", _ID, _ONE, _BAD, "begins with other bytes", _ONLY),
]
