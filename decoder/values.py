"""An event as JSON text that loses nothing.

msgspec writes what decoder/leaves.py and fastavro return: integers whole, decimals as exact strings, bytes
as base64, timestamps, dates and times in RFC 3339, uuids and enums as strings, records and maps in their
order. docs/values.md has each Avro type, its JSON, and how BigQuery reads it.
"""

from collections.abc import Mapping

import msgspec

_encoder = msgspec.json.Encoder(decimal_format="string")


def to_json(event: Mapping[str, object]) -> str:
    """Return the event as JSON text."""
    return _encoder.encode(event).decode()
