"""The catalog as it is saved while the pipeline runs: noticed once it is stable, copied, and checked."""

from pathlib import Path

import msgspec

from decoder.catalog import Catalog
from decoder.streams import CatalogError, CatalogFiles
from local import changes, snapshot

_Stamps = dict[str, tuple[int, int]]


class Reload(msgspec.Struct, frozen=True):
    """A new catalog that is good: its copy, what is in it, and what is new in a line."""

    snapshot: Path
    catalog: Catalog
    line: str


class Watcher:
    """Watches the catalog's files; `snapshot` and `catalog` are what runs now, copies go to `folder`."""

    def __init__(self, files: CatalogFiles, snapshot_folder: Path, catalog: Catalog, folder: Path) -> None:
        self._files = files
        self._snapshot = snapshot_folder
        self._catalog = catalog
        self._folder = folder
        self._number = 1
        self._before = self._stamps()
        # The first look compares with the snapshot: what was saved during the start is a change as well.
        self._acted_on: _Stamps = {}

    def look(self) -> Reload | str | None:
        """Return a new catalog, or what is wrong with the files, once after each change.

        A change counts when two looks see the same: an editor may truncate a file before it writes it.
        """
        stamps = self._stamps()
        is_stable = stamps == self._before
        self._before = stamps
        if not is_stable or stamps == self._acted_on:
            return None
        self._acted_on = stamps
        self._number += 1
        target = self._folder / f"catalog-{self._number}"
        try:
            folder, catalog = snapshot.take(self._files, target)
        except (CatalogError, OSError) as error:
            return f"The catalog on disk is invalid; the previous one stays in use: {error}"
        if changes.is_same(self._snapshot, folder):
            return None
        line = changes.describe(self._snapshot, folder, self._catalog, catalog)
        self._snapshot, self._catalog = folder, catalog
        return Reload(folder, catalog, line)

    def _stamps(self) -> _Stamps:
        paths = [self._files.streams, *self._files.schemas.rglob("*")]
        stamps: _Stamps = {}
        for path in paths:
            try:
                status = path.stat()
            except OSError:
                continue  # gone, or going
            if path.is_file():
                stamps[str(path)] = (status.st_mtime_ns, status.st_size)
        return stamps
