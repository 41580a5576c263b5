"""streams.yaml: what is read from it, and each mistake named."""

from pathlib import Path

import pytest

from decoder.streams import ROOT, CatalogError, Stream, Topic, catalog_files, load_streams

_ORDERS = "orders: {table: orders, topics: [{name: orders_v1, version: 1, current: true}]}"


def _file(folder: Path, *streams: str) -> Path:
    """Write a streams.yaml of these entries."""
    path = folder / "streams.yaml"
    path.write_text("streams:\n" + "".join(f"  {stream}\n" for stream in streams))
    return path


def _topic(text: str) -> str:
    return f"orders: {{table: orders, topics: [{text}]}}"


def test_streams_are_read(tmp_path: Path) -> None:
    """A stream has its table and its topics, each with version and whether it is current."""
    topics = "{name: a, version: 1, current: false}, {name: b, version: 2, current: true}"
    text = f"two: {{table: t2, topics: [{topics}]}}"
    assert load_streams(_file(tmp_path, _ORDERS, text)) == {
        "orders": Stream("orders", (Topic("orders_v1", 1, True),)),
        "two": Stream("t2", (Topic("a", 1, False), Topic("b", 2, True))),
    }


@pytest.mark.parametrize(
    ("streams", "said"),
    [
        (
            ["orders: {topics: [{name: a, version: 1, current: true}]}"],
            "stream orders: Object missing required field `table`",
        ),
        (["orders: {table: orders}"], "stream orders: Object missing required field `topics`"),
        (["orders: {table: orders, topics: []}"], r"stream orders: topics: .* length >= 1"),
        (["orders: {table: orders, topics: 3}"], r"stream orders: topics: Expected `array`, got `int`"),
        (["orders: 3"], r"stream orders: Expected `object`, got `int`"),
        (
            [_topic("{version: 1, current: true}")],
            "stream orders, topic number 1: .*missing required field `name`",
        ),
        ([_topic("{name: '', version: 1, current: true}")], r"stream orders, topic number 1: name: .*>= 1"),
        ([_topic("3")], r"stream orders, topic number 1: Expected `object`, got `int`"),
        (
            [_topic(f"{{name: {'n' * 250}, version: 1, current: true}}")],
            r"stream orders, topic n+: name: .*length <= 249",
        ),
        (
            [_ORDERS, _topic("{name: a, version: -1, current: true}").replace("orders", "other")],
            r"stream other, topic a: version: Expected `int` >= 0",
        ),
        (
            [_topic("{name: a, version: one, current: true}")],
            "stream orders, topic a: version: Expected `int`, got `str`",
        ),
        ([_topic("{name: a, version: 1}")], "stream orders, topic a: .*missing required field `current`"),
        (
            [_topic("{name: a, version: 1, current: 1}")],
            "stream orders, topic a: current: Expected `bool`",
        ),
        (
            [_topic("{name: a, version: 1, current: true, curent: 1}")],
            "stream orders, topic a: .*unknown field `curent`",
        ),
        (
            [_topic("{name: a, version: 1, current: true, limits: {depth: 0}}")],
            r"stream orders, topic a: limits\.depth: Expected `int` >= 1",
        ),
        (
            [_topic("{name: a, version: 1, current: true, id: header..id}")],
            "stream orders, topic a: id: Expected `str` matching",
        ),
        ([_ORDERS.replace("{table", "{tabel: x, table")], "stream orders: .*unknown field `tabel`"),
        ([_ORDERS.replace("table: orders", "table: Orders-1")], "stream orders: table: .*matching regex"),
    ],
)
def test_wrong_entry_is_named(tmp_path: Path, streams: list[str], said: str) -> None:
    """A key that is missing, unknown or of a wrong kind stops the load: the error names stream and topic."""
    with pytest.raises(CatalogError, match=rf"^streams\.yaml: {said}"):
        load_streams(_file(tmp_path, *streams))


def test_topic_twice_is_named(tmp_path: Path) -> None:
    """A topic belongs to one stream; the error names the topic and both streams."""
    with pytest.raises(CatalogError, match=r"^streams\.yaml: topic orders_v1 is in orders and in other"):
        load_streams(
            _file(
                tmp_path,
                _ORDERS,
                "other: {table: other, topics: [{name: orders_v1, version: 2, current: true}]}",
            )
        )


def test_topic_twice_in_one_stream_is_named(tmp_path: Path) -> None:
    """A topic has one version."""
    twice = _topic("{name: a, version: 1, current: true}, {name: a, version: 2, current: false}")
    with pytest.raises(CatalogError, match=r"^streams\.yaml: topic a is in orders and in orders"):
        load_streams(_file(tmp_path, twice))


def test_table_twice_is_named(tmp_path: Path) -> None:
    """A table is filled by one stream."""
    other = "other: {table: orders, topics: [{name: b, version: 1, current: true}]}"
    with pytest.raises(CatalogError, match=r"^streams\.yaml: table orders is in orders and in other"):
        load_streams(_file(tmp_path, _ORDERS, other))


@pytest.mark.parametrize(
    ("table", "of"), [("orders_unique", "orders"), ("dead_letters_unique", "dead_letters")]
)
def test_table_named_like_a_view_is_named(tmp_path: Path, table: str, of: str) -> None:
    """Each table has a view, <table>_unique, so no other table can have that name."""
    other = f"other: {{table: {table}, topics: [{{name: b, version: 1, current: true}}]}}"
    for streams in ((_ORDERS, other), (other, _ORDERS)):
        with pytest.raises(
            CatalogError, match=f"stream other: table {table} has the name of .* table {of}: use"
        ):
            load_streams(_file(tmp_path, *streams))


def test_stream_twice_is_named(tmp_path: Path) -> None:
    """A stream that is there twice is refused: YAML would silently keep the last."""
    again = "orders: {table: other, topics: [{name: b, version: 1, current: true}]}"
    with pytest.raises(CatalogError, match=r"^streams\.yaml: .*orders"):
        load_streams(_file(tmp_path, _ORDERS, again))


def test_table_of_dead_letters_is_taken(tmp_path: Path) -> None:
    """No stream can fill dead_letters: its columns are others, and every row would be refused."""
    with pytest.raises(CatalogError, match=r"^streams\.yaml: .*dead_letters"):
        load_streams(_file(tmp_path, _ORDERS.replace("table: orders", "table: dead_letters")))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"3",
        b"streams:",
        b"streams: {}",
        b"streams: [a]",
        b"streams: {a: [b}",
        b"other: 1",
        b"streams: &a {b: *a}",
        b"streams: {2024-01-01: 1}",
        b"\xff\xfe\x00",
        b"streams: \xff",
        b'!!python/object/apply:os.getcwd ""',
    ],
)
def test_file_that_is_no_list_of_streams(tmp_path: Path, content: bytes) -> None:
    """Anything else than the documented file is an error that names the file."""
    path = tmp_path / "streams.yaml"
    path.write_bytes(content)
    with pytest.raises(CatalogError, match=r"^streams\.yaml: "):
        load_streams(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    """Without the file there is no catalogue."""
    with pytest.raises(CatalogError, match=r"^other\.yaml: .*No such file"):
        load_streams(tmp_path / "other.yaml")


def test_catalog_names_another_folder() -> None:
    """CATALOG's folder has the streams and the schemas; without it they are the repository's own."""
    assert catalog_files({"CATALOG": "/etc/shop"}) == (
        Path("/etc/shop/streams.yaml"),
        Path("/etc/shop/schemas"),
    )
    for environ in ({}, {"CATALOG": ""}):
        assert catalog_files(environ) == (ROOT / "streams.yaml", ROOT / "decoder" / "schemas")
