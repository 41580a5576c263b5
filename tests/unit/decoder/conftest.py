"""What several tests of the decoder start from."""

import json
from pathlib import Path

import pytest

from decoder.catalog import Catalog, load_catalog
from tests.unit.decoder.making import STREAMS, Load


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Give a function that writes files and loads the catalogue of them."""

    def load(files: dict[str, object], streams: str = STREAMS) -> Catalog:
        (tmp_path / "streams.yaml").write_text(streams)
        for name, schema in files.items():
            path = tmp_path / "schemas" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(schema if isinstance(schema, str) else json.dumps(schema))
        return load_catalog(tmp_path / "streams.yaml", tmp_path / "schemas")

    return load
