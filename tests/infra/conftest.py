"""What terraform/ would make, with every option on: planned and applied by the offline providers."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.infra.offline.terraform import Terraform, terraform

REPOSITORY = Path(__file__).parents[2]
LARGE = "-var-file=examples/large.tfvars"

Resource = dict[str, object]


@contextmanager
def module() -> Iterator[Terraform]:
    """Give the module as it lies in the repository, beside the files that it reads."""
    with terraform(REPOSITORY / "terraform") as started:
        beside = started.folder.parent
        shutil.copy(REPOSITORY / "streams.yaml", beside)
        shutil.copytree(REPOSITORY / "sink", beside / "sink")
        yield started


@pytest.fixture
def tf() -> Iterator[Terraform]:
    """Terraform, nothing applied."""
    with module() as started:
        yield started


@pytest.fixture(scope="session")
def applied() -> Iterator[Terraform]:
    """Terraform, the large example applied."""
    with module() as started:
        started.must("apply", "-input=false", "-auto-approve", LARGE)
        yield started


@pytest.fixture(scope="session")
def resources(applied: Terraform) -> list[Resource]:
    """Return all resources of the large example: address, type, index, values."""
    state = json.loads(applied.must("show", "-json"))
    found: list[Resource] = state["values"]["root_module"]["resources"]
    return found
