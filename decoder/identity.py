"""The record of where types have id and timestamp: schemas/identity.json, which only `check` reads.

A schema says where an event has its id today, and nothing in it says that this was another field yesterday.
So the types whose fields are not `id` and `timestamp` are listed in a file of the repository, and a
difference is an error until it is accepted. docs/adr/0014-a-record-of-identities.md
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from decoder.catalog import Catalog
from decoder.event_fields import DEFAULT_FIELDS, EventFields
from decoder.streams import CatalogError

IDENTITY_FILE = "identity.json"

# By topic and by type.
_Record = dict[str, dict[str, EventFields]]


def changed_identities(catalog: Catalog, schemas: Path) -> list[str]:
    """Return a line for each type whose id or timestamp is not where the record has it.

    Raises:
        CatalogError: the record cannot be read.
    """
    record = _read(schemas / IDENTITY_FILE)
    found = []
    for (topic, name), event_type in catalog.types.items():
        recorded, now = record.get(topic, {}).get(name), event_type.fields
        was = recorded or DEFAULT_FIELDS
        if was != now:
            has = "does not list it, which means" if recorded is None else "has"
            found.append(
                f"{event_type.file}: {name} in topic {topic} has {_shown(now)}, but "
                f"{schemas.name}/{IDENTITY_FILE} {has} {_shown(was)}: rows that were loaded "
                "before keep their event_id, and a replay gives the same events another. If no event of the "
                "type was ever loaded, or you accept that, run `python -m decoder check --accept` and commit "
                "the file"
            )
    return found


def accept_identities(catalog: Catalog, schemas: Path) -> None:
    """Write the record of a catalog's types; where all have the usual fields, there is none."""
    record: _Record = {}
    for (topic, name), event_type in sorted(catalog.types.items()):
        if event_type.fields != DEFAULT_FIELDS:
            record.setdefault(topic, {})[name] = event_type.fields
    file = schemas / IDENTITY_FILE
    if record:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    else:
        file.unlink(missing_ok=True)


def _read(file: Path) -> Mapping[str, Mapping[str, EventFields]]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Record)
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError, UnicodeError) as error:
        raise CatalogError(
            f"{file.parent.name}/{file.name}: {error}: `python -m decoder check --accept` writes it"
        ) from error


def _shown(fields: EventFields) -> str:
    return f"id {fields.id} and timestamp {fields.timestamp}"
