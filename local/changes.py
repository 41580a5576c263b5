"""What differs between two catalogs: files, event types, topics and tables, as one line says it."""

from collections.abc import Iterable
from pathlib import Path

from decoder.catalog import Catalog, EventType

# More names than these are a number.
NAMED = 5


def is_same(before: Path, after: Path) -> bool:
    """Return whether two catalog folders have the same files with the same contents."""
    return _contents(before) == _contents(after)


def describe(before: Path, after: Path, old: Catalog, new: Catalog) -> str:
    """Return which files of two catalog folders differ, and what that does to the catalog."""
    files = _changed_files(before, after)
    old_types, new_types = _types(old), _types(new)
    shared = old_types.keys() & new_types.keys()
    parts = [
        _part("types added", new_types.keys() - old_types.keys()),
        _part("types removed", old_types.keys() - new_types.keys()),
        _part("types changed", {name for name in shared if _differ(old_types[name], new_types[name])}),
        _part("new topics", new.topics.keys() - old.topics.keys()),
        _part("topics removed", old.topics.keys() - new.topics.keys()),
        _part("new tables", set(new.tables) - set(old.tables)),
    ]
    effect = "; ".join(part for part in parts if part) or "the types are the same"
    return f"{', '.join(files)}: {effect}"


def _changed_files(before: Path, after: Path) -> list[str]:
    old, new = _contents(before), _contents(after)
    words = {
        **dict.fromkeys(new.keys() - old.keys(), "added"),
        **dict.fromkeys(old.keys() - new.keys(), "removed"),
        **{name: "changed" for name in old.keys() & new.keys() if old[name] != new[name]},
    }
    named = [
        f"{name} {words[name]}" for name in sorted(words, key=lambda each: (each != "streams.yaml", each))
    ]
    return named if len(named) <= NAMED else [*named[:NAMED], f"and {len(named) - NAMED} more files"]


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)).removeprefix("schemas/"): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _types(catalog: Catalog) -> dict[str, EventType]:
    return {f"{name} ({topic})": event_type for (topic, name), event_type in catalog.types.items()}


def _differ(old: EventType, new: EventType) -> bool:
    def identity(event_type: EventType) -> tuple[object, ...]:
        schemas = [(version.number, version.is_reader, version.schema) for version in event_type.versions]
        return (event_type.table, event_type.topic, schemas)

    return identity(old) != identity(new)


def _part(what: str, names: Iterable[str]) -> str:
    ordered = sorted(names)
    if not ordered:
        return ""
    shown = ", ".join(ordered[:NAMED])
    return f"{what}: {shown}" + (f" and {len(ordered) - NAMED} more" if len(ordered) > NAMED else "")
