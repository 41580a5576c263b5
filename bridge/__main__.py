"""`python -m bridge`: wiring, signals and the exit code."""

import contextlib
import gc
import os
import signal
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaError, KafkaException
from google.auth.exceptions import GoogleAuthError

import logs
from bridge.commits import Commits
from bridge.config import Config, load
from bridge.consumer import StoppedByKafkaError, is_refusal
from bridge.forward import AbandonedError, Forwarder
from bridge.google_oauth import token_source
from bridge.health import Status, serve
from bridge.properties import ConfigError
from bridge.publish import Publisher
from bridge.stub import open_stub
from logs import fields, log

# Cloud Run sends SIGKILL 10 s after SIGTERM: https://cloud.google.com/run/docs/container-contract
ABANDON_AFTER_S = 8.0
EXIT_AFTER_S = 9.5
COMMIT_FOR_S = 3.0
GC_THRESHOLD = 100_000
REUSE_BLOCKS_UP_TO = 16_000_000  # bytes; the largest request is of 10 MB
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Whether, and since when, the bridge has been told to stop.

    A thread waits for the signals: Python's handlers run in the main thread only, which may be inside a
    call to the brokers that takes its time.
    """

    def __init__(self) -> None:
        self._at: float | None = None

    def listen(self) -> None:
        """Wait for SIGTERM or SIGINT from now on; called before any other thread is there."""
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        threading.Thread(target=self._wait, name="stop", daemon=True).start()

    def _wait(self) -> None:
        signal.sigwait(STOP_SIGNALS)
        self._at = time.monotonic()
        exit_after(EXIT_AFTER_S)

    def requested(self) -> bool:
        """Return whether to finish the cycle and stop."""
        return self._at is not None

    def overdue(self) -> bool:
        """Return whether to give the cycle up."""
        return self._at is not None and time.monotonic() - self._at >= ABANDON_AFTER_S


def exit_after(seconds: float) -> None:
    """Leave then in any case: closing the consumer can hang where the brokers do, and SIGKILL comes."""
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()


def reuse_blocks(size: int) -> None:
    """Let malloc keep what is freed of blocks up to that size, in bytes.

    It maps larger ones, each as fresh pages from the kernel, and learns from the first that is freed which
    are: M_MMAP_THRESHOLD in https://man7.org/linux/man-pages/man3/mallopt.3.html. Without it every request
    is fresh pages, a tenth of the CPU of the bundled form.
    """
    bytes(size)


def run(config: Config, stop: Stop) -> int:
    """Forward until told to stop; return the exit code."""
    try:
        stub = open_stub()
    except GoogleAuthError as error:
        raise ConfigError(f"no credentials for Pub/Sub: {error}") from error
    status = Status(time.monotonic)
    commits = Commits(status.warn)
    consumer = _open_consumer(config, status, commits)
    events = Publisher(
        stub,
        config.pubsub_topic,
        config.env,
        stop.overdue,
        ordering=config.ordering,
        bundle=config.bundle,
        observe=status.acknowledged,
    )
    try:
        server = serve(status, config.health_port)
    except OSError as error:
        raise ConfigError(f"PORT {config.health_port}: {error.strerror}") from error
    forwarder = Forwarder(
        consumer,
        events,
        Publisher(stub, config.dead_letter_topic, config.env, stop.overdue),
        status,
        topics=config.topics,
        start=config.start,
        on_out_of_range=config.on_out_of_range,
        incremental=config.incremental,
        max_records=config.max_records,
        max_bytes=config.max_bytes,
        stopping=stop.requested,
        abandoned=stop.overdue,
        clock=time.monotonic,
    )
    # Records make no cycles; looking for some among thousands of them is a tenth of the bridge's CPU.
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    reuse_blocks(REUSE_BLOCKS_UP_TO)
    code = 0
    try:
        forwarder.run()
    except AbandonedError:
        log.warning(
            "told to stop while Pub/Sub does not answer: the cycle is given up and will be read again"
        )
    except (StoppedByKafkaError, KafkaException) as error:
        log.critical("stopped: %s", f"{status.refused}: {error}" if status.refused else error)
        code = 1
    exit_after(EXIT_AFTER_S)
    with contextlib.suppress(KafkaException):  # brokers that do not answer; the counts follow below
        status.report(consumer)
    commits.commit_stored(consumer, COMMIT_FOR_S)  # which is what Pub/Sub acknowledged
    consumer.close()
    server.shutdown()
    log.info("stopped", extra=fields(**status.counts()))
    return code


def _open_consumer(config: Config, status: Status, commits: Commits) -> Consumer:
    def on_error(error: KafkaError) -> None:
        if is_refusal(error):
            status.refuse(f"the brokers refuse the bridge, see KAFKA_PROPERTIES_FILE: {error.str()}")
        else:
            status.warn(error.str())

    callbacks: dict[str, object] = {"error_cb": on_error, "on_commit": commits.on_commit}
    try:
        if config.google_oauth:
            callbacks["oauth_cb"] = token_source()
        return Consumer({**config.kafka, **callbacks})
    except GoogleAuthError as error:
        raise ConfigError(f"no credentials for the brokers' OAUTHBEARER: {error}") from error
    except KafkaException as error:
        text = error.args[0].str()
        for value in config.kafka.values():  # any of them may be a secret
            text = text.replace(f'"{value}"', '"…"')
        raise ConfigError(f"librdkafka refuses a property: {text.strip()}") from None


def main() -> int:
    """Read the settings and run; 2 when one of them is wrong."""
    logs.set_up()
    stop = Stop()
    stop.listen()
    try:
        config = load(sys.argv[1:], os.environ)
        log.info(
            "bridge is starting",
            extra=fields(
                env=config.env, topics=config.topics, pubsub_topic=config.pubsub_topic, start=config.start
            ),
        )
        return run(config, stop)
    except ConfigError as error:
        print(f"bridge: {error}", file=sys.stderr)  # noqa: T201 - one clear line for whoever starts it
        return 2


if __name__ == "__main__":
    sys.exit(main())
