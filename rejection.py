"""Why a message can never become a row: the reason codes of the table dead_letters."""

from enum import StrEnum


class Reason(StrEnum):
    """The column `reason`. docs/operations.md says what to do about each."""

    MALFORMED_ENVELOPE = "malformed_envelope"
    UNKNOWN_TOPIC = "unknown_topic"
    TOMBSTONE = "tombstone"
    MISSING_TYPE_HEADER = "missing_type_header"
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN_SCHEMA = "unknown_schema"
    UNDECODABLE = "undecodable"
    TRAILING_BYTES = "trailing_bytes"
    TOO_LARGE = "too_large"
    ROW_REFUSED = "row_refused"


class RejectedError(ValueError):
    """A message that no retry will help: its text is the dead letter's `message`."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class TransientError(Exception):
    """What may pass with time: do not acknowledge, let Pub/Sub deliver again."""
