"""A copy of the repository with a stream that nobody here knows, as its user makes one."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from decoder.streams import CATALOG, ROOT

STREAM, TOPIC, TYPE = "garden_orders", "garden_orders_v1_topic", "garden.orders.v1.GardenOrderPlacedV1"

_ENTRY = f"""
  {STREAM}:
    table: {STREAM}
    topics:
      - name: {TOPIC}
        version: 1
        current: true
"""
_PLANT = {
    "type": "record",
    "name": "Plant",
    "fields": [
        {"name": "latin_name", "type": "string"},
        {"name": "height_m", "type": "float"},
        {"name": "grafted_on", "type": ["null", "Plant"], "default": None},
    ],
}
_VOUCHER = {"type": "record", "name": "Voucher", "fields": [{"name": "code", "type": "string"}]}
_CARD = {"type": "record", "name": "Card", "fields": [{"name": "last_digits", "type": "int"}]}


def _logical(kind: str, logical: str, **more: object) -> dict[str, object]:
    return {"type": kind, "logicalType": logical, **more}


_FIELDS: Mapping[str, object] = {
    "id": _logical("string", "uuid"),
    "timestamp": _logical("long", "timestamp-micros"),
    "customer_id": "long",
    "total": _logical("bytes", "decimal", precision=9, scale=2),
    "paid_by": [_VOUCHER, _CARD, "null"],
    "plants": {"type": "array", "items": _PLANT},
    "per_bed": {"type": "map", "values": ["int", "string"]},
    "season": {"type": "enum", "name": "Season", "symbols": ["SPRING", "AUTUMN"]},
    "rain_mm": "double",
    "signature": ["null", "bytes"],
    "digest": {"type": "fixed", "name": "Digest", "size": 8},
    "guarantee": _logical("fixed", "duration", name="Guarantee", size=12),
    "deliver_on": _logical("int", "date"),
    "deliver_at": _logical("int", "time-millis"),
    "picked_at": _logical("long", "local-timestamp-millis"),
    "measured_at": _logical("long", "timestamp-nanos"),
    "gift": "boolean",
}


def copy_with_own_stream(folder: Path) -> Path:
    """Copy the repository, and add an entry of streams.yaml and one .avsc: nothing else."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True, timeout=30).stdout.decode()
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    with (folder / "streams.yaml").open("a") as streams:
        streams.write(_ENTRY)
    namespace, _, name = TYPE.rpartition(".")
    fields = [{"name": field, "type": kind} for field, kind in _FIELDS.items()]
    schema = {"type": "record", "name": name, "namespace": namespace, "fields": fields}
    schemas = folder / "decoder" / "schemas" / TOPIC
    schemas.mkdir()
    (schemas / f"{name}.avsc").write_bytes(msgspec.json.encode(schema))
    return folder


def own_environment() -> dict[str, str]:
    """Return the environment without the frozen catalog's name, which tests/conftest.py set."""
    return {name: value for name, value in os.environ.items() if name != CATALOG}
