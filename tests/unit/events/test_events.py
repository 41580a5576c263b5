"""The sample events are what they claim to be: good ones decode, spoiled ones fail as named."""

import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random

import fastavro
import pytest
import yaml
from fastavro.types import Schema

from decoder.examples import SUFFIX
from decoder.streams import catalog_files
from tests.events import SampleEvent, bad_events, sample_events
from tests.events.__main__ import example_files

_COUNT = 2_000
_REASONS = {"missing_type_header", "unknown_type", "undecodable", "trailing_bytes", "tombstone"}


def _clock() -> datetime:
    return datetime(2024, 2, 29, 23, 59, 59, 987_654, tzinfo=UTC)


def _take(count: int, seed: int = 7, spoil_ratio: float = 0.0) -> list[SampleEvent]:
    return list(islice(sample_events(seed, _clock, spoil_ratio), count))


@pytest.fixture(scope="module")
def good() -> list[SampleEvent]:
    """Give records none of which is spoiled."""
    return _take(_COUNT)


@pytest.fixture(scope="module")
def spoiled() -> list[SampleEvent]:
    """Give spoiled records only."""
    return [sample for sample in _take(_COUNT, spoil_ratio=0.3) if sample.spoiled]


@pytest.fixture(scope="module")
def schemas() -> Mapping[tuple[str, str], Schema]:
    """Give the schema of each topic and header value, read from the files."""
    by_type = {}
    for path in catalog_files().schemas.glob("*/*.avsc"):
        raw = json.loads(path.read_bytes())
        names = raw.pop("item_types", [f"{raw['namespace']}.{raw['name']}"])
        parsed = fastavro.parse_schema(raw)
        by_type.update({(path.parent.name, name): parsed for name in names})
    return by_type


def _is_container(sample: SampleEvent) -> bool:
    return (sample.value or b"").startswith(b"Obj\x01")


def _decode(sample: SampleEvent, schema: Schema) -> tuple[object, bytes]:
    """Return the event and the bytes behind it."""
    stream = io.BytesIO(sample.value or b"")
    event = fastavro.schemaless_reader(stream, schema, None)
    return event, stream.read()


def test_good_event_round_trips(good: list[SampleEvent], schemas: Mapping[tuple[str, str], Schema]) -> None:
    """A value decodes under the type's schema to the event it was made from, with no byte left."""
    for sample in good:
        if not _is_container(sample):
            assert _decode(sample, schemas[sample.topic, sample.item_type_name]) == (sample.event, b"")


def test_container_round_trips(good: list[SampleEvent]) -> None:
    """A few percent are containers of one event whose schema has the name of the type."""
    containers = [sample for sample in good if _is_container(sample)]
    assert 0.01 < len(containers) / len(good) < 0.06
    for sample in containers:
        reader = fastavro.reader(io.BytesIO(sample.value or b""))
        assert list(reader) == [sample.event]
        assert isinstance(reader.writer_schema, dict)
        assert reader.writer_schema["name"] == sample.item_type_name


def test_every_type_appears(good: list[SampleEvent], schemas: Mapping[tuple[str, str], Schema]) -> None:
    """Every type that has a schema is sent, and no other."""
    assert {(sample.topic, sample.item_type_name) for sample in good} == set(schemas)


def test_every_topic_appears(good: list[SampleEvent]) -> None:
    """Every topic of streams.yaml gets events, delivery_changed more than any other stream."""
    streams = yaml.safe_load(catalog_files().streams.read_text())["streams"]
    stream_of = {topic["name"]: name for name, stream in streams.items() for topic in stream["topics"]}
    counts = Counter(stream_of[sample.topic] for sample in good)
    assert set(counts) == set(streams)
    assert counts.most_common(1)[0][0] == "delivery_changed"
    assert {sample.topic for sample in good} == set(stream_of)


def _parts(schema: Schema, value: object) -> Iterator[tuple[Schema, object, str]]:
    """Yield what is directly in a value: its schema, the part, and a name for where it is."""
    if isinstance(schema, list):
        for branch in schema:
            fields = branch.get("fields", ()) if isinstance(branch, dict) else ()
            if fields and isinstance(value, dict) and {field["name"] for field in fields} == set(value):
                yield branch, value, ""
            elif isinstance(branch, dict) and value in branch.get("symbols", ()):
                yield branch, value, " enum"
    elif isinstance(schema, dict) and isinstance(value, dict):
        yield from ((schema["values"], part, "[]") for part in value.values() if "values" in schema)
        for field in schema.get("fields", ()):
            yield field["type"], value[field["name"]], f".{field['name']}"
    elif isinstance(schema, dict) and isinstance(value, list):
        yield from ((schema["items"], part, "[]") for part in value)


def _note_choices(
    schema: Schema, value: object, path: str, seen: dict[str, set[object]], possible: dict[str, int]
) -> None:
    """Note under each path which union branches and enum symbols the value took, and how many there are."""
    if isinstance(schema, list):
        possible[path] = len(schema)
        seen.setdefault(path, set()).add(frozenset(value) if isinstance(value, dict) else type(value))
    elif isinstance(schema, dict) and "symbols" in schema:
        possible[path] = len(schema["symbols"])
        seen.setdefault(path, set()).add(value)
    for inner, part, name in _parts(schema, value):
        _note_choices(inner, part, path + name, seen, possible)


def test_every_choice_of_the_schemas_is_taken(
    good: list[SampleEvent], schemas: Mapping[tuple[str, str], Schema]
) -> None:
    """Every branch of every union and every symbol of every enum occurs."""
    seen: dict[str, set[object]] = {}
    possible: dict[str, int] = {}
    for sample in good:
        schema = schemas[sample.topic, sample.item_type_name]
        assert isinstance(schema, dict)
        _note_choices(schema, sample.event, str(schema["name"]), seen, possible)
    assert {path: len(kinds) for path, kinds in seen.items()} == possible


def test_same_seed_same_records() -> None:
    """A seed gives the same records again, another seed gives others."""
    assert _take(300, seed=3, spoil_ratio=0.1) == _take(300, seed=3, spoil_ratio=0.1)
    assert _take(300, seed=3) != _take(300, seed=4)


def test_timestamp_is_the_clocks() -> None:
    """An event happens now; the clock is read for each one."""
    moments = (_clock() + timedelta(seconds=passed) for passed in range(1_000))
    before = _clock() - timedelta(seconds=1)
    for sample in islice(sample_events(5, lambda: next(moments), 0), 100):
        now = sample.event["timestamp"]
        assert isinstance(now, datetime)
        assert now > before
        before = now


def test_ids_are_unique(good: list[SampleEvent]) -> None:
    """No two events have the same id."""
    assert len({sample.event["id"] for sample in good}) == len(good)


def test_headers_of_every_kind_occur(good: list[SampleEvent]) -> None:
    """Each record names its type once; some have a repeated, a binary, a null or an empty header."""
    kinds = Counter[str]()
    for sample in good:
        names = [name for name, _ in sample.headers]
        assert [value for name, value in sample.headers if name == "item_type_name"] == [
            sample.item_type_name.encode()
        ]
        kinds["repeated"] += len(set(names)) < len(names)
        kinds["binary"] += "grpc-trace-bin" in names
        kinds["null"] += any(value is None for _, value in sample.headers)
        kinds["empty"] += any(value == b"" for _, value in sample.headers)
    assert all(0.005 < kinds[kind] / len(good) < 0.1 for kind in ("repeated", "binary", "null", "empty"))


def test_keys_of_every_kind_occur(good: list[SampleEvent]) -> None:
    """A key is text, eight bytes of a number, or missing, as it is with producers."""
    keys = {sample.topic: sample.key for sample in good if sample.key}
    assert len(keys["delivery_events_v6_topic"]) == 36
    assert len(keys["ims_events_v2_topic"]) == 8
    assert any(sample.key is None for sample in good)


def test_delivery_progresses(good: list[SampleEvent]) -> None:
    """A delivery is created before all else and delivered at most once."""
    steps: dict[bytes, list[str]] = {}
    for sample in good:
        if sample.topic.startswith("delivery_") and sample.key:
            steps.setdefault(sample.key, []).append(sample.item_type_name.rpartition(".")[2][:-2])
    assert len(steps) > 100
    for taken in steps.values():
        assert taken[0] == "DeliveryCreated"
        assert taken.count("DeliveryCreated") == 1
        assert taken.count("DeliveryDelivered") <= 1


def test_spoil_ratio_is_kept() -> None:
    """About two in a hundred records are spoiled unless told otherwise; none at a ratio of zero."""
    samples = islice(sample_events(7, _clock), _COUNT)
    assert 0.01 < sum(sample.spoiled is not None for sample in samples) / _COUNT < 0.03
    assert not any(sample.spoiled for sample in _take(_COUNT))


def test_every_way_of_spoiling_occurs_evenly(spoiled: list[SampleEvent]) -> None:
    """Each of the six ways comes up about as often; two of them are undecodable."""
    shares = Counter(sample.spoiled for sample in spoiled)
    assert set(shares) == _REASONS
    for reason, count in shares.items():
        expected = len(spoiled) / 6 * (2 if reason == "undecodable" else 1)
        assert 0.7 < count / expected < 1.3


def _fails_as(sample: SampleEvent, schemas: Mapping[tuple[str, str], Schema]) -> str | None:
    """Return why the record fails, found out from what is sent alone."""
    names = [value for name, value in sample.headers if name == "item_type_name"]
    if sample.value is None:
        return "tombstone"
    if not names:
        return "missing_type_header"
    schema = schemas.get((sample.topic, (names[0] or b"").decode()))
    if schema is None:
        return "unknown_type"
    try:
        _, behind = _decode(sample, schema)
    except (EOFError, IndexError, UnicodeDecodeError):
        return "undecodable"
    return "trailing_bytes" if behind else None


def test_spoiled_fails_as_named(
    spoiled: list[SampleEvent], schemas: Mapping[tuple[str, str], Schema]
) -> None:
    """A spoiled record fails for the reason that it names, and for that one only."""
    for sample in spoiled:
        assert _fails_as(sample, schemas) == sample.spoiled


def test_every_type_can_be_spoiled_in_every_way(
    good: list[SampleEvent], schemas: Mapping[tuple[str, str], Schema]
) -> None:
    """bad_events spoils one record in all six ways, whatever its type, and leaves the good one alone."""
    by_type = {sample.item_type_name: sample for sample in good if not _is_container(sample)}
    for sample in by_type.values():
        bad = list(bad_events(sample, Random(1)))
        assert len(bad) == 6
        assert [_fails_as(one, schemas) for one in bad] == [one.spoiled for one in bad]
        assert {one.spoiled for one in bad} == _REASONS
        assert _fails_as(sample, schemas) is None


def test_any_truncation_is_undecodable(
    good: list[SampleEvent], schemas: Mapping[tuple[str, str], Schema]
) -> None:
    """A value cut anywhere never decodes: the spoiler may cut where it likes."""
    by_type = {sample.item_type_name: sample for sample in good if not _is_container(sample)}
    for sample in by_type.values():
        for end in range(len(sample.value or b"")):
            cut = replace(sample, value=(sample.value or b"")[:end])
            assert _fails_as(cut, schemas) == "undecodable"


def test_the_examples_of_the_frozen_catalog_are_of_the_makers() -> None:
    """`python -m tests.events` was run after the makers or the schemas changed."""
    folder = catalog_files().schemas
    found = {str(path.relative_to(folder)): path.read_text() for path in folder.glob(f"*/*{SUFFIX}")}
    assert found == example_files()
