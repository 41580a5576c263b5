"""Settings from the environment, the command line and a librdkafka properties file; checked at the start.

docs/operations.md lists each with its default.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

# What the guarantees stand on (docs/architecture.md): the bridge sets these itself.
_OWN_PROPERTIES = {
    "auto.commit.interval.ms": "it bounds what a killed bridge repeats",
    "auto.offset.reset": "set BRIDGE_START to latest or earliest instead",
    "default.topic.config": "write its properties each on a line of its own",
    "enable.auto.commit": "the bridge commits what Pub/Sub acknowledged",
    "enable.auto.offset.store": "the bridge stores what Pub/Sub acknowledged",
    "enable.partition.eof": "the bridge has no use for it",
    "group.protocol": "only the classic protocol is supported",
    "partition.assignment.strategy": "only librdkafka's default, range,roundrobin, is supported",
}
# https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names
_PUBSUB_TOPIC = re.compile(r"projects/[a-z0-9][a-z0-9:.-]*/topics/(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}")
_ENV = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class ConfigError(ValueError):
    """A setting is wrong: the text is one line that names it and says what it should be."""


class Config(msgspec.Struct, frozen=True):
    """The bridge's settings; `kafka` goes to librdkafka as it is."""

    env: str
    topics: tuple[str, ...]
    start: Literal["latest", "earliest"]
    kafka: dict[str, str]
    pubsub_topic: str
    dead_letter_topic: str
    health_port: int
    max_records: int
    max_bytes: int


def load(arguments: Sequence[str], environment: Mapping[str, str]) -> Config:
    """Return the settings.

    Raises:
        ConfigError: one of them is missing or wrong.
    """
    parser = argparse.ArgumentParser(prog="python -m bridge", description="Forward Kafka records to Pub/Sub.")
    parser.add_argument("--env", help="name of the environment, kept in every row (default: $ENV, else dev)")
    env = parser.parse_args(arguments).env or environment.get("ENV") or "dev"
    if not _ENV.fullmatch(env):
        raise ConfigError(f"--env is {env!r}: use up to 63 of a-z, 0-9, - and _")
    names = (name.strip() for name in _required(environment, "KAFKA_TOPICS").split(","))
    topics = tuple(dict.fromkeys(name for name in names if name))
    if not topics or any(name.startswith("^") for name in topics):
        raise ConfigError(
            "KAFKA_TOPICS must be topic names with commas between them; patterns are not supported"
        )
    start = environment.get("BRIDGE_START", "latest")
    if start not in ("latest", "earliest"):
        raise ConfigError(f"BRIDGE_START is {start!r}: use latest or earliest")
    return Config(
        env=env,
        topics=topics,
        start="latest" if start == "latest" else "earliest",
        kafka=_kafka(environment),
        pubsub_topic=_pubsub_topic(environment, "PUBSUB_TOPIC"),
        dead_letter_topic=_pubsub_topic(environment, "PUBSUB_DEAD_LETTER_TOPIC"),
        health_port=_integer(environment, "PORT", 8080, 0, 65_535),
        max_records=_integer(environment, "BRIDGE_MAX_RECORDS", 8_000, 1, 1_000_000),
        max_bytes=_integer(environment, "BRIDGE_MAX_BYTES", 16_000_000, 1, 1_000_000_000),
    )


def read_properties(path: Path) -> dict[str, str]:
    """Return the librdkafka properties in a file: `name=value` a line, # begins a comment line.

    The values may be secrets, so no error repeats one.

    Raises:
        ConfigError: the file cannot be read, or a line is not a property.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"KAFKA_PROPERTIES_FILE {path}: {error}") from error
    properties = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"KAFKA_PROPERTIES_FILE {path}, line {number}: not name=value")
        properties[name.strip()] = value.strip()
    return properties


def _kafka(environment: Mapping[str, str]) -> dict[str, str]:
    file = environment.get("KAFKA_PROPERTIES_FILE")
    given = read_properties(Path(file)) if file else {}
    for name in given:
        reason = "a callback is code, not text" if name.endswith("_cb") else _OWN_PROPERTIES.get(name)
        if reason:
            raise ConfigError(f"KAFKA_PROPERTIES_FILE {file}: {name} cannot be set: {reason}")
    for name, variable in (("bootstrap.servers", "KAFKA_BOOTSTRAP_SERVERS"), ("group.id", "KAFKA_GROUP_ID")):
        if environment.get(variable):
            given[name] = environment[variable]
        if not given.get(name):
            raise ConfigError(f"{variable} is not set: set it, or {name} in KAFKA_PROPERTIES_FILE")
    defaults = {"client.id": "kafka-to-bigquery", "queued.max.messages.kbytes": "32768"}
    own = {
        "auto.offset.reset": "error",
        "enable.auto.offset.store": "false",
        "enable.auto.commit": "true",
        "auto.commit.interval.ms": "1000",
    }
    return {**defaults, **given, **own}


def _pubsub_topic(environment: Mapping[str, str], name: str) -> str:
    topic = _required(environment, name)
    if not _PUBSUB_TOPIC.fullmatch(topic):
        raise ConfigError(f"{name} is {topic!r}: use projects/PROJECT/topics/TOPIC")
    return topic


def _integer(environment: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environment.get(name, str(default))
    if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
        raise ConfigError(f"{name} is {text!r}: use a number from {low} to {high}")
    return int(text)


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise ConfigError(f"{name} is not set")
    return value
