"""What a program says of its own commands and flags."""

import functools
import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.docs.world import World, copy
from tests.infra.gcloud import unparsed


def assert_make_knows(world: World, target: str, arguments: str) -> None:
    """Fail where make has no such target, or the program that it starts none of the flags."""
    planned = world.make(target, arguments, "-n")
    for module in re.findall(r"python -m (\S+)", planned) if arguments else ():
        if module not in {"pip", "pytest"}:
            assert_module_knows(world, [module, *shlex.split(arguments)])


def assert_module_knows(world: World, words: Sequence[str]) -> None:
    """Fail where a module's --help, or that of its command, lacks a command or a flag."""
    module, *rest = words
    path = [module]
    text = _help(world.python, world.folder, *path)
    while rest and re.search(rf"(?<![\w-]){re.escape(rest[0])}(?![\w-])", _choices(text)):
        path.append(rest.pop(0))
        text += _help(world.python, world.folder, *path)
    for flag in (word.partition("=")[0] for word in rest if word.startswith("--")):
        assert re.search(rf"(?<![\w-]){flag}(?![\w-])", text), f"python -m {' '.join(path)} has no {flag}"
    if rest and _choices(text) and not rest[0].startswith("-") and len(path) == 1:
        raise AssertionError(f"python -m {module} has no command {rest[0]}")


def assert_gcloud_understands(command: str, world: World) -> None:
    """Fail where the real gcloud does not parse the command."""
    folder = world.folder / ".gcloud"
    folder.mkdir(exist_ok=True)
    (world.folder / "kafka.properties").touch()
    assert unparsed(command.replace(" PROJECT", " my-project"), folder, world.folder) == "", command


def assert_terraform_knows(words: Sequence[str], world: World) -> None:
    """Fail where the real terraform lacks the command or a flag; tests/infra applies the module itself."""
    rest = [word for word in words[1:] if not word.startswith("-chdir=")]
    names = rest[:2] if rest[0] == "state" else rest[:1]
    # `apply` takes what `plan` does, and says so.
    text = "".join(_terraform_help(world, each) for each in ([*names], ["plan"])[: 1 + (names == ["apply"])])
    for flag in (word.partition("=")[0] for word in rest if word.startswith("-")):
        assert re.search(rf"\s{flag}\b", text), f"terraform {' '.join(names)} has no {flag}"


def assert_git_does(command: str, world: World) -> None:
    """Fail where git does not do it, in a repository with a commit and a branch of that name."""
    folder = world.folder.parent / "git"
    if not folder.exists():
        copy(folder)
        (folder / "terraform" / "prod.tfvars").touch()
        for line in ("init --quiet --initial-branch=main", "add .", "commit --quiet --message=1"):
            _git(folder, line)
    commit = _git(folder, "rev-parse HEAD").strip()
    _git(folder, command.partition(" ")[2].partition("#")[0].replace("COMMIT", commit))


def _git(folder: Path, line: str) -> str:
    options = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *options, *shlex.split(line)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"git {line}: {done.stderr}"
    return done.stdout


@functools.cache
def _help(python: Path, folder: Path, *path: str) -> str:
    done = subprocess.run(
        [python, "-m", *path, "--help"], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"python -m {' '.join(path)} --help: {done.stderr}"
    return done.stdout


def _choices(text: str) -> str:
    """Return the commands that a --help lists."""
    listed = re.findall(r"\{([\w,-]+)\}", text) + re.findall(
        r"^    ?(?:  )?([a-z][\w-]*)(?:  |$)", text, re.MULTILINE
    )
    return " ".join(listed).replace(",", " ")


def _terraform_help(world: World, names: Sequence[str]) -> str:
    done = subprocess.run(
        ["terraform", *names, "-help"],
        cwd=world.folder,
        env={**os.environ, "TF_CLI_CONFIG_FILE": os.devnull},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Usage: terraform" in done.stdout, f"terraform has no command {' '.join(names)}"
    return done.stdout
