"""The worker pool of terraform/ and the bridge agree: its settings are read, its probes are answered."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from bridge.config import Config, load
from bridge.health import Status, serve
from bridge.properties import ConfigError
from tests.infra.conftest import LARGE, REPOSITORY, Resource
from tests.infra.offline.terraform import Terraform
from tests.infra.test_watching import values

pytestmark = pytest.mark.needs("terraform")


def container(resources: list[Resource]) -> Resource:
    """Return the container of the pool."""
    (pool,) = values(resources, "google_cloud_run_v2_worker_pool")
    (template,) = cast("list[Resource]", pool["template"])
    (only,) = cast("list[Resource]", template["containers"])
    return only


def config(resources: list[Resource], folder: Path, **changed: str) -> Config:
    """Return what the bridge reads from the pool's settings, some changed, and a file of properties."""
    variables = cast("list[dict[str, str]]", container(resources)["env"])
    environment = {each["name"]: each["value"] for each in variables}
    properties = folder / Path(environment["KAFKA_PROPERTIES_FILE"]).name
    properties.write_text("bootstrap.servers=broker:9092\n")
    environment |= {"KAFKA_PROPERTIES_FILE": str(properties), **changed}
    for name in ("PUBSUB_TOPIC", "PUBSUB_DEAD_LETTER_TOPIC"):  # the offline provider's ids are names
        environment[name] = f"projects/my-project/topics/{environment[name]}"
    return load(cast("list[str]", container(resources)["args"]), environment)


def test_the_bridge_reads_its_settings(resources: list[Resource], tmp_path: Path) -> None:
    """What the pool is given is what the bridge takes."""
    read = config(resources, tmp_path)
    assert (read.env, read.bundle, read.ordering) == ("prod", 100, "none")
    assert (read.start, read.on_out_of_range, read.google_oauth) == ("latest", "stop", False)
    assert read.health_port == 8080


def test_each_choice_reaches_the_bridge(applied: Terraform, tmp_path: Path) -> None:
    """What is chosen in Terraform, none of it a default, is what the bridge reads."""
    chosen = '{start="earliest", on_out_of_range="resume", ordering="key", bundle="250", group_id="other"}'
    applied.must("plan", "-input=false", LARGE, f"-var=bridge={chosen}", f"-out={tmp_path / 'plan'}")
    plan = json.loads(applied.must("show", "-json", str(tmp_path / "plan")))
    read = config(plan["planned_values"]["root_module"]["resources"], tmp_path)
    assert (read.start, read.on_out_of_range, read.ordering) == ("earliest", "resume", "key")
    assert (read.bundle, read.kafka["group.id"]) == (250, "other")


def test_the_bridge_knows_each_choice(resources: list[Resource], tmp_path: Path) -> None:
    """What the validations let through, the bridge takes; and it takes nothing that they do not."""
    text = (REPOSITORY / "terraform" / "variables.tf").read_text()
    for name in ("start", "on_out_of_range", "ordering"):
        (choices,) = re.findall(rf"contains\(\[([^]]+)\], var\.bridge\.{name}\)", text)
        words = re.findall(r'"(\w+)"', choices)
        variable = f"BRIDGE_{name.upper()}"
        for word in words:
            config(resources, tmp_path, **{variable: word})
        with pytest.raises(ConfigError, match=f"use {' or '.join(words)}$"):
            config(resources, tmp_path, **{variable: "?"})
    (pattern,) = re.findall(r'regex\("([^"]+)", var\.bridge\.bundle\)', text)
    for bundle in ("auto", "1", "10", "9999", "10000", "0", "10001", "-1", "1.5", "", "AUTO"):
        try:
            config(resources, tmp_path, BRIDGE_BUNDLE=bundle)
        except ConfigError:
            assert not re.search(pattern, bundle), bundle
        else:
            assert re.search(pattern, bundle), bundle


def test_the_documented_properties_of_managed_kafka(resources: list[Resource], tmp_path: Path) -> None:
    """The properties of docs/deploy.md for Managed Kafka make the bridge ask for Google's tokens."""
    page = (REPOSITORY / "docs" / "deploy.md").read_text()
    (block,) = re.findall(r"```properties\n([^`]*managedkafka[^`]*cloud\.goog[^`]*)```", page)
    file = tmp_path / "managed.properties"
    file.write_text(block)
    assert config(resources, tmp_path, KAFKA_PROPERTIES_FILE=str(file)).google_oauth


@pytest.fixture
def outage() -> Iterator[int]:
    """Serve the health of a bridge that has just come up and for which Pub/Sub is out; gives the port."""
    status = Status(lambda: 0.0)
    status.degraded = "Pub/Sub does not take records"
    server = serve(status, 0)
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def answer(port: int, path: str) -> int:
    """Return the status of a GET."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
            return cast("int", response.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("probe", ["startup_probe", "liveness_probe"])
def test_an_outage_of_pubsub_restarts_nothing(
    probe: str, resources: list[Resource], tmp_path: Path, outage: int
) -> None:
    """A probe asks where the bridge listens, and passes with Pub/Sub out and no partition there yet."""
    (settings,) = cast("list[Resource]", container(resources)[probe])
    (get,) = cast("list[Resource]", settings["http_get"])
    assert answer(outage, "/readyz") == 503
    assert answer(outage, str(get["path"])) == 200
    assert get["port"] == config(resources, tmp_path).health_port
