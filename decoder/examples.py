"""<Name>.examples.json next to <Name>.avsc: events that samples are drawn from, instead of made-up ones.

The file has an array of events in the form of event_json, for every type of the schema, or an object with an
array per type, by its full name. Only the file of a type's newest version is read.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from decoder.catalog import EventType
from decoder.streams import CatalogError, catalog_files

SUFFIX = ".examples.json"

_Events = list[dict[str, object]]


def read_examples(event_type: EventType, schemas: Path | None = None) -> tuple[Mapping[str, object], ...]:
    """Return the examples of a type, if it has any; `schemas` is the folder, by default the catalog's.

    Raises:
        CatalogError: the file does not have this form.
    """
    path = (schemas or catalog_files().schemas) / event_type.topic.name / Path(event_type.file).name
    path = path.with_name(path.stem + SUFFIX)
    if not path.exists():
        return ()
    content = _read(path)
    return tuple(content if isinstance(content, list) else content.get(event_type.item_type_name, ()))


def example_names(path: Path) -> set[str]:
    """Return the types that a file of examples names; an array names none.

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
            f"schemas/{path.parent.name}/{path.name}: must be an array of events, or an object with an "
            f"array per type: {error}"
        ) from error
