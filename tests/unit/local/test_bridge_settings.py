"""What `python -m local` passes on to the bridge."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bridge.config import load
from local import bridge_settings


class _Recording(Mapping[str, str]):
    """An environment that remembers which names were read."""

    def __init__(self, values: dict[str, str]) -> None:
        self.read: set[str] = set()
        self._values = values

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def test_every_setting_of_the_bridge_is_offered_or_explained(tmp_path: Path) -> None:
    """A setting that the bridge gets is one of --bridge-setting, or has a reason why not."""
    properties = tmp_path / "kafka.properties"
    properties.write_text("")
    environment = _Recording(
        {
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "KAFKA_GROUP_ID": "g",
            "KAFKA_TOPICS": "t",
            "KAFKA_PROPERTIES_FILE": str(properties),
            "PUBSUB_TOPIC": "projects/p-1/topics/events",
            "PUBSUB_DEAD_LETTER_TOPIC": "projects/p-1/topics/dead",
        }
    )
    load([], environment)
    # The one that Google's client reads.
    assert environment.read | {"PUBSUB_EMULATOR_HOST"} == {
        *bridge_settings.OFFERED,
        *bridge_settings.OWNED,
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("BRIDGE_ORDERING", "'BRIDGE_ORDERING' is not NAME=VALUE"),
        ("BRIDGE_ORDER=key", "the bridge has no setting 'BRIDGE_ORDER': use BRIDGE_MAX_BYTES, "),
        ("BRIDGE_BUNDLE=5", "BRIDGE_BUNDLE cannot be set here: use --bundle"),
        ("PORT=80", "PORT cannot be set here: the stack chooses it"),
    ],
)
def test_a_setting_that_cannot_be_passed_on_says_why(text: str, said: str) -> None:
    """An unknown name is not passed on silently, and neither is one that the stack decides."""
    with pytest.raises(argparse.ArgumentTypeError, match=said):
        bridge_settings.setting(text)


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", ""])
def test_a_bundle_is_a_number_or_auto(text: str) -> None:
    """What the bridge would refuse later is refused with the command."""
    with pytest.raises(argparse.ArgumentTypeError, match="is not a number of records from 1, or auto"):
        bridge_settings.bundle(text)


def test_the_flags_become_the_bridges_environment() -> None:
    """--bundle and each --bridge-setting are variables of the bridge, also values with an = in them."""
    parser = argparse.ArgumentParser()
    bridge_settings.add_arguments(parser)
    flags = ["--bundle", "auto", "--bridge-setting", "BRIDGE_ORDERING=key"]
    given = parser.parse_args([*flags, "--bridge-setting", "KAFKA_GROUP_ID=a=b"])
    assert bridge_settings.environment(given) == {
        "BRIDGE_BUNDLE": "auto",
        "BRIDGE_ORDERING": "key",
        "KAFKA_GROUP_ID": "a=b",
    }
    defaults = bridge_settings.environment(parser.parse_args([]))
    assert defaults == {"BRIDGE_BUNDLE": bridge_settings.DEFAULT_BUNDLE}
