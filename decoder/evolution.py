"""Whether each new version of a type can read what the last one wrote: `python -m decoder check`.

That is so where bytes name their version. Those that do not are the matter of decoder/misreads.py.
"""

from itertools import pairwise

from decoder.catalog import Catalog
from decoder.reading import Reading
from decoder.schema_types import IncompatibleError


def incompatible_versions(catalog: Catalog) -> list[str]:
    """Return a line for each version that cannot read the one before it, with the first field it fails at.

    It must read every value of it, so a branch of a union or a symbol of an enum that it lacks counts too.
    Schemaless bytes are never resolved, so types of that framing are left out.
    """
    found = []
    for event_type in catalog.types.values():
        if event_type.topic.framing == "schemaless":
            continue
        for older, newer in pairwise(event_type.versions):
            try:
                problems = Reading(older.schema, newer.schema).problems
            except IncompatibleError as error:
                problems = [str(error)]
            if problems:
                found.append(
                    f"{newer.file}: version {newer.number} of {newer.item_type_name} cannot read "
                    f"version {older.number} ({older.file}): {problems[0]}"
                )
    return found
