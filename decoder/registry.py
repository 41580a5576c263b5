"""What is known of a schema registry, and looking up what is not: beside the event loop, once an id.

`schema` never waits, so that decoding stays a plain function; what it does not know, `look_up` asks. Schemas
never change under their id.
"""

import asyncio
import base64
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

from decoder.registry_client import TIMEOUT_S, Response, Texts, ask, shown
from decoder.schema_file import SchemaKey
from logs import log
from rejection import RejectedError, TransientError

# An id that is unknown now may be registered later; until then it is not asked for again and again.
UNKNOWN_FOR_S = 60.0
# After a failure: who comes meanwhile is told at once.
PAUSE_S = 2.0
MAX_THREADS = 4
# A worker needs a few. Beyond this many the oldest are asked for again.
MAX_KNOWN = 1_000
MAX_FAILED = 10_000


class MissingSchemaError(TransientError):
    """A schema that the registry has to be asked for: `await missing.registry.look_up(missing.key)`."""

    def __init__(self, registry: "Registry", key: SchemaKey) -> None:
        super().__init__(f"the schema of {shown(key)} is not known yet")
        self.registry = registry
        self.key = key


class Registry:
    """`ask` blocks, and raises what decoder.registry_client.ask does; `wait_s` is how long a record waits."""

    def __init__(
        self,
        ask: Callable[[SchemaKey], Texts],
        clock: Callable[[], float] = time.monotonic,
        wait_s: float = TIMEOUT_S,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._wait_s = wait_s
        self._known: dict[SchemaKey, Texts] = {}
        self._failed: dict[SchemaKey, tuple[float, Exception]] = {}  # until when, and with what
        self._asked: dict[SchemaKey, asyncio.Future[None]] = {}
        self._silent_since: float | None = None
        self._ask_again_at = 0.0
        self._turns = asyncio.Semaphore(MAX_THREADS)
        self._threads = ThreadPoolExecutor(MAX_THREADS, "registry")

    def schema(self, key: SchemaKey) -> Texts:
        """Return a schema, behind those that it refers to.

        Raises:
            MissingSchemaError: look it up first. RejectedError, TransientError: so ended a look-up, just now.
        """
        known = self._known.get(key)
        if known is not None:
            return known
        now = self._clock()
        until, error = self._failed.get(key, (now, None))
        if error is not None and now < until:
            raise _anew(error)
        if self._silent_since is not None and now < self._ask_again_at:
            raise TransientError("no answer from the schema registry")
        raise MissingSchemaError(self, key)

    async def look_up(self, key: SchemaKey) -> None:
        """Ask for a schema, or wait for who asks already; what came of it, `schema` says.

        Raises:
            TransientError: the answer takes its time, and is awaited without those who wait here.
        """
        asked = self._asked.get(key)
        if asked is None:
            now = self._clock()
            # After a silence one asks, and until it has an answer the others are not kept waiting.
            self._ask_again_at = now + self._wait_s
            asked = self._asked[key] = asyncio.ensure_future(self._ask_and_keep(key, now))
        try:
            async with asyncio.timeout(self._wait_s):
                await asyncio.shield(asked)
        except TimeoutError:
            raise TransientError(f"no schema of {shown(key)} within {self._wait_s:g} s") from None

    async def _ask_and_keep(self, key: SchemaKey, since: float) -> None:
        try:
            async with self._turns:
                if self._silent_since is not None and self._silent_since >= since:
                    return  # while this waited for its turn: it would wait again, for nothing
                loop = asyncio.get_running_loop()
                texts = await loop.run_in_executor(self._threads, self._ask, key)
        except (RejectedError, TransientError) as error:
            pause_s = UNKNOWN_FOR_S if isinstance(error, RejectedError) else PAUSE_S
            _make_room(self._failed, MAX_FAILED)
            self._failed[key] = (self._clock() + pause_s, _anew(error))
            self._silent_since = None
        except OSError as error:  # requests' errors are OSErrors
            self._silent_since = self._clock()
            self._ask_again_at = self._silent_since + PAUSE_S
            # Without its text, which may repeat the address with a password.
            log.error("no answer from the schema registry: %s", type(error).__name__)
        else:
            _make_room(self._known, MAX_KNOWN)
            self._known[key] = texts
            self._silent_since = None
        finally:
            del self._asked[key]


def _make_room(kept: dict[SchemaKey, Any], most: int) -> None:
    if len(kept) >= most:
        del kept[next(iter(kept))]


def _anew(error: Exception) -> Exception:
    """Return an error without its traces, which hold on to what they passed."""
    text = str(error)
    return RejectedError(error.reason, text) if isinstance(error, RejectedError) else TransientError(text)


@lru_cache(1)
def connect() -> Registry | None:
    """Return the registry at SCHEMA_REGISTRY_URL, None where it is unset.

    SCHEMA_REGISTRY_CREDENTIALS is `user:password`, or a bearer token, which has no colon.
    """
    url = os.environ.get("SCHEMA_REGISTRY_URL", "").rstrip("/")
    if not url:
        return None
    headers = {"Accept": "application/vnd.schemaregistry.v1+json"}
    credentials = os.environ.get("SCHEMA_REGISTRY_CREDENTIALS", "").strip()
    if ":" in credentials:
        headers["Authorization"] = f"Basic {base64.b64encode(credentials.encode()).decode()}"
    elif credentials:
        headers["Authorization"] = f"Bearer {credentials}"

    def get(path: str) -> Response:
        import requests  # noqa: PLC0415 - neither a cold start nor the event loop should wait for it

        # No session, which is one thread's: a worker asks a few times in its life.
        return requests.get(f"{url}{path}", headers=headers, timeout=TIMEOUT_S)

    return Registry(lambda key: ask(get, key))
