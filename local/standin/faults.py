"""Faults on demand: what Pub/Sub does to a publisher on a bad day, for the tests of one.

A service of its own beside Publisher and Subscriber takes the fault to have from now on; `set_fault` asks it.
What happens to a connection rather than to a request is in proxy.py.
"""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Literal, Protocol, cast

import grpc
import msgspec

from local.standin.publish_request import RawPublishRequest
from local.standin.refused import Refused, invalid
from local.standin.rpc import service

SERVICE = "local.standin.Faults"
SET_WITHIN_S = 10.0


class Fault(msgspec.Struct, frozen=True):
    """What happens to requests of the method Publish.

    `none`: nothing. `error`: they are answered with the status `code`, and nothing is stored. `hang`: they
    get no answer until the fault is set anew, and are then served under the new one; those whose client gave
    up are not stored. `lose_answer`: they are served, and whatever the answer was, UNAVAILABLE is told
    instead. `refuse`: those with `marker` in the data of a message are answered INVALID_ARGUMENT, as for a
    message over a limit: nothing of the request is stored.

    Requests to the topics in `spare` (full names) are never hit. Of the others, `share` are (with `refuse`:
    of those with the marker): which ones, in the order of their arrival, depends only on `seed`.
    """

    kind: Literal["none", "error", "hang", "lose_answer", "refuse"] = "none"
    code: str = "UNAVAILABLE"
    share: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 1.0
    spare: tuple[str, ...] = ()
    marker: bytes = b""
    seed: int = 0


class Counts(msgspec.Struct, frozen=True):
    """How many requests a fault has hit."""

    injected: int


class Ask(Protocol):
    """What is used of a method of a grpc.Channel without serializers."""

    def __call__(self, request: bytes, *, timeout: float, wait_for_ready: bool) -> bytes:
        """Send the request, and return the answer."""


class Faults:
    """The fault there is, for any number of threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._random = random.Random()
        self._fault = Fault()
        self._injected = 0

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the service for a gRPC server; the messages are JSON, so it needs no serializers."""
        return service(SERVICE, {"Set": grpc.unary_unary_rpc_method_handler(_Set(self))})

    def set(self, fault: Fault) -> int:
        """Have this fault from now on, and return how many requests the one before has hit.

        Raises:
            Refused: its code is none of an error.
        """
        if fault.code not in grpc.StatusCode.__members__ or fault.code == "OK":
            raise invalid(f"No status code of an error: {fault.code!r}.")
        with self._changed:
            injected, self._injected = self._injected, 0
            self._random.seed(fault.seed)
            self._fault = fault
            self._changed.notify_all()
        return injected

    def meet(self, request: RawPublishRequest, context: grpc.ServicerContext) -> bool:
        """Do to a request what is to happen before it is served, and return whether to lose its answer.

        Raises:
            Refused: what to answer instead of serving it.
        """
        if not context.is_active():  # it waited for a thread for so long
            raise Refused(grpc.StatusCode.CANCELLED, "The client has given up.")
        if self._fault.kind == "none":
            return False
        # A client that goes away must not leave a thread waiting in its name.
        context.add_callback(self._wake)
        with self._changed:
            while (fault := self._fault).kind == "hang" and self._hits(fault, request):
                while self._fault is fault and context.is_active():
                    self._changed.wait()
                if not context.is_active():
                    raise Refused(grpc.StatusCode.CANCELLED, "The client has given up.")
            hit = fault.kind not in ("none", "hang") and self._hits(fault, request)
        if hit and fault.kind == "error":
            raise Refused(grpc.StatusCode[fault.code], "The stand-in was told to fail.")
        if hit and fault.kind == "refuse":
            raise invalid(f"A message of the request contains {fault.marker!r}.")
        return hit

    def _hits(self, fault: Fault, request: RawPublishRequest) -> bool:
        if request.topic in fault.spare:
            return False
        if fault.kind == "refuse" and not any(fault.marker in message.data for message in request.messages):
            return False
        hit = self._random.random() < fault.share
        self._injected += hit
        return hit

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class _Set:
    """The method Set, with a thread of its own: it is answered while requests hang on all the others."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.experimental_thread_pool = ThreadPoolExecutor(max_workers=1)  # grpcio's name

    def __call__(self, payload: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            return msgspec.json.encode(Counts(self._faults.set(msgspec.json.decode(payload, type=Fault))))
        except msgspec.MsgspecError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except Refused as refused:
            context.abort(refused.code, refused.message)
        raise AssertionError  # never reached: abort raises, which its missing types do not tell


def set_fault(address: str, fault: Fault) -> int:
    """Have the stand-in at `address` fail so from now on; returns how many requests the fault before has hit.

    Raises:
        grpc.RpcError: the stand-in is not there, or the fault is none.
    """
    with grpc.insecure_channel(address) as channel:
        ask = cast("Ask", channel.unary_unary(f"/{SERVICE}/Set"))
        answer = ask(msgspec.json.encode(fault), timeout=SET_WITHIN_S, wait_for_ready=True)
    return msgspec.json.decode(answer, type=Counts).injected
