"""Copies of the catalog in the run's folder: what runs is the last good one, whatever is saved meanwhile."""

import shutil
from pathlib import Path

from decoder.catalog import Catalog, load_catalog
from decoder.streams import CatalogError, CatalogFiles


def take(files: CatalogFiles, target: Path) -> tuple[Path, Catalog]:
    """Copy the catalog to a new folder that CATALOG can name, and return that with what is in it.

    Raises:
        CatalogError: a file is wrong or missing; the copy is removed.
    """
    for path in files:
        if not path.exists():
            raise CatalogError(f"{path} does not exist: a catalog is a folder with streams.yaml and schemas/")
    target.mkdir(parents=True)
    try:
        shutil.copyfile(files.streams, target / files.streams.name)
        shutil.copytree(files.schemas, target / "schemas", ignore_dangling_symlinks=True)
        return target, load_catalog(target / files.streams.name, target / "schemas")
    except shutil.Error as error:
        shutil.rmtree(target)
        raise FileNotFoundError(f"{files.schemas}: a file is gone: {error}") from error
    except BaseException:
        shutil.rmtree(target)
        raise
