"""Sample records are tried before the first is sent."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from decoder.event_maker import SampleError
from decoder.streams import CATALOG
from local.records import sample_records
from tests.unit.decoder.making import Load, with_fields


@pytest.mark.parametrize("seed", range(4))
def test_every_example_is_tried_at_once(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """One bad example of many is an error when the records are asked for, not some minutes later."""
    monkeypatch.setenv(CATALOG, str(tmp_path))
    loaded = load({"t/A.avsc": with_fields({"name": "note", "type": "string"})})
    examples = [{"note": "good"}] * 5 + [{"note": 7}]
    (tmp_path / "schemas" / "t" / "A.examples.json").write_text(json.dumps(examples))
    with pytest.raises(SampleError, match=r"example 6 is not an event of n\.s\.A: note: 7 is not a string"):
        sample_records(loaded, seed, lambda: datetime.now(UTC))
