"""How a method of a gRPC service becomes a handler, without generated code.

google-cloud-pubsub ships the messages but no server classes; grpcio's generic handlers need only the names of
the methods and how to read and write their messages.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self, TypeVar, cast

import grpc

from local.standin.refused import Refused


class Codec(Protocol):
    """What a message class does: proto-plus classes have it on the class itself."""

    @classmethod
    def deserialize(cls, payload: bytes) -> Self:
        """Read a message from the wire."""

    @classmethod
    def serialize(cls, instance: Self) -> bytes:
        """Write a message for the wire."""


class Empty:
    """google.protobuf.Empty: no fields, so no bytes."""

    @classmethod
    def deserialize(cls, _payload: bytes) -> Self:
        """Read nothing."""
        return cls()

    @classmethod
    def serialize(cls, _instance: Self) -> bytes:
        """Write nothing."""
        return b""


Request = TypeVar("Request", bound=Codec)
Response = TypeVar("Response", bound=Codec)


def unary(
    answer: Callable[[Request, grpc.ServicerContext], Response],
    request: type[Request],
    response: type[Response],
) -> "grpc.RpcMethodHandler[Request, Response]":
    """Return the handler of a method with one request and one response; Refused becomes its gRPC status."""

    def handle(message: Request, context: grpc.ServicerContext) -> Response:
        try:
            return answer(message, context)
        except Refused as refused:
            context.abort(refused.code, refused.message)
            raise  # never reached: abort raises, which its missing types do not tell

    return grpc.unary_unary_rpc_method_handler(
        handle, request_deserializer=request.deserialize, response_serializer=response.serialize
    )


def service(name: str, methods: Mapping[str, object]) -> grpc.GenericRpcHandler:
    """Return a service for a gRPC server from its full name and its methods' handlers."""
    handlers = cast("dict[str, grpc.RpcMethodHandler[Any, Any]]", dict(methods))
    return grpc.method_handlers_generic_handler(name, handlers)
