"""Samples are events of the catalog's own rules, made from any schema or drawn from examples."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from decoder.catalog import Catalog, load_catalog
from decoder.encode import encode
from decoder.event_maker import with_value
from decoder.examples import read_examples
from decoder.framing import decode
from decoder.leaves import Node
from decoder.sample_values import ValueMaker
from decoder.samples import Sample, SampleError, sample_events, sample_of
from decoder.schema_types import IncompatibleError
from decoder.streams import CATALOG, CatalogError
from decoder.values import to_json
from tests.fuzz.schemas import SchemaMaker
from tests.unit.decoder.making import STREAMS, Load, event_type, with_fields

_EVENT = {"id": "a", "timestamp": "2000-01-01T00:00:00Z"}


def _clock() -> datetime:
    return datetime(2024, 2, 29, 23, 59, 59, 987_654, tzinfo=UTC)


def _take(catalog: Catalog, count: int, seed: int = 7) -> list[Sample]:
    return list(islice(sample_events(catalog, seed, _clock), count))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder of a topic's schemas, in the catalog that the fixture `load` makes."""
    monkeypatch.setenv(CATALOG, str(tmp_path))
    return tmp_path / "schemas" / "t"


@settings(max_examples=300)
@given(seed=st.integers(0, 2**32))
def test_any_schema_has_samples(seed: int) -> None:
    """What is made from a schema, of any type, is encoded to bytes that decode to the same JSON."""
    rng = Random(seed)
    schema = SchemaMaker(rng).record()
    try:
        of = event_type(schema)
    except IncompatibleError:
        assume(False)
    made = ValueMaker(schema, "text", 4).event(rng, _clock())
    value = encode(made, of)
    assert json.loads(to_json(decode(value, of))) == made


def test_every_sample_of_the_catalog_is_an_event(catalog: Catalog) -> None:
    """Each record decodes to the event that the sample says, with ids of their own and the clock's time."""
    samples = _take(catalog, 2_000)
    for sample in samples:
        of = catalog.types[sample.topic, sample.item_type_name]
        assert json.loads(to_json(decode(sample.value, of))) == sample.event
        assert str(sample.event["timestamp"]).startswith("2024-02-29T23:59:59.987")
    assert len({sample.event["id"] for sample in samples}) == len(samples)


def test_every_choice_of_the_catalogs_schemas_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without examples, each symbol of each enum and each branch of each union is made up in time."""
    loaded = load_catalog()  # of its own: types are known with the examples that they had
    monkeypatch.setenv(CATALOG, str(tmp_path))
    rng = Random(1)
    for of in loaded.types.values():
        made = [sample_of(of, rng, _clock).event for _ in range(150)]
        schema: Node = of.schema
        symbols = {
            symbol for each in schema["__named_schemas"].values() for symbol in each.get("symbols", ())
        }
        assert symbols <= set(_leaves(made))
        for field in schema["fields"]:
            if isinstance(field["type"], list):
                forms = {_form(event[field["name"]]) for event in made}
                assert len(forms) == len(field["type"]), field["name"]


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _leaves(part)
    else:
        yield value


def _form(value: object) -> object:
    return next(iter(value)) if isinstance(value, dict) else type(value)


def test_every_type_comes_first_and_current_topics_come_more_often(catalog: Catalog) -> None:
    """Nobody waits for a type; a topic that its stream has left behind has a third of the share."""
    samples = _take(catalog, 5_000)
    first = samples[: len(catalog.types)]
    assert {(sample.topic, sample.item_type_name) for sample in first} == set(catalog.types)
    counts = Counter((sample.topic, sample.item_type_name) for sample in samples)
    mean = {
        current: sum(counts[key] for key, of in catalog.types.items() if of.topic.current is current)
        / sum(of.topic.current is current for of in catalog.types.values())
        for current in (True, False)
    }
    assert 2 < mean[True] / mean[False] < 4.5


def test_same_seed_same_samples(catalog: Catalog) -> None:
    """A seed gives the same samples again, another seed gives others."""
    assert _take(catalog, 300, seed=3) == _take(catalog, 300, seed=3)
    assert _take(catalog, 300, seed=3) != _take(catalog, 300, seed=4)


def test_the_clock_is_asked_for_each(catalog: Catalog) -> None:
    """An event happens now."""
    moments = (_clock() + timedelta(seconds=passed) for passed in range(1_000))
    stamps = [str(s.event["timestamp"]) for s in islice(sample_events(catalog, 5, lambda: next(moments)), 50)]
    assert stamps == sorted(stamps)
    assert len(set(stamps)) == 50


def test_headers_and_keys_of_every_kind_occur(catalog: Catalog) -> None:
    """Each record names its type once; some headers repeat, are binary, null or empty, some keys are none."""
    kinds = Counter[str]()
    samples = _take(catalog, 2_000)
    for sample in samples:
        names = [name for name, _ in sample.headers]
        named = [value for name, value in sample.headers if name == "item_type_name"]
        assert named == [sample.item_type_name.encode()]
        kinds["repeated"] += len(set(names)) < len(names)
        kinds["binary"] += "grpc-trace-bin" in names
        kinds["null"] += any(value is None for _, value in sample.headers)
        kinds["empty"] += any(value == b"" for _, value in sample.headers)
        kinds["no key"] += sample.key is None
        kinds["container"] += sample.value.startswith(b"Obj\x01")
    assert len(kinds) == 6
    assert all(0.005 < count / len(samples) < 0.1 for count in kinds.values())


@pytest.mark.parametrize("topic", [{}, {"limits": {"depth": 3}}, {"limits": {"bytes": 40, "values": 40}}])
def test_types_that_hold_themselves_end(load: Load, topic: Mapping[str, object]) -> None:
    """A tree has an end, within the topic's limits, and every branch of its unions is drawn."""
    more = f"current: true, {json.dumps(topic)[1:-1]}".rstrip(", ")  # YAML reads JSON
    streams = STREAMS.replace("current: true", more)
    tree = {
        "type": "record",
        "name": "Tree",
        "fields": [
            {"name": "left", "type": ["n.s.Tree", {"type": "array", "items": "n.s.Tree"}, "null"]},
            {"name": "named", "type": {"type": "map", "values": ["null", "n.s.Tree"]}},
        ],
    }
    of = load({"t/A.avsc": with_fields({"name": "tree", "type": tree})}, streams).types["t", "n.s.A"]
    samples = [sample_of(of, Random(seed), _clock) for seed in range(60)]
    kinds = {type(sample.event["tree"]["left"]) for sample in samples}  # type: ignore[index] # a record
    assert kinds == ({dict, list, type(None)} if not topic else kinds)


def test_a_reader_that_lacks_a_symbol_gets_what_it_knows(load: Load) -> None:
    """The reader schema is an older version: what it has no symbol for is not sent."""
    level = {"type": "enum", "name": "Level", "symbols": ["LOW", "HIGH"]}
    newer = {**level, "symbols": ["LOW", "HIGH", "NEW", "NEWER"]}
    files = {
        "t/A.avsc": with_fields({"name": "level", "type": level}, reader_schema=True),
        "t/A2.avsc": with_fields({"name": "level", "type": newer}, schema_version=2),
    }
    of = load(files).types["t", "n.s.A"]
    levels = {sample_of(of, Random(seed), _clock).event["level"] for seed in range(50)}
    assert levels == {"LOW", "HIGH"}


def test_ids_of_ints_do_not_repeat(load: Load) -> None:
    """An int is too short to be unique by chance: it counts."""
    fields = [{"name": "id", "type": "int"}, with_fields()["fields"][1]]  # type: ignore[index] # a list
    loaded = load({"t/A.avsc": {**with_fields(), "fields": fields}})
    ids = [sample.event["id"] for sample in _take(loaded, 3_000)]
    assert len(set(ids)) == 3_000


def test_no_event_within_the_limits_is_an_error(load: Load) -> None:
    """Where even the smallest event is over a limit, the text names file and limit."""
    streams = STREAMS.replace("current: true", "current: true, limits: {bytes: 5}")
    of = load({"t/A.avsc": with_fields()}, streams).types["t", "n.s.A"]
    with pytest.raises(SampleError, match=r"schemas/t/A\.avsc: a sample .* the topic's limit is 5"):
        sample_of(of, Random(1), _clock)


def test_types_without_a_registry_id_are_left_out(load: Load) -> None:
    """Of a topic in the framing confluent, types that have an id are sampled; none at all is an error."""
    streams = STREAMS.replace("current: true", "current: true, framing: confluent")
    files = {"t/A.avsc": with_fields(), "t/B.avsc": {**with_fields(schema_id=7), "name": "B"}}
    assert {sample.item_type_name for sample in _take(load(files, streams), 20)} == {"n.s.B"}
    with pytest.raises(SampleError, match=r"schemas/t/A\.avsc: .* schema_id or schema_guid"):
        _take(load({**files, "t/B.avsc": {**with_fields(), "name": "B"}}, streams), 1)


def test_examples_are_drawn(load: Load, folder: Path) -> None:
    """An example gets an id of its own and the clock's time, and stays as it was written otherwise."""
    notes = ["first", "second"]
    loaded = load({"t/A.avsc": with_fields({"name": "note", "type": "string"})})
    (folder / "A.examples.json").write_text(json.dumps([{**_EVENT, "note": note} for note in notes]))
    samples = _take(loaded, 20)
    assert {sample.event["note"] for sample in samples} == set(notes)
    assert {sample.event["timestamp"] for sample in samples} == {"2024-02-29T23:59:59.987000Z"}
    assert len({sample.event["id"] for sample in samples}) == 20


def test_examples_of_several_types(load: Load, folder: Path) -> None:
    """An object has examples for each type by its name; a type that it lacks is made up."""
    files = {"t/A.avsc": with_fields({"name": "note", "type": "string"}, item_types=["n.One", "n.Two"])}
    of_one = {"n.One": [{"note": "one"}]}  # id and timestamp are made anyway
    loaded = load(files)
    (folder / "A.examples.json").write_text(json.dumps(of_one))
    notes = {name: read_examples(loaded.types["t", name]) for name in ("n.One", "n.Two")}
    assert notes == {"n.One": ({"note": "one"},), "n.Two": ()}
    assert {s.event["note"] for s in _take(loaded, 40) if s.item_type_name == "n.One"} == {"one"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "schemas/t/A.examples.json: must be an array of events"),
        ('[{"id": "a"}, 3]', "schemas/t/A.examples.json: must be an array of events"),
        ('[{"note": 3}]', r"schemas/t/A.avsc: example 1 is not an event of n.s.A: note: 3 is not a string"),
        ('[{"other": 3}]', "example 1 is not an event of n.s.A: record n.s.A has no field other"),
    ],
)
def test_wrong_examples_are_told(load: Load, folder: Path, text: str, said: str) -> None:
    """A file that is no examples, or an example that is no event, names the file and the field."""
    loaded = load({"t/A.avsc": with_fields({"name": "note", "type": "string"})})
    (folder / "A.examples.json").write_text(text)
    with pytest.raises(CatalogError) as raised:
        _take(loaded, 1)
    assert said in str(raised.value)


def test_example_whose_header_is_null_is_told(load: Load, folder: Path) -> None:
    """An id in a header is made for an example without the header, not for one with another value there."""
    header = {"type": "record", "name": "H", "fields": [{"name": "event_id", "type": "string"}]}
    loaded = load({"t/A.avsc": with_fields({"name": "header", "type": header}, id_field="header.event_id")})
    (folder / "A.examples.json").write_text('[{"id": "a", "header": null}]')
    with pytest.raises(CatalogError, match="header: null is not an object"):
        _take(loaded, 1)


def test_enum_without_symbols_is_told(load: Load) -> None:
    """It has no value, so that neither has its event."""
    kind = {"type": "enum", "name": "E", "symbols": []}
    with pytest.raises(CatalogError, match=r"is not an event of n\.s\.A: n\.s\.E has no symbols"):
        _take(load({"t/A.avsc": with_fields({"name": "x", "type": kind})}), 1)


def test_values_are_put_at_a_path() -> None:
    """A dotted path leads into records; what stands beside it stays, and nothing is changed in place."""
    event = {"header": {"a": 1, "event_id": "x"}, "b": 2}
    assert with_value(event, "header.event_id", "y") == {"header": {"a": 1, "event_id": "y"}, "b": 2}
    assert with_value({}, "meta.id", 1) == {"meta": {"id": 1}}
    assert with_value({"meta": None}, "meta.id", 1) == {"meta": None}
    assert event["header"] == {"a": 1, "event_id": "x"}
