"""cloudbuild.yaml: Google's own message, and command lines that the real gcloud understands."""

import re
import shlex
from pathlib import Path
from typing import cast

import pytest
import yaml
from google.cloud.devtools import cloudbuild_v1
from google.protobuf.json_format import ParseDict

from tests.infra.conftest import REPOSITORY, Resource
from tests.infra.gcloud import unparsed
from tests.infra.test_watching import values

CONFIG = yaml.safe_load((REPOSITORY / "cloudbuild.yaml").read_text())
BUILT_IN = {"PROJECT_ID": "my-project", "COMMIT_SHA": "0123abc", "BUILD_ID": "1"}


def expand(text: str, **given: str) -> str:
    """Return the text with substitutions in place, as Cloud Build does with dynamicSubstitutions."""
    known = {**BUILT_IN, **CONFIG["substitutions"], **given}
    for _ in range(3):
        text = re.sub(r"(?<!\$)\$\{?([A-Z_]+)\}?", lambda m: known[m[1]], text)
    return text


def build_steps() -> list[str]:
    """Return the gcloud commands of the build."""
    steps = [step for step in CONFIG["steps"] if step.get("entrypoint") == "gcloud"]
    return [shlex.join(["gcloud", *(expand(arg) for arg in step["args"])]) for step in steps]


def test_it_is_a_build() -> None:
    """The file is a Build of Cloud Build's API, strictly: an unknown key fails."""
    message = cloudbuild_v1.Build.pb(cloudbuild_v1.Build())
    ParseDict(CONFIG, message)
    assert len(message.steps) == len({step.id for step in message.steps}) >= 8


def test_substitutions_are_defined_and_used() -> None:
    """Each substitution in a step has a default, and each default is used."""
    text = (REPOSITORY / "cloudbuild.yaml").read_text().partition("\nsteps:")[2]
    used = set(re.findall(r"(?<!\$)\$\{?(_[A-Z_]+)\}?", text + str(CONFIG["substitutions"])))
    assert used - set(CONFIG["substitutions"]) == set()
    assert set(CONFIG["substitutions"]) - used == set()


@pytest.mark.needs("terraform")
def test_neither_undoes_the_other(resources: list[Resource]) -> None:
    """The deployment says beside the source what Terraform says, so that it changes nothing else."""
    (function,) = values(resources, "google_cloudfunctions2_function")
    (build,) = cast("list[Resource]", function["build_config"])
    (service,) = cast("list[Resource]", function["service_config"])
    (deploy,) = [step["args"] for step in CONFIG["steps"] if step["id"] == "deploy-function"]
    flags = dict(expand(arg, _ENV="prod")[2:].split("=", 1) for arg in deploy if "=" in arg)
    assert deploy[2] == "${_NAME}-decoder"
    assert function["name"] == "kafka-bq-prod-decoder"
    assert flags.pop("source") == "."
    assert flags.pop("region") == function["location"]
    assert flags.pop("runtime") == build["runtime"]
    assert flags.pop("entry-point") == build["entry_point"]
    assert flags.pop("ingress-settings").replace("-", "_").upper() in str(service["ingress_settings"])
    assert flags.pop("run-service-account") == service["service_account_email"]
    # Of these two the offline provider's ids are the last part.
    assert flags.pop("build-service-account").endswith(
        f"/{build['service_account']}@my-project.iam.gserviceaccount.com"
    )
    assert flags.pop("docker-repository").endswith(f"/{build['docker_repository']}")
    assert flags == {}


def test_no_step_sets_a_policy() -> None:
    """Who may invoke the function is Terraform's; the build may not set policies, and gcloud would."""
    assert "allow-unauthenticated" not in (REPOSITORY / "cloudbuild.yaml").read_text()


@pytest.mark.needs("gcloud")
@pytest.mark.parametrize("command", build_steps())
def test_gcloud_understands(command: str, tmp_path: Path) -> None:
    """The real gcloud parses each command of the build, up to the credentials; tests/docs has the pages'."""
    assert unparsed(command, tmp_path, REPOSITORY) == ""
