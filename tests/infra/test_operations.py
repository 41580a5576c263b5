"""docs/settings.md has the bridge's settings, docs/operations.md its metrics: each of them and no other."""

import re
from collections.abc import Iterator, Mapping

from prometheus_client import generate_latest

from bridge.config import load
from bridge.health import Status
from tests.infra.conftest import REPOSITORY
from tests.unit.bridge.test_program import SETTINGS

SETTINGS_PAGE = (REPOSITORY / "docs" / "settings.md").read_text()
OPERATIONS_PAGE = (REPOSITORY / "docs" / "operations.md").read_text()


class Environment(Mapping[str, str]):
    """An environment that notes the names it is asked for."""

    def __init__(self, **variables: str) -> None:
        self._variables = variables
        self.asked_for: set[str] = set()

    def __getitem__(self, name: str) -> str:
        """Return the value; KeyError without one, which `get` and `in` come by too."""
        self.asked_for.add(name)
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._variables)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._variables)


def test_the_settings_are_those_that_the_bridge_reads() -> None:
    """The table of settings has every name that the bridge looks up, and none that it does not."""
    environment = Environment(**SETTINGS)
    load([], environment)
    section = SETTINGS_PAGE.partition("## The bridge\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `([A-Z_]+)` \|", section, re.MULTILINE)
    elsewhere = {"PUBSUB_EMULATOR_HOST"}  # bridge/stub.py and Google's client
    assert sorted(listed) == sorted(environment.asked_for | elsewhere)


def test_the_functions_settings_are_those_that_it_reads() -> None:
    """The function's table has every name that its source looks up, and none that it does not."""
    sources = [REPOSITORY / "main.py", REPOSITORY / "logs.py"]
    sources += [*(REPOSITORY / "sink").glob("*.py"), *(REPOSITORY / "decoder").glob("*.py")]
    looked_up = r"(?:environ\.get\(|environ\[|environment, )\"([A-Z_]+)\""
    read = {name for source in sources for name in re.findall(looked_up, source.read_text())}
    section = SETTINGS_PAGE.partition("## The function\n")[2]
    assert sorted(re.findall(r"^\| `([A-Z_]+)` \|", section, re.MULTILINE)) == sorted(read)


def test_the_metrics_are_those_that_the_bridge_has() -> None:
    """The list of metrics has every name of /metrics, and none that is not there."""
    text = generate_latest(Status(lambda: 0.0).registry).decode()
    served = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    (listed,) = re.findall(r"^The metrics are (.*?)\n\n", OPERATIONS_PAGE, re.MULTILINE | re.DOTALL)
    assert sorted(re.findall(r"`(\w+)`", listed)) == sorted(served)
