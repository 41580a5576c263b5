"""Each error of BigQuery, over real HTTP: what it means for a row, and that the next insert is as before."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator

import pytest

from local.processes import free_port
from rejection import RejectedError, TransientError
from sink import connect as sink_connect
from sink.batch import Limits, Outcome
from sink.bigquery import Table, make_row
from sink.errors import ANSWERS, ROW_REASONS, Answer, Verdict
from sink.writer import Writer
from tests.integration.told_bigquery import (
    Behaviour,
    Server,
    answer,
    cut_short,
    drip,
    error,
    reset,
    silent,
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that the function's own connection goes to."""
    made = Server()
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", made.url)
    monkeypatch.setenv("BIGQUERY_PROJECT", "p")
    sink_connect._credentials.cache_clear()  # noqa: SLF001 - they are kept for a process, and this is another
    yield made
    made.stop()


def table(seconds: float = 30.0) -> Table:
    """Return a table that gives an insert so many seconds."""
    made = sink_connect.connect("orders")
    made.insert_s = seconds
    return made


def insert(made: Table, names: str = "ab") -> list[Outcome]:
    """Insert rows of these insertIds; an error for all of them is the outcome of each."""
    try:
        return made.insert([make_row(name, {"n": name}) for name in names])
    except TransientError as failure:
        return [failure] * len(names)


@pytest.mark.parametrize("known", ANSWERS, ids=lambda a: f"{a.status}-{a.reason or 'any'}")
def test_each_answer_of_the_table(server: Server, known: Answer) -> None:
    """A permanent answer costs the row that is at fault alone; a transient one gives no row up."""
    fail = error(known.status, known.reason or "another")
    made = table()
    if known.verdict is Verdict.PERMANENT:
        server.behaviours = [fail, fail]  # both rows, then the first alone; the second alone is taken
        first, second = insert(made)
        assert isinstance(first, RejectedError)
        assert second is None
        assert server.inserted == [["a", "b"], ["a"], ["b"]]
    else:
        # google-auth asks again by itself after 401, with a new token; here there is none to be had.
        server.behaviours = [fail] * (2 if known.status == 401 else 1)
        assert [type(outcome) for outcome in insert(made)] == [TransientError] * 2
        assert server.behaviours == []
    assert insert(made) == [None, None]


def test_inserts_share_one_connection(server: Server) -> None:
    """A connection is kept for the next insert, whatever the answer was."""
    made = table()
    server.behaviours = [answer(200, b"{}"), error(503, "backendError"), answer(302, b"<html>" * 20_000)]
    assert [len(insert(made)) for _ in range(4)] == [2] * 4
    assert server.connections == 1


@pytest.mark.parametrize("reason", [*ROW_REASONS, "another"])
def test_each_reason_of_a_row(server: Server, reason: str) -> None:
    """What a row of a request that was taken is refused for costs it alone, for good where it is at fault."""
    refused = {"insertErrors": [{"index": 0, "errors": [{"reason": reason, "message": "why"}]}]}
    server.behaviours = [answer(200, json.dumps(refused).encode())]
    first, second = insert(table())
    is_at_fault = ROW_REASONS.get(reason) is Verdict.PERMANENT
    assert isinstance(first, RejectedError if is_at_fault else TransientError)
    assert second is None
    assert server.inserted == [["a", "b"]]


@pytest.mark.parametrize("status", [301, 302, 418, 501])
def test_an_answer_that_no_page_lists_gives_nothing_up(server: Server, status: int) -> None:
    """Unknown is transient, and a redirect is not followed."""
    server.behaviours = [answer(status, b"<html>")]
    assert isinstance(insert(table())[0], TransientError)
    assert len(server.inserted) == 1


@pytest.mark.parametrize("broken", [reset, cut_short], ids=["reset", "cut short"])
def test_a_broken_connection_is_tried_once_more_with_the_same_ids(server: Server, broken: Behaviour) -> None:
    """The answer may be lost after the insert: the repeat has the same insertIds, so it changes nothing."""
    made = table()
    server.behaviours = [broken]
    assert insert(made) == [None, None]
    assert server.inserted == [["a", "b"], ["a", "b"]]
    server.behaviours = [broken, broken]
    assert [type(outcome) for outcome in insert(made)] == [TransientError] * 2
    assert len(server.inserted) == 4


@pytest.mark.parametrize(
    "late",
    [silent, drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")],
    ids=["no answer", "an answer that drips"],
)
def test_a_late_answer_is_transient_and_not_asked_for_again(server: Server, late: Behaviour) -> None:
    """An insert has a deadline in all, which bytes that drip do not move."""
    server.behaviours = [late]
    assert [type(outcome) for outcome in insert(table(seconds=0.3))] == [TransientError] * 2
    assert len(server.inserted) == 1
    assert insert(table()) == [None, None]


def test_a_server_that_is_not_there_is_transient(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """A connection that cannot be made is as transient as one that breaks."""
    assert server.inserted == []
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", f"http://127.0.0.1:{free_port()}")
    made = table()
    assert [type(outcome) for outcome in insert(made)] == [TransientError] * 2


def test_a_head_that_drips_is_given_up_by_the_writer(server: Server) -> None:
    """What the insert's own deadline cannot interrupt ends with the writer's."""
    ended = threading.Event()

    def behave(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not ended.wait(0.02):
            connection.sendall(b"x")
        reset(connection)

    server.behaviours = [behave]

    async def write() -> Outcome:
        writer = Writer(sink_connect.connect, Limits(pause_s=0.0), end_within_s=0.3)
        (outcome,) = await writer.write("orders", [make_row("a", {})])
        ended.set()  # so that the thread that is left over ends too
        return outcome

    assert isinstance(asyncio.run(write()), TransientError)
