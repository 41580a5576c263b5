"""The insert: the request's shape, and what each answer means for each row."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain

import msgspec
import pytest

from rejection import Reason, RejectedError, TransientError
from sink.batch import Outcome
from sink.bigquery import REQUEST_S, Response, Table, make_row


def _response(status: int, content: bytes = b"{}") -> Response:
    return Response(status, content)


@dataclass
class _Post:
    """Stands for the HTTP session: answers each request by its insertIds, and keeps what was posted."""

    answer: Callable[[list[str]], Response | OSError]
    bodies: list[bytes] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)

    def __call__(self, url: str, body: bytes, seconds: float) -> Response:
        assert 0 < seconds <= REQUEST_S
        self.urls.append(url)
        self.bodies.append(body)
        answer = self.answer(self.groups[-1])
        if isinstance(answer, OSError):
            raise answer
        return answer

    @property
    def groups(self) -> list[list[str]]:
        """The insertIds of each request."""
        return [[row["insertId"] for row in json.loads(body)["rows"]] for body in self.bodies]


def _always(*answers: Response | OSError) -> _Post:
    """Answer so in turn, the last one for ever."""
    left = list(answers)
    return _Post(lambda _: left.pop(0) if len(left) > 1 else left[0])


def _insert(post: _Post, names: str = "abc") -> list[Outcome]:
    rows = [make_row(name, {"n": name}) for name in names]
    return Table(post, "https://host", "project.events.orders").insert(rows)


def _errors(*rows: tuple[int, Sequence[str]]) -> Response:
    """Answer 200 with these reasons for these rows."""
    errors = [
        {
            "index": index,
            "errors": [{"reason": r, "location": "n", "debugInfo": "", "message": "why"} for r in reasons],
        }
        for index, reasons in rows
    ]
    answer = {"kind": "bigquery#tableDataInsertAllResponse", "insertErrors": errors}
    return _response(200, json.dumps(answer).encode())


def test_request_is_that_of_insert_all() -> None:
    """One POST to the table's address, with each row's text as it is, its insertId, and skipInvalidRows."""
    post = _always(_response(200, b'{"kind":"bigquery#tableDataInsertAllResponse"}'))
    text = msgspec.Raw(b'{"n":9007199254740993,"t":"\xc3\xbc"}')
    rows = [make_row("id-1", text), make_row("id-2", {})]
    assert Table(post, "https://host", "project.events.orders").insert(rows) == [None, None]
    (url,), (body,) = post.urls, post.bodies
    path = "/bigquery/v2/projects/project/datasets/events/tables/orders/insertAll"
    assert url == f"https://host{path}?prettyPrint=false"
    assert json.loads(body) == {
        "skipInvalidRows": True,
        "rows": [
            {"insertId": "id-1", "json": {"n": 9_007_199_254_740_993, "t": "ü"}},
            {"insertId": "id-2", "json": {}},
        ],
    }


@pytest.mark.parametrize("reason", ["invalid", "invalidQuery", "badRequest"])
def test_row_at_fault_is_refused(reason: str) -> None:
    """A row that BigQuery finds invalid is refused for good, with what it said; its neighbours are in."""
    outcomes = _insert(_always(_errors((1, [reason]))))
    assert (outcomes[0], outcomes[2]) == (None, None)
    refusal = outcomes[1]
    assert isinstance(refusal, RejectedError)
    assert refusal.reason == Reason.ROW_REFUSED
    assert f"{reason} at n: why" in str(refusal)


@pytest.mark.parametrize(
    "reason", ["stopped", "timeout", "backendError", "quotaExceeded", "internalError", ""]
)
def test_row_not_at_fault_is_transient(reason: str) -> None:
    """A row that was only stopped, or met a fault of BigQuery's, may be accepted later."""
    outcomes = _insert(_always(_errors((0, [reason]), (2, ["invalid"]))))
    assert isinstance(outcomes[0], TransientError)
    assert outcomes[1] is None
    assert isinstance(outcomes[2], RejectedError)


def test_one_fault_among_several_errors_refuses_the_row() -> None:
    """A row with more than one error is at fault if any of them says so; without any, it is transient."""
    outcomes = _insert(_always(_errors((0, ["stopped", "invalid"]), (1, []))))
    assert isinstance(outcomes[0], RejectedError)
    assert isinstance(outcomes[1], TransientError)
    assert outcomes[2] is None


@pytest.mark.parametrize("status", [400, 413])
@pytest.mark.parametrize("bad", ["a", "d", "h", "ah", "abcdefgh"])
def test_refused_request_is_halved_until_the_rows_at_fault_stand_alone(status: int, bad: str) -> None:
    """A request that is refused as a whole costs only the rows that are at fault, wherever they stand."""
    post = _Post(
        lambda names: _response(status, b"no such field") if set(names) & set(bad) else _response(200)
    )
    outcomes = _insert(post, "abcdefgh")
    assert [isinstance(outcome, RejectedError) for outcome in outcomes] == [n in bad for n in "abcdefgh"]
    assert all(outcome is None or f"{status} : no such field" in str(outcome) for outcome in outcomes)
    taken = [group for group in post.groups if not set(group) & set(bad)]
    assert sorted(chain.from_iterable(taken)) == [n for n in "abcdefgh" if n not in bad]


def test_transient_answer_within_the_halves_is_transient_for_all() -> None:
    """Where the first half meets an outage the whole group is sent again."""
    post = _Post(lambda names: _response({2: 400, 1: 503}[len(names)]))
    with pytest.raises(TransientError):
        _insert(post, "ab")


def test_outage_within_the_halves_leaves_what_is_settled() -> None:
    """Where a later half meets an outage, rows before it keep their outcomes, and the rest is transient."""
    post = _always(_response(400), _response(200), _response(400), _response(400), _response(503))
    outcomes = _insert(post, "abcd")
    assert outcomes[:2] == [None, None]
    assert isinstance(outcomes[2], RejectedError)
    assert isinstance(outcomes[3], TransientError)


def test_halving_has_a_deadline() -> None:
    """Where every row is refused, the halving ends in time: what is not settled by then is transient."""
    now = [0.0]

    def answer(_: list[str]) -> Response:
        now[0] += 1.0
        return _response(400)

    post = _Post(answer)
    rows = [make_row(str(number), {}) for number in range(500)]
    table = Table(post, "https://host", "p.d.t", insert_s=30.0, clock=lambda: now[0])
    outcomes = table.insert(rows)
    assert len(post.bodies) == 30
    assert len(outcomes) == 500
    assert isinstance(outcomes[0], RejectedError)
    assert isinstance(outcomes[-1], TransientError)


def test_late_answer_is_not_asked_for_again() -> None:
    """An answer that did not come in time is transient at once: a second wait would be as long."""
    post = _always(TimeoutError("15 s"))
    with pytest.raises(TransientError):
        _insert(post)
    assert len(post.bodies) == 1


def test_what_bigquery_says_of_a_row_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Its text repeats values: it is the dead letter's message, and in no log line or transient error."""
    said = b'{"error":{"message":"bad value: secret","errors":[{"reason":"%s","message":"secret"}]}}'
    assert "secret" in str(_insert(_always(_response(400, said % b"invalid")), "a")[0])
    answer = _response(
        200, b'{"insertErrors":[{"index":0,"errors":[{"reason":"stopped","message":"secret"}]}]}'
    )
    assert "secret" not in str(_insert(_always(answer), "a")[0])
    assert "secret" not in caplog.text


@pytest.mark.parametrize("status", [301, 401, 403, 404, 409, 429, 500, 502, 503, 504])
def test_other_status_is_transient(status: int) -> None:
    """A missing table or permission, a quota, an outage: time may change them, no row is given up."""
    post = _always(_response(status, b"<html>\xff</html>"))
    with pytest.raises(TransientError, match=rf"project\.events\.orders: {status}"):
        _insert(post)
    assert len(post.bodies) == 1


def test_lost_connection_is_tried_once_more() -> None:
    """A kept connection that was closed shows only in use: the same request goes out on a new one."""
    post = _always(ConnectionResetError("closed"), _response(200))
    assert _insert(post) == [None, None, None]
    assert len(post.bodies) == 2
    assert post.bodies[0] == post.bodies[1]


def test_lost_twice_is_transient() -> None:
    """All longer waiting is Pub/Sub's."""
    post = _always(ConnectionResetError("closed"))
    with pytest.raises(TransientError, match=r"project\.events\.orders: no answer from BigQuery: closed"):
        _insert(post)
    assert len(post.bodies) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b"\xff",
        b'{"insertErrors": 5}',
        b'{"insertErrors": [{}]}',
        b'{"insertErrors": [{"index": "x"}]}',
        b'{"insertErrors": [{"index": 0, "errors": [{"reason": "\xff"}]}]}',
        b'{"insertErrors": [{"index": 3, "errors": [{"reason": "invalid"}]}]}',
        b'{"insertErrors": [{"index": -1, "errors": [{"reason": "invalid"}]}]}',
    ],
)
def test_answer_that_makes_no_sense_is_transient(content: bytes) -> None:
    """Where nobody can tell what became of the rows they are neither acknowledged nor given up."""
    with pytest.raises(TransientError, match=r"project\.events\.orders"):
        _insert(_always(_response(200, content)))
