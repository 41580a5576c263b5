"""`python -m benchmarks.contender floor|publisher`: what the bridge is compared with, a process each.

`floor` only consumes. `publisher` is what most people write: a future of `PublisherClient.publish` a message.
The settings are the bridge's environment variables. The last line says how many messages, the CPU seconds
from the first to the last, and seconds by the clock.
"""

import json
import os
import sys
import time
from concurrent.futures import Future

from confluent_kafka import Consumer, Message
from google.cloud.pubsub_v1 import PublisherClient
from google.cloud.pubsub_v1.types import BatchSettings

AT_ONCE = 500
WINDOW = 20_000
BATCHES = BatchSettings(max_messages=1_000, max_bytes=5_000_000, max_latency=0.05)


def main() -> None:
    """Take the number of messages that the second argument gives, and report."""
    name, count = sys.argv[1], int(sys.argv[2])
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "group.id": os.environ["KAFKA_GROUP_ID"],
            "auto.offset.reset": "earliest",
            "queued.max.messages.kbytes": 32_768,
            "fetch.max.bytes": 16_777_216,
        }
    )
    publisher = PublisherClient(batch_settings=BATCHES) if name == "publisher" else None
    topic = os.environ["PUBSUB_TOPIC"]
    consumer.subscribe(os.environ["KAFKA_TOPICS"].split(","))
    cpu, started = time.process_time(), time.monotonic()
    taken = 0
    window: list[Future[str]] = []
    while taken < count:
        messages = consumer.consume(min(AT_ONCE, count - taken), 0.1)
        for message in messages:
            if message.error() is not None:
                raise SystemExit(str(message.error()))
        taken += len(messages)
        if publisher is None:
            continue
        window += [publish(publisher, topic, message) for message in messages]
        if len(window) >= WINDOW or taken == count:
            for future in window:
                future.result(60)
            window.clear()
    cpu, seconds = time.process_time() - cpu, time.monotonic() - started
    print(json.dumps({"messages": taken, "cpu_s": cpu, "seconds": seconds}))
    consumer.close()


def publish(publisher: PublisherClient, topic: str, message: Message) -> "Future[str]":
    """Publish a message with its headers and position as attributes."""
    attributes = {name: value.decode() for name, value in message.headers() or ()}  # type: ignore[union-attr, str-unpack]
    attributes["kafka.topic"] = message.topic() or ""
    attributes["kafka.partition"] = str(message.partition())
    attributes["kafka.offset"] = str(message.offset())
    attributes["kafka.timestamp"] = str(message.timestamp()[1])
    future: Future[str] = publisher.publish(topic, message.value() or b"", **attributes)
    return future


if __name__ == "__main__":
    main()
