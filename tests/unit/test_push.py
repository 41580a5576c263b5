"""The request: Pub/Sub's push body in all its forms, and every other body refused by name."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envelope import Message
from push import Delivery, MalformedRequestError, receive

_STRUCTURED = "application/cloudevents+json; charset=utf-8"
_PUSH: dict[str, object] = {
    "message": {
        "data": base64.b64encode(b"\x00\xffvalue").decode(),
        "attributes": {"kafka.topic": "t", "item_type_name": "a.B"},
        "messageId": "136969346945",
        "message_id": "136969346945",
        "publishTime": "2024-02-29T23:59:59.987Z",
        "publish_time": "2024-02-29T23:59:59.987Z",
        "orderingKey": "",
    },
    "subscription": "projects/p/subscriptions/s",
    "deliveryAttempt": 3,
}
_DELIVERY = Delivery(
    message=Message(b"\x00\xffvalue", {"kafka.topic": "t", "item_type_name": "a.B"}),
    message_id="136969346945",
    publish_time="2024-02-29T23:59:59.987Z",
    attempt=3,
)


def _body(push: object = _PUSH) -> bytes:
    return json.dumps(push).encode()


def _of_message(message: object) -> bytes:
    return _body({"message": message})


def test_push_body() -> None:
    """The body that a push subscription sends gives its message, whatever else stands in it."""
    assert receive("application/json", _body()) == _DELIVERY


@pytest.mark.parametrize("content_type", ["", "application/json; charset=utf-8", "text/plain"])
def test_content_type_of_a_push_does_not_matter(content_type: str) -> None:
    """A binary CloudEvent has the same body and its own content type; a push may have none."""
    assert receive(content_type, _body()) == _DELIVERY


def test_structured_event_with_data() -> None:
    """A structured CloudEvent has the push body in its data."""
    event = {"specversion": "1.0", "type": "google.cloud.pubsub.topic.v1.messagePublished", "data": _PUSH}
    assert receive(_STRUCTURED, _body(event)) == _DELIVERY


def test_structured_event_with_base64_data() -> None:
    """As above, with the body as base64."""
    event = {"specversion": "1.0", "data_base64": base64.b64encode(_body()).decode()}
    assert receive(_STRUCTURED, _body(event)) == _DELIVERY


def test_media_type_has_no_case() -> None:
    """RFC 9110: media types compare without case."""
    assert receive("Application/CloudEvents+JSON", _body({"data": _PUSH})) == _DELIVERY


def test_message_without_data() -> None:
    """Pub/Sub leaves out empty data: an empty Kafka value, not an error."""
    delivery = receive("", _of_message({"messageId": "1", "attributes": {"a": "b"}}))
    assert delivery == Delivery(Message(b"", {"a": "b"}), "1", None, None)


def test_message_without_attributes() -> None:
    """A message of another publisher may have none: that is for the envelope to judge."""
    assert receive("", _of_message({"messageId": "1", "data": "YQ=="})).message == Message(b"a", {})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "truncated"),
        (b"not json", "malformed"),
        (b"\xff\xfe", "malformed"),
        (_body()[:-1], "truncated"),
        (_body() + b"x", "malformed"),
        (b"[]", "Expected `object`, got `array`"),
        (b"{}", "missing required field `message`"),
        (_body({"message": None}), r"got `null` - at `\$\.message`"),
        (_body({"message": "text"}), r"got `str` - at `\$\.message`"),
        (_of_message({}), r"message\.messageId is missing or empty"),
        (_of_message({"messageId": ""}), r"message\.messageId is missing or empty"),
        (_of_message({"messageId": 5}), r"got `int` - at `\$\.message\.messageId`"),
        (_of_message({"messageId": "1", "data": "a"}), r"base64.*at `\$\.message\.data`"),
        (_of_message({"messageId": "1", "data": "-_-_"}), r"base64.*at `\$\.message\.data`"),
        (_of_message({"messageId": "1", "data": 5}), r"at `\$\.message\.data`"),
        (_of_message({"messageId": "1", "attributes": []}), r"at `\$\.message\.attributes`"),
        (_of_message({"messageId": "1", "attributes": {"a": 1}}), r"at `\$\.message\.attributes\[\.\.\.\]`"),
        (_of_message({"messageId": "1", "attributes": {"a": None}}), r"\$\.message\.attributes"),
        (_body({**_PUSH, "deliveryAttempt": "x"}), r"at `\$\.deliveryAttempt`"),
        (b'{"message":{"messageId":"\xff"}}', "can't decode byte 0xff"),
        (b'{"message":{"messageId":"\\ud800"}}', "not a Pub/Sub push"),
    ],
)
def test_wrong_push_body_says_where(body: bytes, said: str) -> None:
    """The error gives the size of the body, and the place and kind of what is wrong."""
    with pytest.raises(MalformedRequestError, match=said):
        receive("application/json", body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{}", "neither data nor data_base64"),
        (_body(_PUSH), "neither data nor data_base64"),
        (_body({"data": None}), r"got `null` - at `\$\.data`"),
        (_body({"data": "text"}), r"got `str` - at `\$\.data`"),
        (_body({"data": {}}), r"missing required field `message` - at `\$\.data`"),
        (_body({"data_base64": "?"}), r"base64.*at `\$\.data_base64`"),
        (_body({"data_base64": base64.b64encode(b"{").decode()}), "truncated"),
        (_body({"data": {"message": {"data": "YQ=="}}}), "messageId is missing"),
        (b"{", "truncated"),
    ],
)
def test_wrong_structured_event_says_where(body: bytes, said: str) -> None:
    """A structured CloudEvent without a push body in it is refused in the same way."""
    with pytest.raises(MalformedRequestError, match=said):
        receive(_STRUCTURED, body)


@pytest.mark.parametrize(
    "content_type", ["application/json", _STRUCTURED], ids=["push", "structured CloudEvent"]
)
def test_deep_nesting_is_malformed(content_type: str) -> None:
    """JSON nested deeper than the parser goes is a malformed request like any other."""
    with pytest.raises(MalformedRequestError):
        receive(content_type, b'{"x":' + b"[" * 100_000)


_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "message",
                    "data",
                    "data_base64",
                    "attributes",
                    "messageId",
                    "publishTime",
                    "deliveryAttempt",
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=250)
@given(
    st.sampled_from(["", "application/json", _STRUCTURED]),
    st.one_of(
        st.binary(max_size=60),
        _json.map(_body),
        _json.map(_of_message),
        _json.map(lambda data: _body({"data": {"message": data}})),
        st.binary(max_size=30).map(lambda junk: b'{"message":{"messageId":"1' + junk + b'"}}'),
        st.binary(max_size=30).map(lambda b: _body({"data_base64": base64.b64encode(b).decode()})),
    ),
)
def test_any_body_is_a_delivery_or_malformed(content_type: str, body: bytes) -> None:
    """Arbitrary bytes and JSON give a delivery with an id, or MalformedRequestError, nothing else."""
    try:
        delivery = receive(content_type, body)
    except MalformedRequestError as error:
        assert str(error)  # noqa: PT017 - either outcome is right
    else:
        assert delivery.message_id
