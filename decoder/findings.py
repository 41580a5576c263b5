"""What `python -m decoder check` finds, as lines for people."""

import msgspec


class Findings(msgspec.Struct, frozen=True):
    """`errors` fail the check, `warnings` and `notes` do not."""

    errors: list[str] = []
    warnings: list[str] = []
    notes: list[str] = []
