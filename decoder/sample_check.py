"""Whether samples of every type become rows: what `make run` and `operate smoke` will send.

`python -m decoder check` fails early, so that a deployment does not fail at these later.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random

import msgspec

from decoder.catalog import Catalog
from decoder.encode import framing_problem
from decoder.examples import SUFFIX, example_names
from decoder.rows import event_row
from decoder.samples import Sample, samples_of_each
from decoder.streams import CatalogError, catalog_files
from envelope import Record
from rejection import RejectedError

_SAMPLES = 20
# The limit of sink/batch.py.
MAX_ROW_BYTES = 9_400_000


def sample_problems(catalog: Catalog) -> list[str]:
    """Return a line for each type whose samples or examples do not become rows, and for unused examples."""
    found = list(_examples_of_nothing(catalog))
    for event_type in catalog.types.values():
        if framing_problem(event_type) is None:
            try:
                for sample in samples_of_each(event_type, Random(1), _now, _SAMPLES):  # noqa: S311 - no secret
                    _check_row(sample, catalog)
            except (CatalogError, RejectedError) as error:
                found.append(str(error))
    return list(dict.fromkeys(found))


def unsampled_types(catalog: Catalog) -> list[str]:
    """Return a line for each type that cannot be sampled, which is not an error."""
    return [
        f"no samples of {event_type.item_type_name}: {problem}"
        for event_type in catalog.types.values()
        if (problem := framing_problem(event_type)) is not None
    ]


def _check_row(sample: Sample, catalog: Catalog) -> None:
    now = _now()
    record = Record(
        sample.topic, 0, 0, int(now.timestamp() * 1_000), sample.key, sample.headers, sample.value
    )
    _, row = event_row(record, "check", catalog, int(now.timestamp() * 1e9))
    size = len(msgspec.json.encode(row))
    if size > MAX_ROW_BYTES:
        raise CatalogError(
            f"a sample of {sample.item_type_name} is a row of {size:,} bytes, the limit is {MAX_ROW_BYTES:,}"
        )


def _examples_of_nothing(catalog: Catalog) -> Iterator[str]:
    """Yield the files of examples that are not read, and their types that the schema does not have."""
    for topic in catalog.topics:
        for path in sorted((catalog_files().schemas / topic).glob(f"*{SUFFIX}")):
            name = path.name.removesuffix(SUFFIX) + ".avsc"
            schema = f"schemas/{topic}/{name}"
            types = {name for (of, name), each in catalog.types.items() if (of, each.file) == (topic, schema)}
            if not types and path.with_name(name).exists():
                yield (
                    f"schemas/{topic}/{path.name}: {schema} is not the newest version of a type: "
                    "rename the file after that version"
                )
            try:
                names = example_names(path) if types else set()
            except CatalogError as error:
                yield str(error)
                continue
            for unknown in sorted(names - types):
                known = ", ".join(sorted(types))
                yield f"schemas/{topic}/{path.name}: {unknown} is not a type of {schema}, which has {known}"


def _now() -> datetime:
    return datetime.now(UTC)
