"""Write the examples beside the repository's schemas: some events of each type that the makers make."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from decoder.catalog import EventType
from decoder.examples import SUFFIX
from decoder.framing import decode
from decoder.streams import ROOT
from decoder.values import to_json
from tests.events import frozen_catalog, sample_events

_FOLDERS = (ROOT / "decoder" / "schemas", ROOT / "tests" / "catalogue" / "schemas")
_EACH = 6
_DRAWN = 4_000


def example_files() -> Mapping[str, str]:
    """Return the text of each file by topic and name: one event per line, perhaps under its type."""
    types = frozen_catalog().types
    events: dict[EventType, list[str]] = {each: [] for each in types.values()}
    for sample in islice(sample_events(15, lambda: datetime(2026, 11, 25, 9, 30, tzinfo=UTC), 0.0), _DRAWN):
        event_type = types[sample.topic, sample.item_type_name]
        if len(events[event_type]) < _EACH:
            events[event_type].append(to_json(decode(sample.value or b"", event_type)))
    by_file: dict[str, dict[str, list[str]]] = {}
    for event_type, lines in events.items():
        name = f"{event_type.topic.name}/{Path(event_type.file).stem}{SUFFIX}"
        by_file.setdefault(name, {})[event_type.item_type_name] = lines
    return {name: _text(by_type) for name, by_type in by_file.items()}


def _text(by_type: Mapping[str, list[str]]) -> str:
    arrays = {name: "[\n" + ",\n".join(lines) + "\n]" for name, lines in by_type.items()}
    if len(arrays) == 1:
        return next(iter(arrays.values())) + "\n"
    return "{" + ",\n".join(f"{json.dumps(name)}: {array}" for name, array in arrays.items()) + "}\n"


def main() -> None:
    """Write those whose schema is in the catalog."""
    for folder in _FOLDERS:
        for name, text in example_files().items():
            path = folder / name
            if path.with_name(path.name.removesuffix(SUFFIX) + ".avsc").exists():
                path.write_text(text)


if __name__ == "__main__":
    main()
