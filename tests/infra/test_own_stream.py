"""A stream that nobody here knows changes nothing for the tests of the infrastructure, and has its table."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.conftest import LARGE
from tests.infra.offline.terraform import terraform
from tests.own_stream import STREAM, copy_with_own_stream, own_environment

pytestmark = pytest.mark.needs("terraform")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the repository with a stream more."""
    return copy_with_own_stream(tmp_path_factory.mktemp("repository"))


def test_the_plan_of_the_documentation_is_that_of_the_frozen_streams(own: Path) -> None:
    """The number of resources in docs/deploy.md is tested with the tests' own streams."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "tests/infra/test_terraform.py::test_the_examples_plan"],
        cwd=own,
        env=own_environment(),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_plan_has_the_table_of_the_stream(own: Path) -> None:
    """Terraform reads the user's streams.yaml."""
    with terraform(own / "terraform") as tf:
        shutil.copy(own / "streams.yaml", tf.folder.parent)
        shutil.copytree(own / "sink", tf.folder.parent / "sink")
        plan = tf.must("plan", "-input=false", "-no-color", LARGE)
    assert f'google_bigquery_table.this["{STREAM}"]' in plan
