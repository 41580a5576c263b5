"""Every setting has the default that is documented, and a wrong one stops the start with a line naming it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.config import load
from bridge.properties import ConfigError, read_properties

MINIMAL = {
    "KAFKA_TOPICS": "orders",
    "KAFKA_BOOTSTRAP_SERVERS": "broker:9092",
    "KAFKA_GROUP_ID": "bridge",
    "PUBSUB_TOPIC": "projects/p/topics/events",
    "PUBSUB_DEAD_LETTER_TOPIC": "projects/p/topics/events-dead-letter",
}
SECRET = "hunter2-do-not-print"

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Give a function that writes a properties file."""

    def write_file(text: str) -> Path:
        path = tmp_path / "kafka.properties"
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


def refusal(environment: dict[str, str], arguments: tuple[str, ...] = ()) -> str:
    """Return the one line with which the settings are refused."""
    with pytest.raises(ConfigError) as caught:
        load(arguments, environment)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_defaults() -> None:
    """The five required settings are enough; all others have a default."""
    config = load([], MINIMAL)
    assert config.env == "dev"
    assert config.topics == ("orders",)
    assert config.start == "latest"
    assert config.pubsub_topic == "projects/p/topics/events"
    assert config.dead_letter_topic == "projects/p/topics/events-dead-letter"
    assert config.health_port == 8080
    assert config.max_records == 8_000
    assert config.max_bytes == 16_000_000


def test_properties_that_the_guarantees_stand_on() -> None:
    """Offsets are stored by the bridge alone, committed every second, and out of range is an error."""
    kafka = load([], MINIMAL).kafka
    assert kafka == {
        "bootstrap.servers": "broker:9092",
        "group.id": "bridge",
        "client.id": "kafka-to-bigquery",
        "isolation.level": "read_committed",
        "topic.metadata.refresh.interval.ms": "30000",
        "queued.max.messages.kbytes": "32768",
        "fetch.message.max.bytes": "16384",
        "fetch.max.bytes": "262144",
        "message.max.bytes": "1000",
        "queued.min.messages": "10000",
        "fetch.queue.backoff.ms": "100",
        "log_level": "2",
        "auto.offset.reset": "error",
        "enable.auto.offset.store": "false",
        "enable.auto.commit": "true",
        "auto.commit.interval.ms": "1000",
        "enable.partition.eof": "true",
    }


def test_each_setting_is_read() -> None:
    """What the environment says takes the place of each default."""
    config = load(
        [],
        {
            **MINIMAL,
            "KAFKA_TOPICS": " orders, ,stock ,",
            "BRIDGE_START": "earliest",
            "PORT": "0",
            "BRIDGE_MAX_RECORDS": "1",
            "BRIDGE_MAX_BYTES": "1000000000",
        },
    )
    assert config.topics == ("orders", "stock")
    assert config.start == "earliest"
    assert (config.health_port, config.max_records, config.max_bytes) == (0, 1, 1_000_000_000)


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (["--env", "prod"], {"ENV": "test"}, "prod"),
        ([], {"ENV": "test"}, "test"),
        ([], {"ENV": ""}, "dev"),
        (["--env", "a" * 63], {}, "a" * 63),
    ],
)
def test_env_comes_from_option_then_environment(
    arguments: list[str], environment: dict[str, str], expected: str
) -> None:
    """The option --env has the first word, then ENV, then dev."""
    assert load(arguments, MINIMAL | environment).env == expected


@pytest.mark.parametrize("name", sorted(MINIMAL))
@pytest.mark.parametrize("how", ["missing", "empty"])
def test_missing_setting_is_named(name: str, how: str) -> None:
    """A required setting that is missing or empty is named."""
    environment = {key: value for key, value in MINIMAL.items() if key != name}
    if how == "empty":
        environment[name] = ""
    assert name in refusal(environment)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KAFKA_TOPICS", " , "),
        ("KAFKA_TOPICS", "orders,^stock["),
        ("KAFKA_TOPICS", "^[z-a]$"),
        ("KAFKA_TOPICS", "a/b"),
        ("PUBSUB_DEAD_LETTER_TOPIC", "projects/p/topics/events"),
        ("BRIDGE_ON_OUT_OF_RANGE", "skip"),
        ("BRIDGE_ORDERING", "topic"),
        ("BRIDGE_BUNDLE", "0"),
        ("BRIDGE_BUNDLE", "10001"),
        ("BRIDGE_BUNDLE", "some"),
        ("BRIDGE_START", "newest"),
        ("BRIDGE_START", ""),
        ("BRIDGE_START", "Latest"),
        ("PUBSUB_TOPIC", "events"),
        ("PUBSUB_TOPIC", "projects/p/subscriptions/events"),
        ("PUBSUB_TOPIC", "projects/p/topics/events/more"),
        ("PUBSUB_TOPIC", "projects//topics/events"),
        ("PUBSUB_DEAD_LETTER_TOPIC", "projects/p/topics/"),
        ("PORT", "http"),
        ("PORT", "-1"),
        ("PORT", "65536"),
        ("PORT", ""),
        ("BRIDGE_MAX_RECORDS", "0"),
        ("BRIDGE_MAX_RECORDS", "1_000"),
        ("BRIDGE_MAX_RECORDS", "1000001"),
        ("BRIDGE_MAX_BYTES", "0"),
        ("BRIDGE_MAX_BYTES", "16MB"),
        ("BRIDGE_MAX_BYTES", "٣"),
        ("KAFKA_PROPERTIES_FILE", "/no/such/file"),
    ],
)
def test_wrong_setting_is_named(name: str, value: str) -> None:
    """A setting that is out of its bounds is named."""
    assert name in refusal({**MINIMAL, name: value})


@pytest.mark.parametrize("name", ["PUBSUB_TOPIC", "PUBSUB_DEAD_LETTER_TOPIC"])
@pytest.mark.parametrize(
    "topic",
    [
        "projects/p/topics/events\n",
        "projects/p/topics/my events",
        "projects/p/topics/ab",
        "projects/p/topics/1events",
        "projects/p/topics/googevents",
        "projects/p /topics/events",
    ],
)
def test_topic_that_pubsub_would_refuse_is_named(name: str, topic: str) -> None:
    """A name that no topic can have stops the start: Pub/Sub would answer INVALID_ARGUMENT to every record.

    https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names
    """
    assert name in refusal({**MINIMAL, name: topic})


def test_topic_given_twice_is_one() -> None:
    """A topic named twice is one topic: librdkafka refuses a subscription that repeats one."""
    assert load([], {**MINIMAL, "KAFKA_TOPICS": "orders,stock,orders"}).topics == ("orders", "stock")


@pytest.mark.parametrize("env", ["Prod", "a b", "-x", "a" * 64, "prod\n", "ä"])
def test_wrong_env_is_named(env: str) -> None:
    """An environment's name that a label could not hold is refused."""
    assert "--env" in refusal(MINIMAL, (f"--env={env}",))


def test_properties_file_reaches_librdkafka(write: Write) -> None:
    """Comments, blank lines, spaces around names and values, and `=` within a value are all read right."""
    path = write(
        "# how to reach the cluster\n"
        "\n"
        "   # indented comment\n"
        "security.protocol=SASL_SSL\n"
        "  sasl.username =  someone  \n"
        "sasl.password=a=b==#c\n"
        "client.id=mine\n"
        "sasl.oauthbearer.config=\n"
        "message.max.bytes=9000000\n"
    )
    kafka = load([], {**MINIMAL, "KAFKA_PROPERTIES_FILE": str(path)}).kafka
    assert kafka["security.protocol"] == "SASL_SSL"
    assert kafka["message.max.bytes"] == "1000"  # a producer's: librdkafka would refuse fetch.max.bytes
    assert kafka["sasl.username"] == "someone"
    assert kafka["sasl.password"] == "a=b==#c"
    assert kafka["sasl.oauthbearer.config"] == ""
    assert kafka["client.id"] == "mine"
    assert kafka["enable.auto.offset.store"] == "false"


def test_servers_and_group_may_stand_in_the_file(write: Write) -> None:
    """The file may name servers and group; the environment has the last word."""
    path = write("bootstrap.servers=file:1\ngroup.id=file\n")
    environment = {k: v for k, v in MINIMAL.items() if not k.startswith("KAFKA_")}
    environment |= {"KAFKA_TOPICS": "orders", "KAFKA_PROPERTIES_FILE": str(path)}
    kafka = load([], environment).kafka
    assert (kafka["bootstrap.servers"], kafka["group.id"]) == ("file:1", "file")
    kafka = load([], {**environment, "KAFKA_GROUP_ID": "mine"}).kafka
    assert (kafka["bootstrap.servers"], kafka["group.id"]) == ("file:1", "mine")


@pytest.mark.parametrize("line", [SECRET, f"={SECRET}", f"  = {SECRET}"])
def test_bad_line_is_numbered_and_not_repeated(write: Write, line: str) -> None:
    """A line that is no property is named by file and number, without its text."""
    path = write(f"# comment\nsasl.username=x\n{line}\n")
    text = refusal({**MINIMAL, "KAFKA_PROPERTIES_FILE": str(path)})
    assert "KAFKA_PROPERTIES_FILE" in text
    assert "line 3" in text
    assert SECRET not in text


@pytest.mark.parametrize(
    "name",
    [
        "auto.offset.reset",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.partition.eof",
    ],
)
def test_owned_property_is_refused(write: Write, name: str) -> None:
    """A property that the guarantees stand on is refused by name, without its value."""
    path = write(f"sasl.password={SECRET}\n{name} = {SECRET}\n")
    text = refusal({**MINIMAL, "KAFKA_PROPERTIES_FILE": str(path)})
    assert "KAFKA_PROPERTIES_FILE" in text
    assert name in text
    assert SECRET not in text


def test_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    """A file that is not UTF-8 is named, without its content."""
    path = tmp_path / "kafka.properties"
    path.write_bytes(f"sasl.password={SECRET}".encode() + b"\xff")
    with pytest.raises(ConfigError, match="KAFKA_PROPERTIES_FILE") as caught:
        read_properties(path)
    assert SECRET not in str(caught.value)


def test_new_settings() -> None:
    """Patterns, ordering, bundles and the gap policy are read; the command line's bundle wins."""
    config = load([], MINIMAL)
    assert (config.ordering, config.bundle, config.on_out_of_range) == ("none", 1, "stop")
    environment = {
        **MINIMAL,
        "KAFKA_TOPICS": "^orders_.*,stock",
        "BRIDGE_ORDERING": "key",
        "BRIDGE_BUNDLE": "200",
        "BRIDGE_ON_OUT_OF_RANGE": "resume",
    }
    config = load([], environment)
    assert config.topics == ("^orders_.*", "stock")
    assert (config.ordering, config.bundle, config.on_out_of_range) == ("key", 200, "resume")
    assert load(["--bundle=auto"], environment).bundle is None
    assert load(["--bundle", "7"], environment).bundle == 7
    assert "--bundle" in refusal(MINIMAL, ("--bundle=x",))


@pytest.mark.parametrize(
    ("line", "incremental"),
    [
        ("group.protocol=consumer", True),
        ("group.protocol=CONSUMER", True),
        ("group.protocol=classic", False),
        ("partition.assignment.strategy=cooperative-sticky", True),
        ("partition.assignment.strategy=roundrobin", False),
        ("", False),
    ],
)
def test_how_a_rebalance_comes(write: Write, line: str, incremental: bool) -> None:  # noqa: FBT001
    """cooperative-sticky and KIP-848 bring and take single partitions, the others all at once."""
    config = load([], {**MINIMAL, "KAFKA_PROPERTIES_FILE": str(write(f"{line}\n"))})
    assert config.incremental == incremental


def test_unknown_assignor_is_named(write: Write) -> None:
    """An assignor that is none of librdkafka's, or a mix of eager and cooperative, is refused."""
    path = write("partition.assignment.strategy=cooperative-sticky,range\n")
    assert "cooperative-sticky" in refusal({**MINIMAL, "KAFKA_PROPERTIES_FILE": str(path)})


@pytest.mark.parametrize(
    ("lines", "google"),
    [
        ("sasl.mechanisms=OAUTHBEARER\n", True),
        ("sasl.mechanism=OAUTHBEARER\n", True),
        ("sasl.mechanisms=OAUTHBEARER\nsasl.oauthbearer.method=oidc\n", False),
        ("sasl.mechanisms=SCRAM-SHA-512\n", False),
    ],
)
def test_oauthbearer_without_a_method_is_google(write: Write, lines: str, google: bool) -> None:  # noqa: FBT001
    """OAUTHBEARER takes Google's tokens unless the file says where others come from."""
    assert load([], {**MINIMAL, "KAFKA_PROPERTIES_FILE": str(write(lines))}).google_oauth == google


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "^orders_",
            "^a|b$",
            "^a+b",
            "^(?i)a$",
            "^(?:a|b)$",
            "^a.*?b$",
            "^a++$",
            "^a{x$",
            "^a{1",
            "^(a",
            "^*$",
        ),
        *(r"^a\d+$", r"^\w$", r"^a\>$", r"^orders[\-_]v[0-9]$", "^[[:alpha:]]$", "^a[_[:digit:]]+$", "^a$b$"),
    ],
)
def test_pattern_that_is_not_read_alike_is_refused(pattern: str) -> None:
    """Where the start is looked for, POSIX and the brokers' RE2 must mean the same topics."""
    text = refusal({**MINIMAL, "KAFKA_TOPICS": pattern})
    assert text.startswith(f"KAFKA_TOPICS: the pattern {pattern!r}: use ")


@pytest.mark.parametrize(
    "pattern",
    [
        "^.*",
        r"^a\.b$",
        "^[a-z]+_v[0-9]{2}$",
        "^(a|b)?c*$",
        "^orders[_-]v[0-9].*",
        "^(|x-)[^a.]b$",
        "^a(-.*)?$",
    ],
)
def test_pattern_that_is_read_alike(pattern: str) -> None:
    """What has one meaning is taken."""
    assert load([], {**MINIMAL, "KAFKA_TOPICS": pattern}).topics == (pattern,)


def test_argument_that_is_none_is_named_in_one_line() -> None:
    """A wrong argument is refused as a wrong setting is."""
    assert "--envv" in refusal(MINIMAL, ("--envv=prod", "x"))
