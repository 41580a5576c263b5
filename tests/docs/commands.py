"""The commands of the pages: what runs here, and what only can be read here, each with its reason."""

import itertools
import re
import shlex
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.docs import tools
from tests.docs.pages import Part
from tests.docs.world import World

# A word of a page → what it is here.
HERE: Mapping[str, str] = {
    "events_prod": "events",
    "projects/P/": "projects/local/",
    "kafka-bq-prod-events": "events",
}

# Targets of make that are read (`make -n`, and each flag of ARGS in the program's --help), not run.
NOT_RUN: Mapping[str, str] = {
    "audit": "asks the internet",
    "bench-bridge": "minutes; measures, and tests nothing",
    "bench-decode": "minutes",
    "bench-function": "minutes",
    "bench-local": "minutes",
    "clean": "removes what the tests run with",
    "faults": "17 minutes; tests/faults runs each fault a few times",
    "format": "changes files",
    "fuzz": "minutes; test_examples.py runs it for seconds",
    "infra": "tests, which run by themselves",
    "integration": "tests: these",
    "lint": "a check that runs by itself",
    "lock": "asks a package index",
    "test": "tests: these",
    "preflight": "looks at the machine; make test begins with it",
    "record": "half a minute; writes README's picture",
    "terraform-readme": "changes files; tests/infra compares what it writes",
    "typecheck": "a check that runs by itself",
    "unit": "tests, which run by themselves",
    ".venv/run": "the environment that the tests run in",
    ".venv/test": "the environment that the tests run in",
}
RUN = {"help", "check-catalogue"}


@dataclass(frozen=True)
class Command:
    """A command line, and its words without comments."""

    line: str
    words: tuple[str, ...]


def commands(block: Part) -> list[Command]:
    """Return the command lines of a block, continued ones joined."""
    lines = block.text.replace("\\\n", " ").splitlines()
    read = [Command(line.strip(), tuple(shlex.split(line, comments=True))) for line in lines]
    return [command for command in read if command.words]


def check(command: Command, world: World) -> str:
    """Run or read a command; return what it printed.

    Raises:
        AssertionError: it is wrong, or no rule knows it.
    """
    known = CHECKS.get(command.words[0])
    assert known, f"no rule of tests/docs/commands.py knows `{command.line}`"
    return known(command, world)


def _make(command: Command, world: World) -> str:
    _, target, *rest = command.words
    arguments = next((word.removeprefix("ARGS=") for word in rest if word.startswith("ARGS=")), "")
    tools.assert_make_knows(world, target, arguments)
    if target == "run":
        if "--exit" in arguments and "--kafka real" not in arguments:
            return world.verdict()
        return ""  # without an end, or with Apache Kafka: tests/integration/test_local.py
    if target in RUN:
        return world.make(target, arguments)
    assert target in NOT_RUN, f"say in tests/docs/commands.py whether `make {target}` is run"
    return ""


def _python(command: Command, world: World) -> str:
    words = [_here(word, world) for word in command.words[1:]]
    target = words.pop() if words[-2:-1] == [">"] else None
    words = words[:-1] if target else words
    for name in re.findall(r"\S+\.bin\b", command.line):
        options = dict(itertools.pairwise(words))
        if name != target:
            (world.folder / name).write_bytes(world.value(options["--topic"], options["--type"]))
    for name in (word for word in words if word.endswith(".json")):
        (world.folder / name).write_text(world.event(dict(itertools.pairwise(words))["--type"]))
    if target:
        return world.run(["bash", "-c", f"{shlex.join([str(world.python), *words])} > {target}"])
    return world.run([str(world.python), *words])


def _here(word: str, world: World) -> str:
    for there, here in HERE.items():
        word = word.replace(there, here)
    return {"P": "local", "ID": world.dead_letter_id}.get(word, word)


def _gcloud(command: Command, world: World) -> str:
    tools.assert_gcloud_understands(command.line, world)
    return ""


def _terraform(command: Command, world: World) -> str:
    tools.assert_terraform_knows(command.words, world)
    return ""


def _git(command: Command, world: World) -> str:
    tools.assert_git_does(command.line, world)
    return ""


def _copy(command: Command, world: World) -> str:
    source = world.folder / "terraform" / command.words[1]  # behind `cd terraform`
    assert source.exists(), f"{command.line}: there is no {source}"
    return ""


def _folder(command: Command, world: World) -> str:
    name = tomllib.loads((world.folder / "pyproject.toml").read_text())["project"]["name"]
    assert command.words[1] == name or (world.folder / command.words[1]).is_dir(), command.line
    return ""


def _eval(command: Command, world: World) -> str:
    inner = re.search(r"\$\((.*)\)", command.words[1])
    assert inner, command.line
    return check(Command(inner[1], tuple(shlex.split(inner[1]))), world)


# The first word → what is done with the command.
CHECKS: Mapping[str, Callable[[Command, World], str]] = {
    "make": _make,
    ".venv/bin/python": _python,
    "gcloud": _gcloud,
    "terraform": _terraform,
    "git": _git,
    "cp": _copy,
    "cd": _folder,
    "eval": _eval,
}
