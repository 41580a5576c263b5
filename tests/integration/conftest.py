"""Servers that the tests of several files use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.worlds import Pubsub


@pytest.fixture(scope="module")
def shared_pubsub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pubsub]:
    """Give a Pub/Sub that stays up, for all tests."""
    server = Pubsub(tmp_path_factory.mktemp("pubsub"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def own_pubsub(tmp_path: Path) -> Iterator[Pubsub]:
    """Give a Pub/Sub that the test may stop."""
    server = Pubsub(tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.stop()
