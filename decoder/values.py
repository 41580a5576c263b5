"""An event as JSON text that loses nothing.

msgspec writes what decoder/leaves.py and fastavro return: integers whole, bytes as base64, timestamps,
dates and times in RFC 3339; decimals, uuids and enums are text already; records and maps keep their order.
docs/values.md has each Avro type, its JSON, and how BigQuery reads it.
"""

from collections.abc import Mapping

import msgspec

_encoder = msgspec.json.Encoder()


def to_json(event: Mapping[str, object]) -> str:
    """Return the event as JSON text."""
    return _encoder.encode(event).decode()
