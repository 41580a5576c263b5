"""Whether bytes that do not name their version are misread as another's: `python -m decoder check`.

They are read with the newest version alone, whichever wrote them, so it must read the same bytes.
"""

from decoder.aliases import with_names_of
from decoder.catalog import Catalog, EventType
from decoder.findings import Findings
from decoder.leaves import Node
from decoder.probe import SAMPLES, Probed, probe
from decoder.schema_file import SchemaKey, Version
from decoder.schema_types import IncompatibleError
from decoder.wire import Comparison, Outcome, compare

# Their bytes do not name the version that wrote them; in `auto`, those of a container do.
_UNVERSIONED = ("auto", "schemaless")
_FINGERPRINT_BYTES = 8


def misread_versions(catalog: Catalog) -> Findings:
    """Return what bytes become that are read with another version than the one that wrote them.

    In `auto` and `schemaless` topics that is the newest; in the others the newest of those that a header
    names alike. Each version before it is compared with it in both directions: until it is deployed, its
    bytes are read with the older one, and afterwards those of the older one with it.
    """
    findings = Findings()
    for event_type in catalog.types.values():
        for older in event_type.versions[:-1]:
            newest = _read_with(event_type, older)
            if newest is not None:
                _add(findings, event_type, older, newest)
    return findings


def _read_with(event_type: EventType, older: Version) -> Version | None:
    """Return the later version that bytes of a version are read with, None where it is its own."""
    framing = event_type.topic.framing
    if framing in _UNVERSIONED:
        return event_type.versions[-1]
    own = _keys(older, framing)
    later = [v for v in event_type.versions if v.number > older.number and own & _keys(v, framing)]
    return later[-1] if later else None


def _keys(version: Version, framing: str) -> set[SchemaKey]:
    """Return what names a version in a header of a framing."""
    fingerprints: set[SchemaKey] = {
        k for k in version.keys if isinstance(k, bytes) and len(k) == _FINGERPRINT_BYTES
    }
    if framing == "single_object":
        return fingerprints
    return set(version.keys) - fingerprints if framing == "confluent" else set()


def _add(findings: Findings, event_type: EventType, older: Version, newest: Version) -> None:
    aliased = with_names_of(older.schema, newest.schema)
    of = f"{newest.item_type_name} in topic {event_type.topic.name}"
    before, after = (older, older.schema), (newest, aliased)
    found: list[tuple[bool, str]] = []
    notes: list[str] = []
    for (wrote, writer), (reads, reader) in ((before, after), (after, before)):
        compared = compare(writer, reader, strict=event_type.topic.strict)
        probed = _probed(writer, reader, event_type, compared)
        if probed.example is not None or compared.outcome == Outcome.MISREAD:
            until = "" if reads is newest else f" until version {newest.number} is deployed"
            said = (
                f"{newest.file}: version {reads.number} of {of} misreads bytes of version {wrote.number} "
                f"({wrote.file}){until}: {_what(compared, probed)}. {_alias(probed, reads is newest)}"
            )
            found.append((probed.is_plausible, said))
        elif (probed.rejected or compared.outcome == Outcome.REJECTED) and older is event_type.versions[-2]:
            notes.append(f"{newest.file}: {_dead_letters(of, older, newest, reads is newest)}")
    if not found:
        findings.notes.extend(notes)
        return
    # One is enough: of the two directions the one whose example people recognize.
    said = max(found, key=lambda each: each[0])[1]
    if any("misread" in each.accept for each in event_type.versions if each.number > older.number):
        findings.warnings.append(f"{said}The file accepts that")
    else:
        findings.errors.append(f"{said}{_remedy(event_type, older, newest)}")


def _probed(writer: Node, reader: Node, event_type: EventType, compared: Comparison) -> Probed:
    try:
        return probe(writer, reader, event_type.topic, is_suspected=compared.outcome == Outcome.MISREAD)
    except IncompatibleError:
        return Probed()  # a schema that cannot be read with alone; what was compared counts


def _what(compared: Comparison, probed: Probed) -> str:
    return probed.example or (
        f"from field {compared.field} on, its bytes can be read as other values "
        f"(of {SAMPLES} events made at random none was, but nothing excludes it)"
    )


def _alias(probed: Probed, is_newest: bool) -> str:  # noqa: FBT001 - one of two
    if not probed.renamed:
        return ""
    old, new = probed.renamed if is_newest else probed.renamed[::-1]
    return f'If {new} is the same field, give it "aliases": ["{old}"]. '


def _remedy(event_type: EventType, older: Version, newest: Version) -> str:
    return (
        f"{_REMEDIES[event_type.topic.framing]}. If no bytes of version {older.number} are left to read, put "
        f'"accept": ["misread"] into {newest.file}'
    )


_KEEP = (
    "do not say which version wrote them: keep what is there, in its order, and add fields, symbols and "
    "branches at the end (but to a union no second record or map, and no second of string, bytes, enum and "
    "fixed), or use a new type name, or a framing that names the version (container, single_object, "
    "confluent)"
)
_REMEDIES = {
    "auto": f"Bytes without a container {_KEEP}",
    "schemaless": f"Schemaless bytes {_KEEP}",
    "single_object": "Both versions have one fingerprint, which has no logical types: use a new type name",
    "confluent": "Both versions have one schema_id or schema_guid: give each its own, or use a new type name",
}


def _dead_letters(of: str, older: Version, newest: Version, is_newest: bool) -> str:  # noqa: FBT001 - one of two
    if not is_newest:
        return (
            f"until version {newest.number} of {of} is deployed, bytes of it that version {older.number} "
            "cannot read are dead letters; replay them then"
        )
    return (
        f"once version {newest.number} of {of} is deployed, bytes of version {older.number} that it cannot "
        "read are dead letters: deploy it after the producers have changed"
    )
