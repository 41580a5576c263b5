"""terraform/ through the real terraform program and providers that make nothing."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from decoder.streams import catalog_files
from tests.infra.conftest import LARGE, REPOSITORY
from tests.infra.offline.terraform import Terraform
from tests.infra.readme import README, with_tables

# Findings of the scan that are accepted, each with its reason.
ACCEPTED = {
    ("CKV_GCP_121", "google_bigquery_table.unique"): "a view holds no data to protect",
    ("CKV_GCP_80", "google_bigquery_table.unique"): "a view holds no data to encrypt",
    (
        "CKV_GCP_62",
        "google_storage_bucket.build",
    ): "sources and bills of material; audit logs tell who read them",
}
CHECKOV = REPOSITORY / ".venv-checkov" / "bin" / "checkov"
# The provider's own schema and a checker of it, where somebody put them beside the repository.
CHECKER = REPOSITORY.parent / "shared" / "tools" / "check_terraform.py"


@pytest.mark.needs("terraform")
def test_files_are_formatted() -> None:
    """The files are as terraform fmt writes them."""
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-recursive", "terraform"],
        cwd=REPOSITORY,
        env={**os.environ, "TF_CLI_CONFIG_FILE": os.devnull},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("", 0)


@pytest.mark.needs("terraform")
def test_files_are_valid(tf: Terraform) -> None:
    """Every type, argument and reference is one that there is."""
    assert "Success!" in tf.must("validate")


@pytest.mark.needs("terraform")
def test_an_unknown_argument_is_found(tf: Terraform) -> None:
    """The offline providers do refuse what the real one would."""
    (tf.folder / "wrong.tf").write_text(
        'resource "google_pubsub_topic" "x" {\n name = "x"\n colour = "red"\n}\n'
    )
    assert 'An argument named "colour" is not expected here' in tf.run("validate").stderr


@pytest.mark.needs("terraform")
def test_the_modules_own_tests_pass(tf: Terraform) -> None:
    """`terraform test` passes, all of it."""
    assert re.search(r"Success! [1-9]\d* passed, 0 failed\.\n", tf.must("test"))


@pytest.mark.needs("terraform")
def test_the_real_providers_agree(tmp_path: Path) -> None:
    """Where Terraform's registry can be reached, its providers find the files valid, and the tests pass."""
    for name in ("terraform", "sink"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns(".terraform*"))
    shutil.copy(catalog_files().streams, tmp_path)
    real = Terraform(tmp_path / "terraform", {"TF_CLI_CONFIG_FILE": os.devnull, "TF_CLI_ARGS": "-no-color"})
    started = real.run("init", "-backend=false", "-input=false")
    if re.search(r"could not connect|Failed to install", " ".join(started.stderr.split())):
        pytest.skip("no registry here; test_files_are_valid has asked the offline providers")
    assert started.returncode == 0, started.stderr
    assert "Success!" in real.must("validate")
    assert re.search(r"Success! [1-9]\d* passed, 0 failed\.\n", real.must("test"))


@pytest.mark.needs("terraform")
def test_every_resource_has_the_label_env(tf: Terraform) -> None:
    """The provider labels what it makes with the env, and no resource takes another provider."""
    tf.must("plan", "-input=false", "-out=plan", "-var-file=examples/large.tfvars")
    configuration = json.loads(tf.must("show", "-json", "plan"))["configuration"]
    labels = configuration["provider_config"]["google"]["expressions"]["default_labels"]
    assert labels["references"] == ["var.env"]
    made = [each for each in configuration["root_module"]["resources"] if each["type"].startswith("google_")]
    assert {each["provider_config_key"] for each in made} == {"google"}


@pytest.mark.needs("terraform")
@pytest.mark.parametrize("example", ["small", "large"])
def test_the_examples_plan(tf: Terraform, example: str) -> None:
    """Each example is a plan for an empty project, the small one as docs/deploy.md says."""
    plan = tf.must("plan", "-input=false", f"-var-file=examples/{example}.tfvars")
    (summary,) = re.findall(r"(Plan: \d+ to add), 0 to change, 0 to destroy", plan)
    if example == "small":
        assert f'"{summary}"' in (REPOSITORY / "docs" / "deploy.md").read_text()


@pytest.mark.needs("terraform")
def test_a_second_apply_changes_nothing(applied: Terraform) -> None:
    """What is applied is settled: the next plan is empty."""
    done = applied.run("plan", "-input=false", "-detailed-exitcode", LARGE)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.needs("terraform")
@pytest.mark.parametrize("ordering", ["partition", "key"])
def test_ordering_makes_the_subscription_anew_with_its_grant(applied: Terraform, ordering: str) -> None:
    """To turn ordering on replaces the push subscription, and Pub/Sub's grant on the old one with it."""
    plan = applied.must("plan", "-input=false", LARGE, f'-var=bridge={{ordering="{ordering}"}}')
    assert re.findall(r"# (\S+) (?:must be|will be) replaced", plan) == [
        "google_pubsub_subscription.push",
        "google_pubsub_subscription_iam_member.agent_dead_letters",
    ]
    assert re.search(r"enable_message_ordering +\S+ false -> true # forces replacement", plan)


@pytest.mark.needs("terraform")
def test_other_settings_of_the_bridge_replace_nothing(applied: Terraform) -> None:
    """Bundles and the like change the pool alone."""
    bridge = '{bundle="auto", on_out_of_range="resume", instances=1}'
    plan = applied.must("plan", "-input=false", LARGE, f"-var=bridge={bridge}")
    assert "0 to add" in plan
    assert "0 to destroy" in plan


@pytest.mark.needs("terraform")
def test_a_removed_stream_stops_the_plan(tf: Terraform) -> None:
    """A stream that leaves streams.yaml stops the plan by name, before its table is deleted."""
    tf.must("apply", "-input=false", "-auto-approve", "-var-file=examples/small.tfvars")
    streams = tf.folder.parent / "streams.yaml"
    kept, _, _ = streams.read_text().partition("  # What lies on")
    streams.write_text(kept)
    done = tf.run("plan", "-input=false", "-var-file=examples/small.tfvars")
    assert done.returncode == 1
    assert 'google_bigquery_table.this["physical_stock"]' in done.stderr
    assert "Instance cannot be destroyed" in done.stderr


def test_the_readme_has_the_inputs_and_outputs() -> None:
    """terraform/README.md is what `python -m tests.infra.readme` writes."""
    assert README.read_text() == with_tables(README.read_text())


def test_the_scan_finds_nothing_new() -> None:
    """Checkov's findings are those that are accepted, no more and no fewer."""
    assert CHECKOV.exists(), "make .venv-checkov/ready installs checkov"
    scan = subprocess.run(
        [
            *(str(CHECKOV), "-d", "terraform", "--framework", "terraform"),
            *("--quiet", "--compact", "--skip-download"),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert "Passed checks: " in scan.stdout, scan.stdout + scan.stderr
    found = re.findall(r"Check: (\w+): .*\n\s*FAILED for resource: ([\w.]+)", scan.stdout)
    assert set(found) == set(ACCEPTED), scan.stdout


def test_the_provider_checker_agrees() -> None:
    """Where the whole schema of the provider is at hand, its checker finds nothing."""
    if not CHECKER.exists():
        pytest.skip("no check_terraform.py beside the repository; test_files_are_valid has checked the same")
    done = subprocess.run(
        [sys.executable, str(CHECKER), str(Path("terraform"))],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.rstrip().endswith("0 errors, 0 notes"), done.stdout + done.stderr
