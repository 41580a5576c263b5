"""The local stack's records: good ones are rows, spoiled ones dead letters of the reason that they name."""

from collections import Counter
from datetime import UTC, datetime
from itertools import islice
from random import Random

import pytest

from decoder.catalog import Catalog
from decoder.rows import event_row
from decoder.samples import sample_of
from envelope import Record
from local.records import sample_records
from local.spoil import LocalRecord, spoiled
from rejection import RejectedError
from tests.unit.decoder.making import STREAMS, Load, with_fields

_REASONS = {"missing_type_header", "unknown_type", "undecodable", "trailing_bytes", "tombstone"}


def _clock() -> datetime:
    return datetime(2024, 2, 29, 23, 59, 59, 987_654, tzinfo=UTC)


def _take(catalog: Catalog, count: int, ratio: float, seed: int = 7) -> list[LocalRecord]:
    return list(islice(sample_records(catalog, seed, _clock, ratio), count))


def _becomes(record: LocalRecord, catalog: Catalog) -> str | None:
    sent = Record(record.topic, 3, 5, 1_709_251_199_999, record.key, record.headers, record.value)
    try:
        event_row(sent, "local", catalog, 1)
    except RejectedError as rejection:
        return rejection.reason
    return None


def test_each_record_becomes_what_it_says(catalog: Catalog) -> None:
    """A good record is a row, a spoiled one a dead letter of its reason."""
    records = _take(catalog, 1_000, 0.3)
    assert [_becomes(record, catalog) for record in records] == [record.spoiled for record in records]


def test_every_way_occurs(catalog: Catalog) -> None:
    """About as many are spoiled as asked for, in each of the six ways about as often."""
    shares = Counter(record.spoiled for record in _take(catalog, 2_000, 0.3))
    count = 2_000 - shares.pop(None)
    assert 0.25 < count / 2_000 < 0.35
    assert set(shares) == _REASONS
    for reason, number in shares.items():
        assert 0.6 < number / (count / 6 * (2 if reason == "undecodable" else 1)) < 1.4
    assert not any(record.spoiled for record in _take(catalog, 500, 0.0))


def test_same_seed_same_records(catalog: Catalog) -> None:
    """A seed gives the same records again, another seed gives others."""
    assert _take(catalog, 200, 0.1, seed=3) == _take(catalog, 200, 0.1, seed=3)
    assert _take(catalog, 200, 0.1, seed=3) != _take(catalog, 200, 0.1, seed=4)


@pytest.mark.parametrize("framing", ["auto", "schemaless", "container", "single_object", "confluent"])
def test_any_framing_and_type_can_be_spoiled(load: Load, framing: str) -> None:
    """Where a way makes no dead letter, as a missing header where the bytes name the schema, another does."""
    streams = STREAMS.replace("current: true", f"current: true, framing: {framing}")
    uuid = {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}
    loaded = load({"t/A.avsc": with_fields({"name": "u", "type": uuid}, schema_id=3)}, streams)
    rng = Random(5)
    reasons = set()
    for _ in range(60):
        sample = sample_of(loaded.types["t", "n.s.A"], rng, _clock)
        record = spoiled(sample, loaded, rng)
        reasons.add(record.spoiled)
        assert _becomes(record, loaded) == record.spoiled
    named_by_bytes = {"missing_type_header"} if framing in ("single_object", "confluent") else set()
    possible = _REASONS - named_by_bytes - ({"trailing_bytes"} if framing == "container" else set())
    assert reasons == possible


def test_a_type_without_text_can_be_spoiled(load: Load) -> None:
    """An event of numbers alone has no text to spoil: the other ways are taken."""
    fields = [{"name": "id", "type": "long"}, with_fields()["fields"][1]]  # type: ignore[index] # a list
    loaded = load({"t/A.avsc": {**with_fields(), "fields": fields}})
    records = _take(loaded, 100, 1.0)
    assert {record.spoiled for record in records} == _REASONS
    assert [_becomes(record, loaded) for record in records] == [record.spoiled for record in records]
