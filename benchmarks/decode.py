"""What exact decoding costs: each guard alone, all of them, strict, and the whole step from bytes to row.

CPU time of one process, side by side: the ways take turns, and ratios are within a turn. The events are the
schemaless ones of `tests.events`.
"""

import argparse
import io
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import islice
from operator import truediv
from statistics import median

import fastavro
import msgspec

from decoder.avro import Writer
from decoder.framing import decode
from decoder.leaves import Node
from decoder.limits import DEFAULT_LIMITS
from decoder.reading import Reading
from decoder.rows import event_row
from decoder.shape import Shapes
from decoder.streams import Topic
from decoder.walk import Walker
from envelope import Record
from tests.events import SampleEvent, frozen_catalog, sample_events

# A guard's share: the parts of a reading schema that it is about, among parts as fastavro has them.
GUARDS: Mapping[str, str] = {
    "union": "branch indexes",
    "enum": "symbol indexes",
    "int": "an int's range",
    "boolean": "booleans 0 and 1",
    "float": "NaN and infinities as text",
    "map": "repeated keys",
    "uuid": "UUIDs as text",
    "decimal": "decimals exact, of bounded digits",
    "time": "times of day",
}
_LOGICAL = {"uuid": "uuid", "decimal": "decimal", "time-millis": "time", "time-micros": "time"}


def only(guard: str, node: Node, schema: Node) -> Node:  # noqa: PLR0911 - one for each kind of type
    """Return fastavro's own schema but for the parts that one guard is about."""
    if isinstance(schema, list):
        branches = [only(guard, list.__getitem__(node, index), branch) for index, branch in enumerate(schema)]
        return type(node)(branches) if guard == "union" else branches
    if not isinstance(schema, dict):
        return node if schema == guard or (guard == "float" and schema == "double") else schema
    kind = schema["type"]
    if kind == "record":
        parts = zip(node["fields"], schema["fields"], strict=True)
        fields = [
            {"name": field["name"], "type": only(guard, own["type"], field["type"])} for own, field in parts
        ]
        return {**schema, "fields": fields}
    if kind == "array":
        return {**schema, "items": only(guard, node["items"], schema["items"])}
    if kind == "map":
        key, value = node["items"]["fields"]
        inner = only(guard, value["type"], schema["values"])
        if guard != "map":
            return {**schema, "values": inner}
        return {**node, "items": {**node["items"], "fields": [key, {**value, "type": inner}]}}
    kept = _LOGICAL.get(schema.get("logicalType", ""), kind)
    return node if kept == guard else schema


def unlabelled(node: Node, seen: frozenset[int] = frozenset()) -> Node:
    """Leave out the labels of ambiguous unions, so that the parts stand beside fastavro's."""
    if isinstance(node, list):
        return type(node)([unlabelled(branch) for branch in list.__iter__(node)])
    if not isinstance(node, dict):
        return node
    fields = node.get("fields")
    if fields and len(fields) == 1 and fields[0]["name"] == node["name"] and id(node) not in seen:
        return unlabelled(fields[0]["type"])
    if fields:
        return {**node, "fields": [{**field, "type": unlabelled(field["type"])} for field in fields]}
    return {**node, "items": unlabelled(node["items"])} if "items" in node else node


def read(root: Node, value: bytes) -> object:
    """Read an event with fastavro."""
    return fastavro.schemaless_reader(io.BytesIO(value), root, None)


def measure(ways: Mapping[str, Callable[[], object]], events: int, rounds: int) -> dict[str, list[float]]:
    """Return µs of CPU per event of each way, in each round."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.process_time_ns()
            way()
            spent[name].append((time.process_time_ns() - start) / events / 1_000)
    return spent


def main() -> None:
    """Run the comparison, and print it in Markdown and as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decode", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()

    def clock() -> datetime:
        return datetime.now(UTC)

    catalog = frozen_catalog()
    samples = [s for s in islice(sample_events(7, clock, 0.0), arguments.events) if not _is_container(s)]
    types = {key: each for key, each in catalog.types.items() if any(_key(s) == key for s in samples)}
    strict = {k: Writer(Topic("t", 1, True, strict=True), t.schema) for k, t in types.items()}
    roots = {k: Reading(t.schema).root for k, t in types.items()}
    walkers = {k: Walker(root, Shapes(root)) for k, root in roots.items()}
    values = [(_key(sample), sample.value or b"") for sample in samples]

    def with_schemas(schemas: Mapping[tuple[str, str], Node]) -> Callable[[], object]:
        pairs = [(schemas[key], value) for key, value in values]
        return lambda: [read(root, value) for root, value in pairs]

    ways: dict[str, Callable[[], object]] = {
        "fastavro alone": with_schemas({k: t.schema for k, t in types.items()})
    }
    for guard, text in GUARDS.items():
        ways[f"and {text}"] = with_schemas(
            {k: only(guard, unlabelled(roots[k]), t.schema) for k, t in types.items()}
        )
    ways["and all of these"] = with_schemas(roots)
    ways["decode, the default"] = lambda: [decode(v, types[k]) for k, v in values]
    ways["decode, strict"] = lambda: [strict[k].decode(v) for k, v in values]
    ways["the exact walk alone"] = lambda: [walkers[k](v, 0, DEFAULT_LIMITS) for k, v in values]
    ways["encoded again and compared"] = lambda: [_again(types[k].schema, v) for k, v in values]
    records = [Record(s.topic, 1, 1, 1, s.key, s.headers, s.value) for s in samples]
    ways["bytes to row"] = lambda: [msgspec.json.encode(event_row(r, "e", catalog, 1)[1]) for r in records]
    found = measure(ways, len(values), arguments.rounds)
    alone = found["fastavro alone"]
    # Within a round, since a busy machine slows all of it.
    ratios = {name: median(map(truediv, each, alone)) for name, each in found.items()}
    size = sum(len(value) for _, value in values) / len(values)
    print(f"{len(values)} events of {size:.0f} bytes on average, medians of {arguments.rounds} rounds:\n")
    print("| | CPU µs an event | to fastavro alone |\n|---|---|---|")
    for name, each in found.items():
        print(f"| {name} | {median(each):.1f} | {ratios[name]:.2f} |")
    print()
    summary = {
        "reader_us": round(median(alone), 2),
        "guarded_us": round(median(found["decode, the default"]), 2),
        "ratio": round(ratios["decode, the default"], 3),
        "strict_ratio": round(ratios["decode, strict"], 3),
        "bytes_to_row_us": round(median(found["bytes to row"]), 2),
    }
    print(json.dumps(summary), flush=True)


def _again(schema: Node, value: bytes) -> bool:
    event = fastavro.schemaless_reader(io.BytesIO(value), schema, None)
    written = io.BytesIO()
    fastavro.schemaless_writer(written, schema, event)
    return written.getvalue() == value


def _key(sample: SampleEvent) -> tuple[str, str]:
    return sample.topic, sample.item_type_name


def _is_container(sample: SampleEvent) -> bool:
    return (sample.value or b"").startswith(b"Obj\x01")


if __name__ == "__main__":
    main()
