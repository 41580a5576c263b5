"""librdkafka's properties: those of the operator's file, the defaults, and those of the bridge's own."""

from collections.abc import Mapping
from pathlib import Path

# What the guarantees stand on (docs/architecture.md): the bridge sets these itself.
_NOT_TO_BE_SET = {
    "auto.commit.interval.ms": "it bounds what a killed bridge repeats",
    "auto.offset.reset": "set BRIDGE_START to latest or earliest instead",
    "default.topic.config": "write its properties each on a line of its own",
    "enable.auto.commit": "the bridge commits what Pub/Sub acknowledged",
    "enable.auto.offset.store": "the bridge stores what Pub/Sub acknowledged",
    "enable.partition.eof": "an end that holds no record is a position too",
}
_OWN = {
    "auto.offset.reset": "error",
    "enable.auto.offset.store": "false",
    "enable.auto.commit": "true",
    "enable.partition.eof": "true",
    "auto.commit.interval.ms": "1000",
    # A producer's; here it would only keep fetch.max.bytes from being smaller than it is.
    "message.max.bytes": "1000",
}
_DEFAULTS = {
    "client.id": "kafka-to-bigquery",
    "isolation.level": "read_committed",
    # A new topic or partition is noticed so soon; what was written before is read all the same.
    "topic.metadata.refresh.interval.ms": "30000",
    # Memory: what waits to be taken, and what one answer of a broker may add to it: these bytes, by
    # partition and in all, are as they travel, and compressed they may hold a hundred times as much.
    "queued.max.messages.kbytes": "32768",
    "fetch.message.max.bytes": "16384",
    "fetch.max.bytes": "262144",
    # More than a cycle takes at once; each costs librdkafka some 600 bytes beside its own.
    "queued.min.messages": "10000",
    # Where they wait, a partition looks again so soon: librdkafka's own second is one of nothing.
    "fetch.queue.backoff.ms": "100",
    # Its lines are no JSON, and twenty a second where a broker refuses: errors come through `error_cb`.
    "log_level": "2",
}
_ASSIGNORS = ("range", "roundrobin", "range,roundrobin", "cooperative-sticky")


class ConfigError(ValueError):
    """A setting is wrong: the text is one line that names it and says what it should be."""


def kafka_properties(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what goes to librdkafka: the file's properties over the defaults, the bridge's own over both.

    Raises:
        ConfigError: the file is wrong, sets what the bridge sets itself, or lacks what there must be.
    """
    file = environment.get("KAFKA_PROPERTIES_FILE")
    given = read_properties(Path(file)) if file else {}
    for name in given:
        reason = "a callback is code, not text" if name.endswith("_cb") else _NOT_TO_BE_SET.get(name)
        if reason:
            raise ConfigError(f"KAFKA_PROPERTIES_FILE {file}: {name} cannot be set: {reason}")
    for name, variable in (("bootstrap.servers", "KAFKA_BOOTSTRAP_SERVERS"), ("group.id", "KAFKA_GROUP_ID")):
        if environment.get(variable):
            given[name] = environment[variable]
        if not given.get(name):
            raise ConfigError(f"{variable} is not set: set it, or {name} in KAFKA_PROPERTIES_FILE")
    assignor = given.get("partition.assignment.strategy")
    if assignor is not None and assignor not in _ASSIGNORS:
        raise ConfigError(
            f"KAFKA_PROPERTIES_FILE {file}: partition.assignment.strategy: use {' or '.join(_ASSIGNORS)}"
        )
    return {**_DEFAULTS, **given, **_OWN}


def read_properties(path: Path) -> dict[str, str]:
    """Return the librdkafka properties in a file: `name=value` a line, # begins a comment line.

    The values may be secrets, so no error repeats one.

    Raises:
        ConfigError: the file cannot be read, or a line is not a property.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"KAFKA_PROPERTIES_FILE {path}: {error.strerror}") from error
    except UnicodeError as error:
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
