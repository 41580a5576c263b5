"""Shared types: named types in types/ that schemas refer to by name, and each mistake named."""

import json
from itertools import permutations
from pathlib import Path

import avro.schema
import fastavro
import pytest

from decoder.catalog import Catalog
from decoder.framing import decode
from decoder.schema_file import schema_fingerprint
from decoder.streams import CatalogError
from tests.unit.decoder.making import STREAMS, Load, schemaless, with_fields

_MONEY: dict[str, object] = {
    "type": "record",
    "name": "Money",
    "namespace": "shop",
    "fields": [
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "currency", "type": "Currency"},
    ],
}
_CURRENCY: dict[str, object] = {"type": "enum", "name": "shop.Currency", "symbols": ["EUR", "USD"]}
_TOTAL = {"name": "total", "type": "shop.Money"}
_OTHER = {"name": "other", "type": ["null", "shop.Currency"], "default": None}
_TIP = {"name": "tip", "type": ["null", "shop.Money"], "default": None}

_INLINE = with_fields(
    {
        "name": "total",
        "type": {
            **_MONEY,
            "fields": [
                {
                    "name": "amount",
                    "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
                },
                {"name": "currency", "type": _CURRENCY},
            ],
        },
    },
    _OTHER,
    _TIP,
)


def _plain(node: object) -> object:
    """Return a schema without logical types: avro's canonical form leaves an object where one was."""
    if isinstance(node, list):
        return [_plain(each) for each in node]
    if isinstance(node, dict):
        return node["type"] if "logicalType" in node else {key: _plain(each) for key, each in node.items()}
    return node


def _fingerprint(catalog: Catalog) -> bytes:
    return schema_fingerprint(catalog.types["t", "n.s.A"].schema)


@pytest.mark.parametrize(
    "folders", [("types", "types"), ("t/types", "t/types"), ("t/types", "types")], ids=str
)
@pytest.mark.parametrize("names", list(permutations(["a.avsc", "b.avsc"])), ids=str)
def test_schema_with_shared_types_is_the_schema_in_one_piece(
    load: Load, folders: tuple[str, str], names: tuple[str, str]
) -> None:
    """Types of the topic and of all topics are found, whatever the files' order, and inlined at first use."""
    catalog = load(
        {
            "t/A.avsc": with_fields(_TOTAL, _OTHER, _TIP),
            f"{folders[0]}/{names[0]}": _MONEY,
            f"{folders[1]}/{names[1]}": _CURRENCY,
        }
    )
    assert list(catalog.types) == [("t", "n.s.A")]
    event_type = catalog.types["t", "n.s.A"]
    inline = fastavro.parse_schema(_INLINE)
    assert event_type.schema == inline
    assert _fingerprint(catalog) == schema_fingerprint(inline)
    assert _fingerprint(catalog) == avro.schema.parse(json.dumps(_plain(_INLINE))).fingerprint("CRC-64-AVRO")
    event = {"id": "a", "timestamp": 0, "total": {"amount": b"\x01", "currency": "USD"}, "tip": None}
    decoded = decode(schemaless({**event, "other": "EUR"}, inline), event_type)
    assert decoded["total"] == {"amount": "0.01", "currency": "USD"}
    assert decoded["other"] == "EUR"


def test_order_of_use_decides_where_a_type_stands(load: Load) -> None:
    """A shared type that is part of another can come first; the other then refers to it by name."""
    catalog = load(
        {
            "t/A.avsc": with_fields({"name": "other", "type": "shop.Currency"}, _TOTAL),
            "types/Money.avsc": _MONEY,
            "types/Currency.avsc": _CURRENCY,
        }
    )
    fields = json.loads(json.dumps(catalog.types["t", "n.s.A"].schema))["fields"]
    assert fields[2]["type"]["symbols"] == ["EUR", "USD"]
    assert fields[3]["type"]["fields"][1]["type"] == "shop.Currency"


def test_definition_inside_a_shared_type_is_shared_too(load: Load) -> None:
    """Country can be referred to before and after Address, which defines it."""
    country = {"type": "enum", "name": "Country", "symbols": ["DE"]}
    fields = [{"name": "country", "type": country}, {"name": "second", "type": "Country"}]
    address = {"type": "record", "name": "Address", "namespace": "geo", "fields": fields}
    uses = [{"name": "from", "type": "geo.Country"}, {"name": "at", "type": "geo.Address"}]
    for order in (uses, uses[::-1]):
        catalog = load({"t/A.avsc": with_fields(*order), "types/Address.avsc": address})
        parsed = catalog.types["t", "n.s.A"]
        at = {"country": "DE", "second": "DE"}
        value = schemaless({"id": "a", "timestamp": 0, "from": "DE", "at": at}, parsed.schema)
        assert decode(value, parsed)["at"] == at


def test_shared_types_may_hold_each_other(load: Load) -> None:
    """A cycle over two files is a recursive type like any other."""
    node = {"name": "x.Node", "type": "record", "fields": [{"name": "l", "type": "x.Leaves"}]}
    inner = {"type": "array", "items": "x.Node"}
    leaves = {"name": "x.Leaves", "type": "record", "fields": [{"name": "nodes", "type": inner}]}
    files = {"types/Node.avsc": node, "types/Leaves.avsc": leaves}
    catalog = load({"t/A.avsc": with_fields({"name": "n", "type": "x.Node"}), **files})
    tree: dict[str, object] = {"l": {"nodes": [{"l": {"nodes": []}}]}}
    event_type = catalog.types["t", "n.s.A"]
    value = schemaless({"id": "a", "timestamp": 0, "n": tree}, event_type.schema)
    assert decode(value, event_type)["n"] == tree


def test_types_of_a_file_with_several_names(load: Load) -> None:
    """Each type of item_types has the shared types, also under a name of another namespace."""
    own = {"name": "own", "type": {"type": "enum", "name": "Own", "symbols": ["X"]}}
    again = {"name": "again", "type": "Own"}
    schema = with_fields(own, again, _TOTAL, item_types=["n.s.B", "other.C"])
    catalog = load({"t/A.avsc": schema, "types/a.avsc": _MONEY, "types/b.avsc": _CURRENCY})
    event = {"id": "a", "timestamp": 0, "own": "X", "again": "X"}
    for event_type in catalog.types.values():
        value = schemaless({**event, "total": {"amount": b"\x01", "currency": "EUR"}}, event_type.schema)
        assert decode(value, event_type)["again"] == "X"


def test_type_without_a_namespace(load: Load) -> None:
    """A type that has no namespace is referred to where there is none, and keeps its name inside another."""
    plain = {"type": "enum", "name": "Plain", "symbols": ["X"]}
    wrapper = {"type": "record", "name": "w.Wrapper", "fields": [{"name": "m", "type": "shop.Currency"}]}
    schema = {**with_fields({"name": "p", "type": "Plain"}, {"name": "w", "type": "w.Wrapper"})}
    del schema["namespace"]
    files = {"types/p.avsc": plain, "types/w.avsc": wrapper, "types/c.avsc": _CURRENCY}
    assert load({"t/A.avsc": schema, **files}).types_of("t") == ["A"]


def test_schema_may_define_what_is_shared_too(load: Load) -> None:
    """Its own definition counts: so an older version keeps a type as it was before the shared one changed."""
    older = {**_CURRENCY, "symbols": ["EUR"]}
    schema = with_fields({"name": "c", "type": older}, {"name": "d", "type": "shop.Currency"})
    catalog = load({"t/A.avsc": schema, "types/c.avsc": _CURRENCY, "types/m.avsc": _MONEY})
    assert _fingerprint(catalog) == schema_fingerprint(fastavro.parse_schema(schema))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"types/Money.avsc": _MONEY},
            (
                r"schemas/types/Money\.avsc: .*there is no type shop\.Currency: define it here where it is "
                r"first used, or in schemas/types/Currency\.avsc$"
            ),
        ),
        (
            {"t/types/Money.avsc": _MONEY},
            (
                r"schemas/t/types/Money\.avsc: .*no type shop\.Currency: .*"
                r"in schemas/t/types/Currency\.avsc or schemas/types/Currency\.avsc$"
            ),
        ),
        (
            {},
            (
                r"schemas/t/A\.avsc: .*no type shop\.Money: .*"
                r"in schemas/t/types/Money\.avsc or schemas/types/Money\.avsc$"
            ),
        ),
        (
            {"types/a.avsc": _CURRENCY, "t/types/b.avsc": _CURRENCY},
            r"schemas/t/types/b\.avsc: the type shop\.Currency is in schemas/types/a\.avsc too: keep one",
        ),
        (
            {"types/a.avsc": _CURRENCY, "types/b.avsc": _CURRENCY},
            r"schemas/types/b\.avsc: the type shop\.Currency is in schemas/types/a\.avsc too",
        ),
        ({"types/a.avsc": "{"}, r"schemas/types/a\.avsc: not a JSON object"),
        ({"types/a.avsc": {"type": "string"}}, r"schemas/types/a\.avsc: a shared type is a record, enum or"),
        (
            {"types/a.avsc": {"type": "enum", "name": "x.E", "symbols": ["a", "a"]}},
            r"schemas/types/a\.avsc: not a valid Avro schema",
        ),
        (
            {"types/a.avsc": {"type": "record", "name": "x.E", "fields": 3}},
            r"schemas/types/a\.avsc: not a valid Avro schema",
        ),
    ],
)
def test_wrong_types_are_named(load: Load, files: dict[str, object], said: str) -> None:
    """The error names the file and the missing type with where to put it, or both files of a name."""
    with pytest.raises(CatalogError, match=f"^{said}"):
        load({"t/A.avsc": with_fields(_TOTAL), **files})


@pytest.mark.parametrize("first", ["own", "shared"])
def test_name_that_means_two_types_is_named(load: Load, first: str) -> None:
    """A schema that defines Currency cannot use a shared type that means the shared Currency by it."""
    own: dict[str, object] = {"name": "c", "type": {**_CURRENCY, "symbols": ["EUR"]}}
    fields = [own, _TOTAL] if first == "own" else [_TOTAL, own]
    files = {"types/Money.avsc": _MONEY, "types/Currency.avsc": _CURRENCY}
    said = r"schemas/t/A\.avsc: it defines shop\.Currency, and schemas/types/Money\.avsc.* means that of "
    with pytest.raises(CatalogError, match=f"^{said}schemas/types/Currency"):
        load({"t/A.avsc": with_fields(*fields), **files})


def test_another_topics_types_are_not_seen(load: Load) -> None:
    """Two topics may have different types of one name."""
    streams = STREAMS.replace("]", ", {name: u, version: 1, current: false}]")
    schema = with_fields({"name": "c", "type": "shop.Currency"})
    files = {"t/A.avsc": schema, "u/A.avsc": schema, "t/types/c.avsc": _CURRENCY}
    with pytest.raises(CatalogError, match=r"^schemas/u/A\.avsc: .*there is no type shop\.Currency"):
        load(files, streams)
    other = {**_CURRENCY, "symbols": ["CHF"]}
    assert len(load({**files, "u/types/c.avsc": other}, streams).types) == 2


def test_topic_cannot_be_called_types(load: Load) -> None:
    """Its folder would be that of the shared types."""
    streams = STREAMS.replace("name: t,", "name: types,")
    said = (
        r"^streams\.yaml: stream s, topic types: schemas/types has the types that schemas of all topics share"
    )
    with pytest.raises(CatalogError, match=said):
        load({"types/A.avsc": with_fields()}, streams)


def test_reference_that_is_not_utf8_is_named(load: Load, tmp_path: Path) -> None:
    """A file in another encoding is an error like any other."""
    path = tmp_path / "schemas" / "types" / "a.avsc"
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"type": "enum", "name": "\xff"}')
    with pytest.raises(CatalogError, match=r"^schemas/types/a\.avsc: not a JSON object"):
        load({"t/A.avsc": with_fields()})
