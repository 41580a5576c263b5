"""Limits before work: what one record may cost, whatever its bytes say.

They are a topic's in streams.yaml, and hold for every framing.
"""

from typing import Annotated

import msgspec

# Of any schema, a sender's own in a container among them.
MAX_PRECISION = 1_000  # digits of a decimal; BigQuery's BIGNUMERIC has 76
MAX_SCHEMA_BYTES = 100_000
MAX_SCHEMA_NODES = 4_000
MAX_SCHEMA_VALUES = 50_000
MAX_SCHEMA_DEPTH = 64

_Count = Annotated[int, msgspec.Meta(ge=1)]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a record of a topic may take; one that takes more is a dead letter, too_large.

    `bytes` of its value, `decompressed_bytes` of a compressed container, `values` in the event (each
    field, item and entry is one; 50,000 take up to 20 MB and 50 ms), `depth` of records, arrays and maps.
    """

    bytes: _Count = 10_000_000
    decompressed_bytes: _Count = 4_000_000
    values: _Count = 50_000
    depth: Annotated[int, msgspec.Meta(ge=1, le=150)] = 64


DEFAULT_LIMITS = Limits()
