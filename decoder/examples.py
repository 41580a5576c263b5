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
    name = f"{Path(event_type.file).stem}{SUFFIX}"
    path = (schemas or catalog_files().schemas) / event_type.topic.name / name
    if not path.exists():
        return ()
    file = f"schemas/{event_type.topic.name}/{name}"
    try:
        content = msgspec.json.decode(path.read_bytes(), type=_Events | dict[str, _Events])
    except (OSError, msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise CatalogError(
            f"{file}: not an array of events, nor an object with an array of events for each type: {error}"
        ) from error
    return tuple(content if isinstance(content, list) else content.get(event_type.item_type_name, ()))
