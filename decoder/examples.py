"""<Name>.examples.json, beside <Name>.avsc: events that samples are drawn from, nicer than made-up ones.

It is an array of events, as event_json has them, for every type of the schema, or an object with an array of
them for each type by its full name. The newest version's file counts.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from decoder.catalog import EventType
from decoder.streams import CatalogError, catalog_files

SUFFIX = ".examples.json"

_Events = list[dict[str, object]]


def read_examples(event_type: EventType, schemas: Path | None = None) -> tuple[Mapping[str, object], ...]:
    """Return the examples of a type, none where it has none; `schemas` is the folder, else the catalog's.

    Raises:
        CatalogError: the file is not what the module says.
    """
    path = (schemas or catalog_files().schemas) / event_type.topic.name / Path(event_type.file).name
    path = path.with_name(path.stem + SUFFIX)
    if not path.exists():
        return ()
    content = _read(path)
    return tuple(content if isinstance(content, list) else content.get(event_type.item_type_name, ()))


def example_names(path: Path) -> set[str]:
    """Return the types that a file of examples names, none where its events are for all types of the schema.

    Raises:
        CatalogError: as read_examples.
    """
    content = _read(path)
    return set(content) if isinstance(content, dict) else set()


def _read(path: Path) -> _Events | dict[str, _Events]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Events | dict[str, _Events])
    except (OSError, msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise CatalogError(
            f"schemas/{path.parent.name}/{path.name}: not an array of events, nor an object with an array of "
            f"them for each type: {error}"
        ) from error
