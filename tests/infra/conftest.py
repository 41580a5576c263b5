"""What terraform/ would make, with every option on: planned and applied by the offline providers."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from decoder.streams import catalog_files
from tests.infra.offline.terraform import Terraform, terraform

REPOSITORY = Path(__file__).parents[2]
LARGE = "-var-file=examples/large.tfvars"

Resource = dict[str, object]


@contextmanager
def module() -> Iterator[Terraform]:
    """Give the module as it is in the repository, with the files that it reads and the frozen streams."""
    with terraform(REPOSITORY / "terraform") as started:
        beside = started.folder.parent
        shutil.copy(catalog_files().streams, beside)
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
