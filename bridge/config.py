"""Settings from the environment, the command line and a librdkafka properties file; checked at the start.

docs/settings.md lists each with its default.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Literal, NoReturn, TypeVar

import msgspec

from bridge.properties import ConfigError, kafka_properties
from envelope import MAX_BUNDLE

T = TypeVar("T", bound=str)

# https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names
_PUBSUB_TOPIC = re.compile(r"projects/[a-z0-9][a-z0-9:.-]*/topics/(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}")
# A pattern is read three times: by Python for where to start, by librdkafka as POSIX in the classic protocol,
# by the brokers as RE2 and for the whole name in KIP-848. What this takes means the same to all of them.
_TERM = r"(?:[A-Za-z0-9_.-]|\\\.|\[\^?[A-Za-z0-9._-]+\])(?:[*+?]|\{[0-9]{1,3}\})?"
_GROUP = rf"\((?:{_TERM})*(?:\|(?:{_TERM})*)*\)[*+?]?"
_PATTERN = re.compile(rf"\^(?:{_TERM}|{_GROUP})*(?:\.\*|\$)")
# https://github.com/apache/kafka/blob/4.1/clients/src/main/java/org/apache/kafka/common/internals/Topic.java
_KAFKA_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_OAUTH = "OAUTHBEARER"
_ENV = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class Config(msgspec.Struct, frozen=True):
    """The bridge's settings; `kafka` goes to librdkafka as it is.

    A topic that begins with ^ is a pattern. `bundle` is how many records a message may carry: 1 is the plain
    form, None decides by how many a cycle brings. With `incremental`, a rebalance brings and takes single
    partitions (cooperative-sticky, or KIP-848). With `google_oauth`, the brokers' tokens are those of
    Application Default Credentials.
    """

    env: str
    topics: tuple[str, ...]
    start: Literal["latest", "earliest"]
    on_out_of_range: Literal["stop", "resume"]
    ordering: Literal["none", "partition", "key"]
    bundle: int | None
    kafka: dict[str, str]
    incremental: bool
    google_oauth: bool
    pubsub_topic: str
    dead_letter_topic: str
    health_port: int
    max_records: int
    max_bytes: int


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def load(arguments: Sequence[str], environment: Mapping[str, str]) -> Config:
    """Return the settings.

    Raises:
        ConfigError: one of them is missing or wrong.
    """
    parser = _Parser(prog="python -m bridge", description="Forward Kafka records to Pub/Sub.")
    parser.add_argument("--env", help="name of the environment, kept in every row (default: $ENV, else dev)")
    parser.add_argument(
        "--bundle",
        metavar="N",
        help=f"records in one Pub/Sub message, 1 to {MAX_BUNDLE}, or auto (default: $BRIDGE_BUNDLE, else 1)",
    )
    given = parser.parse_args(arguments)
    env = given.env or environment.get("ENV") or "dev"
    if not _ENV.fullmatch(env):
        raise ConfigError(f"{'--env' if given.env else 'ENV'} is {env!r}: use up to 63 of a-z, 0-9, - and _")
    topics = _topics(environment)
    pubsub_topic = _pubsub_topic(environment, "PUBSUB_TOPIC")
    dead_letter_topic = _pubsub_topic(environment, "PUBSUB_DEAD_LETTER_TOPIC")
    if dead_letter_topic == pubsub_topic:
        raise ConfigError(f"PUBSUB_DEAD_LETTER_TOPIC is PUBSUB_TOPIC, {pubsub_topic}: use another topic")
    kafka = kafka_properties(environment)
    protocol = kafka.get("group.protocol", "classic").lower()  # librdkafka takes it in any case
    assignor = kafka.get("partition.assignment.strategy")
    return Config(
        env=env,
        topics=topics,
        start=_one_of(environment, "BRIDGE_START", ("latest", "earliest")),
        on_out_of_range=_one_of(environment, "BRIDGE_ON_OUT_OF_RANGE", ("stop", "resume")),
        ordering=_one_of(environment, "BRIDGE_ORDERING", ("none", "partition", "key")),
        bundle=_bundle(given.bundle, environment),
        kafka=kafka,
        incremental=protocol == "consumer" or assignor == "cooperative-sticky",
        google_oauth=_wants_google_oauth(kafka),
        pubsub_topic=pubsub_topic,
        dead_letter_topic=dead_letter_topic,
        health_port=_integer(environment, "PORT", 8080, 0, 65_535),
        max_records=_integer(environment, "BRIDGE_MAX_RECORDS", 8_000, 1, 1_000_000),
        max_bytes=_integer(environment, "BRIDGE_MAX_BYTES", 16_000_000, 1, 1_000_000_000),
    )


def _topics(environment: Mapping[str, str]) -> tuple[str, ...]:
    names = (name.strip() for name in _required(environment, "KAFKA_TOPICS").split(","))
    topics = tuple(dict.fromkeys(name for name in names if name))
    if not topics:
        raise ConfigError(
            "KAFKA_TOPICS must be topic names, or patterns that begin with ^, with commas between"
        )
    for topic in topics:
        if topic.startswith("^"):
            _check_pattern(topic)
        elif not _KAFKA_TOPIC.fullmatch(topic):
            raise ConfigError(
                f"KAFKA_TOPICS: {topic!r} is no topic: use up to 249 of a-z, A-Z, 0-9, ., _ and -"
            )
    return topics


def _check_pattern(pattern: str) -> None:
    if not _PATTERN.fullmatch(pattern):
        raise ConfigError(
            f"KAFKA_TOPICS: the pattern {pattern!r}: use ^, characters of names, "
            r". \. [a-z] (a|b) * + ? {2}, and .* or $ at the end"
        )
    try:
        re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"KAFKA_TOPICS: the pattern {pattern!r} is wrong: {error}") from error


def _bundle(argument: str | None, environment: Mapping[str, str]) -> int | None:
    if argument is None:
        argument, name = environment.get("BRIDGE_BUNDLE", "1"), "BRIDGE_BUNDLE"
    else:
        name = "--bundle"
    return None if argument == "auto" else _number(name, argument, 1, MAX_BUNDLE, " or auto")


def _wants_google_oauth(kafka: Mapping[str, str]) -> bool:
    mechanism = kafka.get("sasl.mechanisms", kafka.get("sasl.mechanism", ""))
    return mechanism == _OAUTH and not any(name.startswith("sasl.oauthbearer.") for name in kafka)


def _pubsub_topic(environment: Mapping[str, str], name: str) -> str:
    topic = _required(environment, name)
    if not _PUBSUB_TOPIC.fullmatch(topic):
        raise ConfigError(f"{name} is {topic!r}: use projects/PROJECT/topics/TOPIC")
    return topic


def _integer(environment: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    return _number(name, environment.get(name, str(default)), low, high)


def _number(name: str, text: str, low: int, high: int, otherwise: str = "") -> int:
    if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
        raise ConfigError(f"{name} is {text!r}: use a number from {low} to {high}{otherwise}")
    return int(text)


def _one_of(environment: Mapping[str, str], name: str, choices: tuple[T, ...]) -> T:
    """Return the setting, the first of the choices where it is not set."""
    text = environment.get(name, choices[0])
    for choice in choices:
        if choice == text:
            return choice
    raise ConfigError(f"{name} is {text!r}: use {' or '.join(choices)}")


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise ConfigError(f"{name} is not set")
    return value
