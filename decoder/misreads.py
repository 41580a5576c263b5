"""Whether bytes that do not name their version are misread as another's: `python -m decoder check`.

They are read with the newest version alone, whichever wrote them, so a new version must read the same bytes.
"""

from decoder.aliases import with_names_of
from decoder.catalog import Catalog, EventType
from decoder.findings import Findings
from decoder.probe import SAMPLES, Probed, probe
from decoder.schema_file import Version
from decoder.wire import Comparison, Outcome, compare

# Their bytes do not name the version that wrote them; in `auto`, those of a container do.
UNVERSIONED = ("auto", "schemaless")


def misread_versions(catalog: Catalog) -> Findings:
    """Return what bytes that name no version become under another version than the one that wrote them.

    Each older version is compared with the newest, in both directions: until the newest is deployed, its
    bytes are read with the older one, and afterwards those of the older one with the newest.
    """
    findings = Findings()
    for event_type in catalog.types.values():
        if event_type.topic.framing in UNVERSIONED:
            for older in event_type.versions[:-1]:
                _add(findings, event_type, older)
    return findings


def _add(findings: Findings, event_type: EventType, older: Version) -> None:
    newest = event_type.versions[-1]
    aliased = with_names_of(older.schema, newest.schema)
    of = f"{newest.item_type_name} in topic {event_type.topic.name}"
    before, after = (older, older.schema), (newest, aliased)
    found: list[tuple[bool, str]] = []
    notes: list[str] = []
    for (wrote, writer), (reads, reader) in ((before, after), (after, before)):
        compared, probed = compare(writer, reader), probe(writer, reader, event_type.topic)
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
        findings.errors.append(f"{said}{_remedy(event_type, older)}")


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


def _remedy(event_type: EventType, older: Version) -> str:
    return (
        f"Bytes in framing {event_type.topic.framing} do not say which version wrote them: keep what "
        "is there, in its order, and add fields, symbols and branches at the end, or use a new type name, or "
        "a framing that names the version (container, single_object, confluent). If no bytes of version "
        f'{older.number} are left to read, put "accept": ["misread"] into {event_type.file}'
    )


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
