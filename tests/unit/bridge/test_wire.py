"""What is made by hand is byte for byte a message of Google's own classes."""

from google.pubsub_v1.types import pubsub
from hypothesis import given
from hypothesis import strategies as st

import envelope
from bridge import wire
from envelope import Message, Record

TOPIC = "projects/p/topics/events"
INT64 = st.integers(0, 2**63 - 1)
# The plain form's own cases, its limits and what is over them.
NAMES = st.one_of(
    st.sampled_from(
        ["a", "b", "item_type_name", "kafka.x", "googclient", "", "n" * 256, "n" * 257, "ü" * 128]
    ),
    st.text(st.characters(codec="utf-8"), max_size=20),
)
VALUES = st.one_of(
    st.none(),
    st.sampled_from([b"", b"x" * 1_024, b"x" * 1_025, b"\\xff", "ü€🔑".encode()]),
    st.binary(max_size=20),
    st.text(max_size=20).map(lambda text: text.encode(errors="replace")),
)
RECORDS = st.builds(
    Record,
    topic=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    partition=st.integers(0, 2**31 - 1),
    offset=INT64,
    timestamp=st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
    key=VALUES,
    headers=st.one_of(
        st.lists(st.tuples(NAMES, VALUES), max_size=6).map(tuple),
        st.integers(90, 105).map(lambda n: tuple((f"h{i}", b"x") for i in range(n))),
    ),
    value=st.one_of(VALUES, st.integers(100, 70_000).map(bytes)),
)
KEYS = st.one_of(st.just(""), st.text(st.characters(codec="utf-8"), max_size=20))


def of_google(messages: list[Message], key: str) -> pubsub.PublishRequest:
    """Return the request that Google's classes make."""
    return pubsub.PublishRequest(
        topic=TOPIC,
        messages=[
            pubsub.PubsubMessage(data=m.data, attributes=m.attributes, ordering_key=key) for m in messages
        ],
    )


@given(st.lists(RECORDS, max_size=4), KEYS)
def test_packed_records_are_what_envelope_says(records: list[Record], key: str) -> None:
    """Any record is packed to the message of `envelope.pack`, also when parts of it are kept."""
    packer = wire.Packer("test")
    expected = of_google([envelope.pack(record, "test") for record in records], key)
    for _ in range(2):
        made = wire.request(TOPIC, [packer.pack(record, key) for record in records])
        assert pubsub.PublishRequest.deserialize(made) == expected
        # Of a size with Google's: nothing is there twice, nothing that is a default.
        assert len(made) == len(pubsub.PublishRequest.serialize(expected))


@given(st.binary(max_size=40_000), st.dictionaries(NAMES, st.text(st.characters(codec="utf-8"))), KEYS)
def test_any_message_is_what_google_makes(data: bytes, attributes: dict[str, str], key: str) -> None:
    """Any bytes and any attributes, of any length, are read back by Google's classes as they were."""
    made = wire.request(TOPIC, [wire.message(Message(data, attributes), key)])
    assert pubsub.PublishRequest.deserialize(made) == of_google([Message(data, attributes)], key)


def test_headers_kept_are_bounded() -> None:
    """However many different headers there are, what is kept of them stays small."""
    packer = wire.Packer("test")
    for number in range(3 * wire.KEPT):
        packer.pack(Record("t", 0, number, None, None, (("id", b"%d" % number),), b"v"))
    assert len(packer._headers) <= wire.KEPT  # noqa: SLF001 - nothing else tells
