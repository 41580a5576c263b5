"""Run the stand-in: ``python -m local.standin --port 8085``, until SIGTERM or SIGINT."""

import argparse
import signal
from concurrent.futures import ThreadPoolExecutor

import grpc

from local.standin.broker import Broker
from local.standin.faults import Faults
from local.standin.limits import MAX_REQUEST_BYTES
from local.standin.publisher import Publisher
from local.standin.registry import Registry
from local.standin.subscriber import Subscriber

# A pull that waits for messages holds a thread.
RPCS_AT_ONCE = 64
OPTIONS = (
    # Above the service's limit, so that a request over it gets the service's answer and not gRPC's.
    ("grpc.max_receive_message_length", 4 * MAX_REQUEST_BYTES),
    # Without this a second stand-in on the same port would start, and take half of the connections.
    ("grpc.so_reuseport", 0),
)
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def main() -> None:
    """Serve on 127.0.0.1 until a signal says to stop."""
    parser = argparse.ArgumentParser(prog="python -m local.standin", description="A stand-in for Pub/Sub.")
    parser.add_argument("--port", type=int, required=True, help="TCP port on 127.0.0.1")
    arguments = parser.parse_args()
    # Blocked before the first thread starts: every thread inherits it, and only sigwait below receives them.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    registry = Registry()
    broker = Broker(registry)
    faults = Faults()
    server = grpc.server(ThreadPoolExecutor(max_workers=RPCS_AT_ONCE), options=OPTIONS)
    server.add_generic_rpc_handlers(
        (
            Publisher(registry, broker, faults).handler(),
            Subscriber(registry, broker).handler(),
            faults.handler(),
        )
    )
    server.add_insecure_port(f"127.0.0.1:{arguments.port}")
    server.start()
    print(f"Pub/Sub stand-in ready on 127.0.0.1:{arguments.port}", flush=True)
    signal.sigwait(STOP_SIGNALS)
    server.stop(grace=None).wait()


if __name__ == "__main__":
    main()
