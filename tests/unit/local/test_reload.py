"""The catalog as it is saved while the pipeline runs."""

import os
import shutil
from pathlib import Path

import pytest

from decoder.streams import CatalogFiles, load_streams
from local import snapshot
from local.look import Watched
from local.reload import Reload, Watcher

CATALOGUE = Path(__file__).parents[2] / "catalogue"
TOPIC = "ims_events_v2_topic"


@pytest.fixture
def files(tmp_path: Path) -> CatalogFiles:
    """Give a catalog on disk that the test may change."""
    shutil.copytree(CATALOGUE, tmp_path / "disk")
    return CatalogFiles(tmp_path / "disk" / "streams.yaml", tmp_path / "disk" / "schemas")


@pytest.fixture
def watcher(files: CatalogFiles, tmp_path: Path) -> Watcher:
    """Give a watcher that has seen what runs."""
    copy, catalog = snapshot.take(files, tmp_path / "catalog-1")
    watcher = Watcher(files, copy, catalog, tmp_path)
    assert watcher.look() is None
    return watcher


def save(path: Path, text: str, at: int) -> None:
    """Write a file at a time that differs from those before."""
    path.write_text(text)
    os.utime(path, ns=(at, at))


def test_a_change_counts_when_two_looks_see_the_same(files: CatalogFiles, watcher: Watcher) -> None:
    """A file that is truncated, then written in two parts is not looked into before it is whole."""
    path = files.schemas / TOPIC / "ItemDiscontinuedV2.avsc"
    text = path.read_text()
    for at, part in enumerate(("", text[:40], text.replace('"sku"', '"sku_of_item"')), 1):
        save(path, part, at)
        assert watcher.look() is None
    reload = watcher.look()
    assert isinstance(reload, Reload)
    assert reload.line == (
        f"{TOPIC}/ItemDiscontinuedV2.avsc changed: types changed: ims.updates.v2.ItemDiscontinuedV2 ({TOPIC})"
    )
    assert watcher.look() is None


def test_what_is_wrong_is_said_once_and_the_copy_before_stays(
    files: CatalogFiles, watcher: Watcher, tmp_path: Path
) -> None:
    """The text names the file; mended to what it was, there is nothing to load again."""
    text = files.streams.read_text()
    save(files.streams, text.replace("current: false", "current: perhaps", 1), 1)
    watcher.look()
    said = watcher.look()
    assert isinstance(said, str)
    assert said.startswith("The catalog on disk is invalid; the previous one stays in use: streams.yaml: ")
    assert watcher.look() is None
    assert (tmp_path / "catalog-1" / "streams.yaml").read_text() == text
    save(files.streams, text, 2)
    assert (watcher.look(), watcher.look(), watcher.look()) == (None, None, None)


def test_what_is_saved_during_the_start_is_a_change_too(files: CatalogFiles, tmp_path: Path) -> None:
    """Between the copy and the first look a schema may have been added."""
    copy, catalog = snapshot.take(files, tmp_path / "catalog-1")
    name = "ItemDiscontinuedV2"
    schema = (files.schemas / TOPIC / f"{name}.avsc").read_text()
    (files.schemas / TOPIC / "ItemLostV2.avsc").write_text(schema.replace(name, "ItemLostV2"))
    reload = Watcher(files, copy, catalog, tmp_path).look()
    assert isinstance(reload, Reload)
    assert reload.line.startswith(f"{TOPIC}/ItemLostV2.avsc added: types added: ims.updates.v2.ItemLostV2")


def test_topics_and_tables_are_named(files: CatalogFiles, watcher: Watcher) -> None:
    """A stream that goes and one that comes: the line names topics, tables and types."""
    (files.schemas / TOPIC).rename(files.schemas / "items")
    text = files.streams.read_text().replace(TOPIC, "items").replace("table: ims_updates", "table: items")
    save(files.streams, text, 1)
    watcher.look()
    reload = watcher.look()
    assert isinstance(reload, Reload)
    for part in (
        "new topics: items",
        f"topics removed: {TOPIC}",
        "new tables: items",
        "streams.yaml changed",
    ):
        assert part in reload.line


def test_what_was_removed_is_counted_on(files: CatalogFiles, tmp_path: Path) -> None:
    """The rows of a stream's former table and the records of its former topic still belong to the run."""
    _, catalog = snapshot.take(files, tmp_path / "catalog-1")
    watched = Watched(load_streams(files.streams))
    before = set(watched.topics), set(watched.tables)
    (files.schemas / TOPIC).rename(files.schemas / "items")
    text = files.streams.read_text().replace(TOPIC, "items").replace("table: ims_updates", "table: items")
    files.streams.write_text(text)
    watched.add(load_streams(files.streams))
    assert set(watched.topics) == before[0] | {"items"}
    assert set(watched.tables) == before[1] | {"items"}
    assert watched.tables["ims_updates"] == "ims_updates"
    assert watched.tables["items"] == "ims_updates (items)"
    assert catalog.topics.keys() == before[0]
