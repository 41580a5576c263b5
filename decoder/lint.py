"""What loads but is probably a mistake: files that nothing reads, ignored logical types, a missing name."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

from decoder.catalog import Catalog
from decoder.event_fields import beside
from decoder.examples import SUFFIX
from decoder.findings import Findings
from decoder.identity import IDENTITY_FILE
from decoder.leaves import LOGICAL_TYPES, Node, logical_type
from decoder.schema_file import Version
from decoder.schema_types import kind_of
from decoder.shared_types import TYPES

_DURATION = ("fixed", "duration", 12)


def lint(catalog: Catalog, schemas: Path) -> Findings:
    """Return what is hardly meant in the files of a catalog."""
    findings = Findings()
    _files(findings, schemas)
    by_file: dict[str, list[tuple[str, Version]]] = {}
    for (topic, _), event_type in catalog.types.items():
        for version in event_type.versions:
            by_file.setdefault(version.file, []).append((topic, version))
    for file, versions in by_file.items():
        topic, version = versions[0]
        if (topic, version.own_name) not in catalog.types and "own_name" not in version.accept:
            findings.warnings.append(
                f"{file}: item_types lacks {version.own_name}, the record's own name: an event with that in "
                'its header is a dead letter, unknown_type. Add it, or put "accept": ["own_name"] into the '
                "file"
            )
        findings.warnings.extend(
            f"{file}: the key {key!r} is ignored in a schema file: it is called {key}_field there"
            for key in ("id", "timestamp")  # their names in streams.yaml
            if isinstance(version.schema, dict) and key in version.schema
        )
        findings.warnings.extend(dict.fromkeys(f"{file}: {said}" for said in _ignored(version.schema, ())))
    return findings


def _files(findings: Findings, schemas: Path) -> None:
    for path in sorted(schemas.rglob("*")):
        place = path.relative_to(schemas)
        *folders, name = place.parts
        label, stem = f"{schemas.name}/{place.as_posix()}", name.removesuffix(SUFFIX)
        if name.startswith(".") or name == "README.md" or place.parts == (IDENTITY_FILE,):
            continue
        if path.is_dir():
            if len(folders) > 1 or (folders and name != TYPES):
                findings.warnings.append(f"{label}: nothing reads this folder: move its files or remove it")
        elif name.endswith(".avsc") and folders:
            continue
        elif name.endswith(SUFFIX) and folders[-1:] != [TYPES]:
            if not path.with_name(f"{stem}.avsc").exists():
                findings.warnings.append(f"{label}: examples of a schema {stem}.avsc, which is not there")
        elif name.endswith(".json"):
            findings.errors.append(
                f"{label}: nothing reads this file: name it {name[:-5]}.avsc if it is a schema, or "
                f"{name[:-5]}.examples.json if it has examples of {name[:-5]}.avsc, or remove it"
            )
        else:
            findings.warnings.append(f"{label}: nothing reads this file: move it or remove it")


def _ignored(node: Node, path: tuple[str, ...]) -> Iterator[str]:
    """Yield what is wrong with the logical types in a type."""
    if isinstance(node, list):
        for branch in node:
            yield from _ignored(branch, path)
    if not isinstance(node, dict):
        return
    kind, logical = kind_of(node), node.get("logicalType")
    if logical is not None and logical_type(node) is None and (kind, logical, node.get("size")) != _DURATION:
        yield f"field {'.'.join(path)}: {_why(kind, logical)}"
    for field in node.get("fields", ()):
        here = (*path, field["name"])
        if "logicalType" in field:
            if isinstance(field["type"], str):
                yield f"field {'.'.join(here)}: {beside(field)}"
            else:
                yield f"field {'.'.join(here)}: the logicalType next to its type is ignored: put it into that"
        yield from _ignored(field["type"], here)
    for part in ("items", "values"):
        yield from _ignored(node.get(part), path)


def _why(kind: str, logical: object) -> str:
    kinds: Mapping[str, list[str]] = LOGICAL_TYPES
    if not isinstance(logical, str) or logical not in kinds:
        close = get_close_matches(str(logical), kinds, 1)
        return f"the logicalType {logical!r} is not known and ignored" + (f": {close[0]}?" if close else "")
    wanted = kinds[logical]
    if kind in wanted:
        return f"the logicalType {logical!r} is ignored: its precision, scale or size is not valid"
    return f"the logicalType {logical!r} does not fit {kind} and is ignored: it is for {' or '.join(wanted)}"
