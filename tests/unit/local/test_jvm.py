"""Every JVM that the local stack starts has a heap limit, which the user's own options override."""

import subprocess
from pathlib import Path

import pytest

from local import pubsub, real_kafka
from local.processes import StartError


def _script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a gcloud CLI with an emulator, a Java and a Maven that print their options first in PATH."""
    folder = tmp_path / "sdk" / "bin"
    _script(folder / "gcloud", "exit 1")
    _script(folder / "java", "exit 1")
    _script(folder / "mvn", 'echo "$MAVEN_OPTS"; exit 1')
    emulator = folder.parent / "platform" / "pubsub-emulator" / "bin" / "cloud-pubsub-emulator"
    _script(emulator, 'echo "$CLOUD_PUBSUB_EMULATOR_OPTS"')
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


@pytest.mark.usefixtures("tools")
def test_the_pubsub_emulator_has_a_heap_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The script passes the options to Java, and an -Xmx of the user comes last, so it wins."""
    monkeypatch.setenv("CLOUD_PUBSUB_EMULATOR_OPTS", "-Xmx2g -Dx=y")
    run = subprocess.run(pubsub.emulator_command(1), capture_output=True, text=True, check=True)
    assert run.stdout.startswith("-Xmx256m ")
    assert run.stdout.endswith(" -Xmx2g -Dx=y\n")


@pytest.mark.usefixtures("tools")
def test_maven_has_a_heap_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Maven has one while it fetches Apache Kafka."""
    monkeypatch.setattr(real_kafka, "JARS", tmp_path / "jars")
    monkeypatch.setenv("MAVEN_OPTS", "-Dx=y")
    with pytest.raises(StartError, match="-Xmx256m -Dx=y"):
        real_kafka.fetch_jars()


def test_apache_kafka_has_a_heap_limit() -> None:
    """The brokers' options have one."""
    assert "-Xmx512m" in real_kafka.JVM
