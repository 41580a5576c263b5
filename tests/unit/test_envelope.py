"""The wire contract: every Kafka record survives, and what no bridge wrote is named."""

import string
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from envelope import (
    BUNDLE,
    ENV,
    MAX_BUNDLE,
    Envelope,
    Header,
    MalformedEnvelopeError,
    Message,
    Record,
    pack,
    pack_bundle,
    unpack,
)

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1

# Names that mean something to Pub/Sub, to its clients or to this contract, and names at the limits.
_ODD_NAMES = [
    "",
    "data",
    "topic",
    "retry",
    "timeout",
    "self",
    "ordering_key",
    "key",
    "item_type_name",
    "goog",
    "googclient_x",
    "kafka.offset",
    "kafka.key",
    "kafka.bundle",
    "kafka.",
    "CloudPubSubDeadLetterSourceDeliveryCount",
    "CloudPubSubDeadLetterSource",
    "n" * 256,
    "n" * 257,
    "é" * 128,
    "é" * 129,
    "\x00",
    "ünïcode 😀",
]
_ODD_VALUES = [None, b"", b"\x00", b"\xff", b"\xed\xa0\x80", b"v" * 1024, b"v" * 1025, "é".encode() * 512]

_topics = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=249)
_nullable_bytes = st.one_of(
    st.sampled_from(_ODD_VALUES), st.binary(max_size=20), st.text(max_size=20).map(str.encode)
)
_headers = st.one_of(
    st.lists(
        st.tuples(st.one_of(st.sampled_from(_ODD_NAMES), st.text(max_size=20)), _nullable_bytes), max_size=8
    ),
    st.integers(90, 105).map(lambda count: [(f"header-{n}", b"v") for n in range(count)]),
)
_timestamps = st.one_of(
    st.none(), st.sampled_from([_INT64_MIN, -1, 0, _INT64_MAX]), st.integers(_INT64_MIN, _INT64_MAX)
)


def _records_with(
    keys: st.SearchStrategy[bytes | None],
    headers: st.SearchStrategy[Sequence[Header]],
    values: st.SearchStrategy[bytes | None],
) -> st.SearchStrategy[Record]:
    return st.builds(
        Record,
        topic=_topics,
        partition=st.integers(0, 2**31 - 1),
        offset=st.integers(0, _INT64_MAX),
        timestamp=_timestamps,
        key=keys,
        headers=headers.map(tuple),
        value=values,
    )


_short_texts = st.text(max_size=8).map(str.encode)
_records = st.one_of(
    _records_with(_nullable_bytes, _headers, st.one_of(st.none(), st.just(b""), st.binary(max_size=50))),
    # Nothing odd but one header, or one name twice: what is wrong with it shows by itself.
    _records_with(
        st.none(),
        st.lists(st.tuples(st.sampled_from([*_ODD_NAMES, "a", "a", "a"]), _short_texts), max_size=2),
        _short_texts,
    ),
)
_envs = st.sampled_from(["prod", "", "staging"])

# Records of which attributes can hold everything, each name once.
_plain_names = st.text(min_size=1, max_size=64).filter(
    lambda name: not name.startswith(("goog", "kafka.", "CloudPubSubDeadLetterSource"))
)
_plain_texts = st.text(max_size=256).map(str.encode)
_plain_records = _records_with(
    st.one_of(st.none(), _plain_texts),
    st.dictionaries(_plain_names, _plain_texts, max_size=6).map(lambda headers: list(headers.items())),
    st.binary(max_size=50),
)

_PLAIN = Record("a.topic", 7, 42, 1_700_000_000_000, b"key", (("item_type_name", b"a.B"),), b"\x00value")


def _change(record: Record, **changes: object) -> Record:
    return msgspec.structs.replace(record, **changes)


def _by_name(record: Record) -> Record:
    """Return the record as a reader of the plain form sees it: repeats keep their order."""
    return _change(record, headers=tuple(sorted(record.headers, key=lambda header: header[0])))


@settings(max_examples=250)
@given(_records, _envs)
@example(_change(_PLAIN, headers=tuple((f"h{n}", b"") for n in range(200))), "prod")
@example(_change(_PLAIN, key=None, timestamp=None, headers=(), value=b""), "")
def test_record_survives_pack(record: Record, env: str) -> None:
    """Every record comes out of `pack` as it went in, but for the order of different names when plain."""
    message = pack(record, env)
    opened = unpack(message)
    assert opened.env == env
    (read,) = opened.records
    if BUNDLE in message.attributes:
        assert read == record
    else:
        assert _by_name(read) == _by_name(record)


@settings(max_examples=80)
@given(st.lists(_records, min_size=1, max_size=4), _envs)
def test_records_survive_a_bundle(records: list[Record], env: str) -> None:
    """A bundle keeps all records, their order, and the order of their headers."""
    message = pack_bundle(records, env)
    assert message.attributes == {BUNDLE: str(len(records)), ENV: env}
    opened = unpack(message)
    assert (opened.records, opened.env) == (tuple(records), env)


@settings(max_examples=250)
@given(_records, _envs)
def test_message_respects_the_limits_of_pubsub(record: Record, env: str) -> None:
    """Whatever the record, Pub/Sub takes the message: number, names and values of its attributes."""
    attributes = pack(record, env).attributes
    assert 0 < len(attributes) <= 100
    for name, value in attributes.items():
        assert isinstance(name, str)
        assert isinstance(value, str)
        assert 0 < len(name.encode()) <= 256
        assert not name.startswith("goog")
        assert len(value.encode()) <= 1024


@settings(max_examples=100)
@given(_plain_records)
def test_plain_form_is_used_where_nothing_prevents_it(record: Record) -> None:
    """A record that attributes can hold goes as its own value, with each header under its own name."""
    message = pack(record, "prod")
    expected = {name: value.decode() for name, value in record.headers if value is not None}
    assert message.data == record.value
    assert BUNDLE not in message.attributes
    assert {n: v for n, v in message.attributes.items() if not n.startswith("kafka.")} == expected


def test_plain_form_is_the_documented_one() -> None:
    """The position, the key and the environment have these names and these texts."""
    assert pack(_PLAIN, "prod") == Message(
        b"\x00value",
        {
            "kafka.topic": "a.topic",
            "kafka.partition": "7",
            "kafka.offset": "42",
            "kafka.timestamp": "1700000000000",
            "kafka.key": "key",
            "kafka.env": "prod",
            "item_type_name": "a.B",
        },
    )


def test_bundle_is_the_documented_one() -> None:
    """A bundle is an array of arrays with the fields in this order, so other languages can read it."""
    record = _change(_PLAIN, headers=(("b", None), ("a", b"1"), ("b", b"2")), value=None)
    message = pack(record, "prod")
    assert message.attributes == {"kafka.bundle": "1", "kafka.env": "prod"}
    assert msgspec.msgpack.decode(message.data) == [
        ["a.topic", 7, 42, 1_700_000_000_000, b"key", [["b", None], ["a", b"1"], ["b", b"2"]], None]
    ]


@pytest.mark.parametrize(
    ("count", "is_plain"), [(94, True), (95, False)], ids=["100 attributes", "101 attributes"]
)
def test_hundred_attributes_are_the_most(count: int, is_plain: bool) -> None:  # noqa: FBT001 - parametrized
    """Six attributes are the bridge's own: 94 headers still fit, 95 go as a bundle."""
    headers = tuple((f"h{n}", b"") for n in range(count))
    message = pack(_change(_PLAIN, headers=headers), "prod")
    assert (BUNDLE not in message.attributes) is is_plain


@pytest.mark.parametrize(
    "changes",
    [
        {"value": None},
        {"key": b"\xff"},
        {"key": b"k" * 1025},
        {"headers": (("a", None),)},
        {"headers": (("a", b"\xff"),)},
        {"headers": (("a", b"1"), ("a", b"1"))},
        {"headers": (("", b"1"),)},
        {"headers": (("n" * 257, b"1"),)},
        {"headers": (("é" * 129, b"1"),)},
        {"headers": (("a", b"v" * 1025),)},
        {"headers": (("goog-x", b"1"),)},
        {"headers": (("kafka.offset", b"1"),)},
        {"headers": (("kafka.new", b"1"),)},
        {"headers": (("CloudPubSubDeadLetterSourceSubscription", b"1"),)},
    ],
    ids=str,
)
def test_what_attributes_cannot_hold_goes_as_a_bundle_of_one(changes: dict[str, object]) -> None:
    """Each thing that the plain form would lose makes the record a bundle of one."""
    message = pack(_change(_PLAIN, **changes), "prod")
    assert message.attributes == {BUNDLE: "1", ENV: "prod"}


@pytest.mark.parametrize(
    "changes",
    [
        {"value": b""},
        {"key": b""},
        {"key": b"k" * 1024},
        {"headers": (("a", b""),)},
        {"headers": (("n" * 256, b"1"),)},
        {"headers": (("é" * 128, b"v" * 1024),)},
        {"headers": tuple((name, b"1") for name in ("data", "topic", "retry", "timeout", "self"))},
        {"headers": (("ordering_key", b"1"), ("Goog", b"2"), ("kafka", b"3"))},
    ],
    ids=str,
)
def test_what_attributes_can_hold_goes_plain(changes: dict[str, object]) -> None:
    """Values at the limits and names that trip up clients are no reason for a bundle."""
    record = _change(_PLAIN, **changes)
    message = pack(record, "prod")
    assert BUNDLE not in message.attributes
    assert unpack(message).records == (_by_name(record),)


def _plain_message(**changes: str | None) -> Message:
    """Return a plain message with attributes changed, or removed by None; `__` stands for a dot."""
    attributes = dict(pack(_PLAIN, "prod").attributes)
    for name, value in changes.items():
        if value is None:
            del attributes[name.replace("__", ".")]
        else:
            attributes[name.replace("__", ".")] = value
    return Message(b"value", attributes)


def _bundle_message(data: object, count: str = "1", **attributes: str) -> Message:
    return Message(
        data if isinstance(data, bytes) else msgspec.msgpack.encode(data), {BUNDLE: count, **attributes}
    )


@pytest.mark.parametrize("name", ["kafka.topic", "kafka.partition", "kafka.offset"])
def test_missing_attribute_is_named(name: str) -> None:
    """A message without its topic, partition or offset is malformed, and the error says which."""
    with pytest.raises(MalformedEnvelopeError, match=f"attribute {name} is missing"):
        unpack(_plain_message(**{name: None}))


def test_empty_topic_is_named() -> None:
    """An empty topic is as good as none."""
    with pytest.raises(MalformedEnvelopeError, match=r"attribute kafka\.topic is missing"):
        unpack(_plain_message(kafka__topic=""))


@pytest.mark.parametrize("name", ["kafka.partition", "kafka.offset", "kafka.timestamp"])
@pytest.mark.parametrize(
    "text", ["", "-", "x", "1.0", " 1", "1_0", "+1", "\u0661", "--1", "9" * 19, "-" + "9" * 19, "9" * 5000]
)
def test_wrong_number_is_named(name: str, text: str) -> None:
    """An attribute that is no integer in its range is named, with its text cut to a readable length."""
    with pytest.raises(MalformedEnvelopeError, match=f"attribute {name} is ") as caught:
        unpack(_plain_message(**{name: text}))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("name", "text"), [("kafka.partition", "-1"), ("kafka.partition", str(2**31)), ("kafka.offset", "-1")]
)
def test_number_out_of_range_is_named(name: str, text: str) -> None:
    """A partition is an int32 and an offset an int64, neither is negative."""
    with pytest.raises(MalformedEnvelopeError, match=f"attribute {name} is '{text}'"):
        unpack(_plain_message(**{name: text}))


def test_unknown_kafka_attribute_is_named() -> None:
    """A name that a later bridge might write is refused, not lost."""
    with pytest.raises(MalformedEnvelopeError, match=r"unknown attribute 'kafka\.leader_epoch'"):
        unpack(_plain_message(kafka__leader_epoch="1"))


_ADDED_BY_PUBSUB = {
    "googclient_schemaencoding": "BINARY",
    "CloudPubSubDeadLetterSourceDeliveryCount": "5",
    "CloudPubSubDeadLetterSourceSubscription": "events",
}


def test_attributes_that_pubsub_adds_to_a_plain_message_are_ignored() -> None:
    """A message from the dead-letter topic replays as the record it was."""
    message = pack(_PLAIN, "prod")
    added = Message(message.data, {**message.attributes, **_ADDED_BY_PUBSUB})
    assert unpack(added) == unpack(message)


def test_attributes_that_pubsub_adds_to_a_bundle_are_ignored() -> None:
    """The same holds for a bundle."""
    message = pack_bundle((_PLAIN, _PLAIN), "prod")
    added = Message(message.data, {**message.attributes, **_ADDED_BY_PUBSUB})
    assert unpack(added) == unpack(message)


def test_message_without_environment() -> None:
    """kafka.env may be missing: the environment is then None."""
    assert unpack(_plain_message(kafka__env=None)).env is None
    assert unpack(_bundle_message([_PLAIN])).env is None


@pytest.mark.parametrize("name", ["kafka.topic", "kafka.offset", "item_type_name"])
def test_foreign_attribute_on_a_bundle_is_named(name: str) -> None:
    """What would be a header or a position beside a bundle is refused: it would be lost."""
    with pytest.raises(MalformedEnvelopeError, match=f"unknown attribute '{name}' on a bundle"):
        unpack(_bundle_message([_PLAIN], **{name: "x"}))


@settings(max_examples=80)
@given(st.lists(_records, min_size=1, max_size=2), st.data())
def test_bundle_cut_short_is_malformed(records: list[Record], data: st.DataObject) -> None:
    """A bundle that lost its end, anywhere, is never read as fewer or other records."""
    message = pack_bundle(records, "prod")
    length = data.draw(st.integers(0, len(message.data) - 1))
    with pytest.raises(MalformedEnvelopeError, match=f"bundle of {length} bytes does not parse"):
        unpack(Message(message.data[:length], message.attributes))


def test_bundle_cut_short_at_every_byte_is_malformed() -> None:
    """As above, every byte of one bundle."""
    message = pack_bundle((_PLAIN, _change(_PLAIN, value=None)), "prod")
    for length in range(len(message.data)):
        with pytest.raises(MalformedEnvelopeError):
            unpack(Message(message.data[:length], message.attributes))


def test_bytes_behind_a_bundle_are_malformed() -> None:
    """A bundle ends with its last record."""
    message = pack_bundle((_PLAIN,), "prod")
    with pytest.raises(MalformedEnvelopeError, match="does not parse"):
        unpack(Message(message.data + b"\x00", message.attributes))


@pytest.mark.parametrize("count", ["1", "3", "2147483647"])
def test_wrong_count_is_malformed(count: str) -> None:
    """kafka.bundle must say how many records there are."""
    with pytest.raises(
        MalformedEnvelopeError, match=rf"kafka\.bundle says {count} records, the bundle holds 2"
    ):
        unpack(_bundle_message([_PLAIN, _PLAIN], count))


def test_bundle_of_too_many_records_is_not_opened() -> None:
    """Ten megabytes can hold a million records: over the bridge's own limit not even the first is read."""
    count = MAX_BUNDLE + 1
    with pytest.raises(MalformedEnvelopeError, match="does not parse: Expected `array` of length <= 10000"):
        unpack(_bundle_message([None] * count, str(count)))
    assert len(unpack(_bundle_message([_PLAIN] * MAX_BUNDLE, str(MAX_BUNDLE))).records) == MAX_BUNDLE


@pytest.mark.parametrize("count", ["0", "-1", "", "many", "2147483648"])
def test_count_must_be_positive(count: str) -> None:
    """An empty bundle would be acknowledged without a row, so there is none; nor a count of words."""
    with pytest.raises(MalformedEnvelopeError, match=r"attribute kafka\.bundle is "):
        unpack(_bundle_message([], count))


_FIELDS: list[object] = ["t", 0, 0, None, None, [], b""]


@pytest.mark.parametrize(
    "data",
    [
        {"t": 0},
        b"\xc0",
        [_FIELDS[:6]],
        [[*_FIELDS, None]],
        [["", *_FIELDS[1:]]],
        [[b"t", *_FIELDS[1:]]],
        [["t", -1, *_FIELDS[2:]]],
        [["t", 2**31, *_FIELDS[2:]]],
        [["t", "0", *_FIELDS[2:]]],
        [["t", 0, -1, *_FIELDS[3:]]],
        [["t", 0, 2**63, *_FIELDS[3:]]],
        [["t", 0, 0, 2**63, *_FIELDS[4:]]],
        [["t", 0, 0, 1.5, *_FIELDS[4:]]],
        [["t", 0, 0, None, "key", [], b""]],
        [["t", 0, 0, None, None, {"a": b"1"}, b""]],
        [["t", 0, 0, None, None, [["a"]], b""]],
        [["t", 0, 0, None, None, [["a", b"1", b"2"]], b""]],
        [["t", 0, 0, None, None, [[b"a", b"1"]], b""]],
        [["t", 0, 0, None, None, [[None, b"1"]], b""]],
        [["t", 0, 0, None, None, [["a", "1"]], b""]],
        [["t", 0, 0, None, None, [], "text"]],
        b"\xdd\xff\xff\xff\xff",
        b"\x91\x97\xa1\xff\x00\x00\xc0\xc0\x90\xc4\x00",
    ],
    ids=str,
)
def test_wrong_types_within_a_bundle_are_malformed(data: object) -> None:
    """A field of another type, range or number is refused, not converted."""
    with pytest.raises(MalformedEnvelopeError, match="does not parse"):
        unpack(_bundle_message(data))


def _with_byte(at: int, to: int) -> bytes:
    """Return a bundle of one with one byte changed."""
    data = pack_bundle((_PLAIN,), "").data
    return data[: at % len(data)] + bytes([to]) + data[at % len(data) + 1 :]


_own_names = st.sampled_from([*pack(_PLAIN, "").attributes, BUNDLE, "kafka.x", "goog", ""])
_attribute_texts = st.one_of(st.text(max_size=8), st.integers(-2, 2**65).map(str), st.just("1"))
_spoiled_bundles = st.builds(_with_byte, st.integers(0, 10_000), st.integers(0, 255))


@settings(max_examples=250)
@given(
    st.one_of(st.binary(max_size=60), _spoiled_bundles),
    st.dictionaries(st.one_of(_own_names, st.text(max_size=8)), _attribute_texts, max_size=8),
    st.sampled_from([{}, dict(pack(_PLAIN, "").attributes), {BUNDLE: "1"}]),
)
def test_any_message_is_read_or_malformed(
    data: bytes, attributes: dict[str, str], base: dict[str, str]
) -> None:
    """Arbitrary bytes and attributes give whole records or MalformedEnvelopeError, nothing else."""
    try:
        opened = unpack(Message(data, {**base, **attributes}))
    except MalformedEnvelopeError as error:
        assert str(error)  # noqa: PT017 - either outcome is right
    else:
        assert opened.records
        for record in opened.records:
            assert msgspec.convert(msgspec.to_builtins(record), Record).topic


@pytest.mark.parametrize("pack_one", [pack, lambda record, env: pack_bundle([record], env)])
def test_replayed_message_says_when(pack_one: Callable[[Record, str], Message]) -> None:
    """A message that is sent again opens to the same record, with the time of the replay."""
    record = Record("t", 1, 2, 3, b"k", (("a", b"b"),), b"v")
    message = pack_one(record, "prod")
    marked = Message(message.data, {**message.attributes, "kafka.replayed": "2026-11-24T12:00:00+00:00"})
    assert unpack(marked) == Envelope((record,), "prod", datetime(2026, 11, 24, 12, tzinfo=UTC))
    assert unpack(message).replayed_at is None


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-24T12:00:00"])
def test_replay_without_a_time_is_malformed(text: str) -> None:
    """The mark is a time with its zone, or the message is nobody's."""
    message = pack(Record("t", 1, 2, 3, None, (), b"v"), "prod")
    marked = Message(message.data, {**message.attributes, "kafka.replayed": text})
    with pytest.raises(MalformedEnvelopeError, match=r"kafka\.replayed"):
        unpack(marked)
