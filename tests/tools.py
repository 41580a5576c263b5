"""The programs that tests need: what is wrong with them on this machine, and where to get them.

A test names its own with `@pytest.mark.needs("java", "maven")`. This takes Python's standard library alone,
as tests/preflight.py asks before there is an environment.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
JAVA = 17  # the oldest that Apache Kafka 4 runs on
JDK = ("apt install default-jdk-headless (Debian 12 or newer)", "brew install --cask temurin")
GCLOUD_PAGE = "cloud.google.com/sdk/docs/install"


@dataclass(frozen=True)
class Tool:
    """A program: its name for people, how to install it, and what tells why the one here will not do.

    `problem` returns None where it will.
    """

    title: str
    debian: str
    macos: str
    problem: Callable[[], str | None]


def _ask(*command: str) -> str | None:
    """Return what a program prints, None where it is not installed or fails."""
    environment = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    # macOS has a java that only says where to get one.
    return done.stdout + done.stderr if done.returncode == 0 else None


def _java() -> str | None:
    found = re.search(r'version "(?:1\.)?(\d+)', _ask("java", "-version") or "")
    if found is None:
        return "not installed"
    return None if int(found[1]) >= JAVA else f"version {found[1]} is too old"


def _maven() -> str | None:
    # Maven fetches Kafka once.
    version = re.search(r'^VERSION = "(.+)"', (ROOT / "local" / "real_kafka.py").read_text(), re.MULTILINE)
    fetched = version is not None and (ROOT / ".local" / f"kafka-{version[1]}").is_dir()
    return None if fetched or shutil.which("mvn") else "not installed"


def _terraform_needed() -> str:
    text = (ROOT / "terraform" / "versions.tf").read_text()
    found = re.search(r'required_version = ">= ([\d.]+)"', text)
    assert found, "terraform/versions.tf says no required_version"
    return found[1]


def _terraform() -> str | None:
    answer = _ask("terraform", "version", "-json")
    if answer is None:
        return "not installed"
    version = str(json.loads(answer)["terraform_version"])
    numbers, needed = ([int(n) for n in re.findall(r"\d+", text)] for text in (version, _terraform_needed()))
    return None if numbers >= needed else f"version {version} is too old"


def _in_gcloud(*parts: str) -> str | None:
    """Say what is wrong where gcloud's folder has no such file or folder."""
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        return "gcloud is not installed"
    return (
        None
        if Path(gcloud).resolve().parents[1].joinpath(*parts).exists()
        else "gcloud has no such component"
    )


TOOLS = {
    "java": Tool(f"Java {JAVA} or newer", *JDK, _java),
    "javac": Tool(
        "javac, the compiler of a JDK", *JDK, lambda: None if _ask("javac", "-version") else "not installed"
    ),
    "maven": Tool("Maven", "apt install maven", "brew install maven", _maven),
    "terraform": Tool(
        f"Terraform {_terraform_needed()} or newer",
        "developer.hashicorp.com/terraform/install, then apt install terraform",
        "brew install hashicorp/tap/terraform",
        _terraform,
    ),
    "gcloud": Tool(
        "gcloud with its beta commands",
        f"{GCLOUD_PAGE}#deb, then apt install google-cloud-cli",
        "brew install --cask gcloud-cli, then gcloud components install beta",
        lambda: _in_gcloud("lib", "surface", "beta"),
    ),
    "emulator": Tool(
        "gcloud's Pub/Sub emulator",
        f"{GCLOUD_PAGE}#deb, then apt install google-cloud-cli-pubsub-emulator",
        "brew install --cask gcloud-cli, then gcloud components install pubsub-emulator",
        lambda: _in_gcloud("platform", "pubsub-emulator", "bin", "cloud-pubsub-emulator"),
    ),
}


@cache
def problem(name: str) -> str | None:
    """Return what is wrong with a tool, None where it will do; raises KeyError for one that TOOLS has not."""
    return TOOLS[name].problem()


def how_to_install(name: str) -> list[str]:
    """Return a line for each system."""
    return [f"Debian: {TOOLS[name].debian}", f"macOS:  {TOOLS[name].macos}"]


def needed_by(file: Path) -> set[str]:
    """Return the tools that a test file's marks name."""
    marks: Iterable[str] = re.findall(r"\bmark\.needs\(([^)]*)\)", file.read_text())
    return {name for mark in marks for name in re.findall(r'"(\w+)"', mark)}
