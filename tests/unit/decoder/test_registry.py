"""What is known of the schema registry: what is kept, who waits for an answer and who is told at once."""

import asyncio
import json
import threading
from collections.abc import Iterator

import pytest
from fastavro.types import Schema

from decoder.registry import MAX_KNOWN, PAUSE_S, UNKNOWN_FOR_S, MissingSchemaError, Registry, connect
from decoder.registry_client import Texts
from decoder.schema_file import SchemaKey
from rejection import Reason, RejectedError, TransientError
from tests.unit.decoder.schema_registry import SchemaRegistry

_FIELDS = [
    {"name": "id", "type": "string"},
    {"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "level", "type": "int"},
    {"name": "more", "type": "string"},
]
_SCHEMA: Schema = {"type": "record", "name": "a.R", "fields": _FIELDS}
REGISTERED: Texts = (json.dumps(_SCHEMA).encode(),)


class _Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Asked:
    """A registry that gives an answer, or raises it, and keeps what it was asked for."""

    def __init__(self, answer: Texts | Exception = REGISTERED) -> None:
        self.answer = answer
        self.keys: list[SchemaKey] = []

    def __call__(self, key: SchemaKey) -> Texts:
        """Answer for a key."""
        self.keys.append(key)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def told(registry: Registry, key: SchemaKey) -> Texts | Exception:
    """Return what a record of this id is told, after a look-up where one is needed."""

    async def tell() -> Texts:
        try:
            return registry.schema(key)
        except MissingSchemaError as missing:
            await missing.registry.look_up(missing.key)
            return registry.schema(key)

    try:
        return asyncio.run(tell())
    except (RejectedError, TransientError) as error:
        return error


def test_schema_is_asked_for_once() -> None:
    """A schema never changes under its id, so one question a worker is enough."""
    ask = Asked()
    registry = Registry(ask)
    assert [told(registry, key) for key in (7, 7, bytes(16), bytes(16))] == [REGISTERED] * 4
    assert ask.keys == [7, bytes(16)]


def test_what_is_kept_is_bounded() -> None:
    """Whoever writes ids into records does not decide how much memory they take."""
    ask = Asked()
    registry = Registry(ask)
    for key in range(MAX_KNOWN + 1):
        told(registry, key)
    told(registry, MAX_KNOWN)
    assert len(ask.keys) == MAX_KNOWN + 1
    told(registry, 0)
    assert len(ask.keys) == MAX_KNOWN + 2


def test_unknown_id_is_asked_again_after_a_minute() -> None:
    """An id that the registry lacks is a dead letter each time; it may be registered later."""
    clock, ask = _Clock(), Asked(RejectedError(Reason.UNKNOWN_SCHEMA, "no such id"))
    registry = Registry(ask, clock)
    for _ in range(2):
        error = told(registry, 7)
        assert isinstance(error, RejectedError)
        assert (error.reason, str(error)) == (Reason.UNKNOWN_SCHEMA, "no such id")
    assert ask.keys == [7]
    clock.now += UNKNOWN_FOR_S
    ask.answer = REGISTERED
    assert told(registry, 7) == REGISTERED


def test_an_id_that_fails_says_nothing_of_others() -> None:
    """A registry that answers 500 for one id is asked for it again after a pause, and for others at once."""
    clock, ask = _Clock(), Asked(TransientError("it answers 500"))
    registry = Registry(ask, clock)
    assert [str(told(registry, 7)) for _ in range(2)] == ["it answers 500"] * 2
    assert ask.keys == [7]
    ask.answer = REGISTERED
    assert told(registry, 8) == REGISTERED
    clock.now += PAUSE_S
    assert told(registry, 7) == REGISTERED


def test_silent_registry_is_asked_by_one_at_a_time() -> None:
    """After no answer everybody is told at once, for a pause; then one asks, and an answer ends it."""
    clock, ask = _Clock(), Asked(OSError("http://user:secret@registry refused"))
    registry = Registry(ask, clock)
    for key in (7, 7, 8):
        error = told(registry, key)
        assert isinstance(error, TransientError)
        assert "secret" not in str(error)
    assert ask.keys == [7]
    clock.now += PAUSE_S
    told(registry, 8)
    told(registry, 9)
    assert ask.keys == [7, 8]
    clock.now += PAUSE_S
    ask.answer = REGISTERED
    assert [told(registry, key) for key in (9, 7, 8)] == [REGISTERED] * 3


def test_while_one_asks_after_a_silence_the_others_are_told() -> None:
    """Whether the registry is back, one message waits to know; the others are answered meanwhile."""
    clock, answer = _Clock(), threading.Event()

    def ask(key: SchemaKey) -> Texts:
        if key == 7:
            raise OSError
        answer.wait(10)
        return REGISTERED

    async def ask_again(registry: Registry) -> None:
        await registry.look_up(7)
        clock.now += PAUSE_S
        asking = asyncio.create_task(registry.look_up(8))
        await asyncio.sleep(0)
        with pytest.raises(TransientError, match="no answer from the schema registry"):
            registry.schema(9)
        answer.set()
        await asking
        with pytest.raises(MissingSchemaError):
            registry.schema(9)

    asyncio.run(ask_again(Registry(ask, clock)))


def test_who_waits_behind_a_silence_is_told_with_it() -> None:
    """Ids that wait for a thread while the first gets no answer do not wait for one of their own."""
    clock, ask = _Clock(), Asked(OSError())

    async def told_all(registry: Registry) -> None:
        await asyncio.gather(*(registry.look_up(key) for key in range(20)))

    asyncio.run(told_all(Registry(ask, clock)))
    assert len(ask.keys) < 20


def test_one_question_for_all_who_wait() -> None:
    """Messages of one id share its look-up, and one that gives up does not end it for the others."""
    answer, asked = threading.Event(), threading.Event()
    keys: list[SchemaKey] = []

    def ask(key: SchemaKey) -> Texts:
        keys.append(key)
        asked.set()
        answer.wait(10)
        return REGISTERED

    async def wait(registry: Registry) -> None:
        waiting = [asyncio.create_task(registry.look_up(7)) for _ in range(20)]
        await asyncio.to_thread(asked.wait, 10)
        waiting[0].cancel()
        answer.set()
        await asyncio.gather(*waiting[1:])
        assert registry.schema(7) == REGISTERED

    asyncio.run(wait(Registry(ask)))
    assert keys == [7]


def test_wait_is_bounded() -> None:
    """An answer that takes longer than a message may wait is there for the message's next delivery."""
    answer = threading.Event()

    def ask(_: SchemaKey) -> Texts:
        answer.wait(10)
        return REGISTERED

    async def wait(registry: Registry) -> None:
        with pytest.raises(TransientError, match=r"within 0\.01 s"):
            await registry.look_up(7)
        answer.set()
        while True:
            try:
                assert registry.schema(7) == REGISTERED
            except MissingSchemaError:
                await asyncio.sleep(0.01)
            else:
                return

    asyncio.run(asyncio.wait_for(wait(Registry(ask, wait_s=0.01)), 10))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SchemaRegistry]:
    """Give a real registry that the environment names, which asks for no credentials."""
    server = SchemaRegistry()
    server.add(_SCHEMA, schema_id=7)
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", f"{server.url}/")
    connect.cache_clear()
    yield server
    connect.cache_clear()
    server.stop()


def _connected() -> Registry:
    registry = connect()
    assert registry is not None
    return registry


@pytest.mark.parametrize(
    ("credentials", "header"),
    [
        ("", None),
        ("key:se:cret ü\n", "Basic a2V5OnNlOmNyZXQgw7w="),
        ("eyJhbGciOi.J9-_~+/=", "Bearer eyJhbGciOi.J9-_~+/="),
    ],
    ids=["none", "basic", "bearer"],
)
def test_credentials(
    server: SchemaRegistry, monkeypatch: pytest.MonkeyPatch, credentials: str, header: str | None
) -> None:
    """A user with a password is basic authentication, what has no colon a bearer token."""
    monkeypatch.setenv("SCHEMA_REGISTRY_CREDENTIALS", credentials)
    server.authorization = header
    assert told(_connected(), 7) == REGISTERED
    assert server.asked == ["/schemas/ids/7"]


def test_wrong_credentials_may_be_mended(server: SchemaRegistry) -> None:
    """Who is not let in has records that come again, and no dead letters."""
    server.authorization = "Bearer other"
    assert isinstance(told(_connected(), 7), TransientError)


def test_no_registry_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an address there is none to ask."""
    monkeypatch.delenv("SCHEMA_REGISTRY_URL", raising=False)
    connect.cache_clear()
    assert connect() is None


def test_registry_that_is_gone_is_transient(server: SchemaRegistry) -> None:
    """A refused connection is no answer: requests' own error ends here."""
    server.stop()
    assert str(told(_connected(), 7)) == "no answer from the schema registry"
