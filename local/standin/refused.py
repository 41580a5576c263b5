"""How a request that Pub/Sub would turn down is turned down."""

import grpc


class Refused(Exception):  # noqa: N818 - the caller's mistake is answered, it is no error of the stand-in
    """A request cannot be served: a gRPC status code, and a sentence for the caller."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> Refused:
    """Return an INVALID_ARGUMENT refusal."""
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(name: str) -> Refused:
    """Return a NOT_FOUND refusal for a topic or a subscription."""
    return Refused(grpc.StatusCode.NOT_FOUND, f"Resource not found: {name}")


def already_exists(name: str) -> Refused:
    """Return an ALREADY_EXISTS refusal for a topic or a subscription."""
    return Refused(grpc.StatusCode.ALREADY_EXISTS, f"Resource already exists: {name}")
