"""What BigQuery's errors mean: whether a row will never be taken, or may be later. The one table of it.

https://cloud.google.com/bigquery/docs/error-messages
https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/insertAll
"""

from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """`permanent`: a row is at fault and becomes a dead letter. `transient`: Pub/Sub delivers again."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"


class Answer(msgspec.Struct, frozen=True):
    """An answer to a whole request; reason "" stands for every reason that is not listed for the status.

    A request with a permanent answer is halved until the row at fault stands alone.
    """

    status: int
    reason: str
    verdict: Verdict
    meaning: str


_P, _T = Verdict.PERMANENT, Verdict.TRANSIENT

# Whole requests. A status that is not here is transient: nothing is given up for what nobody knows.
ANSWERS = (
    Answer(400, "invalid", _P, "a row, or the request that it makes, is not what the table takes"),
    Answer(400, "", _P, "as above: badRequest, parseError, or an answer that gives no reason"),
    Answer(400, "resourceInUse", _T, "the table is being changed"),
    Answer(400, "resourcesExceeded", _T, "BigQuery has not enough for it now"),
    Answer(400, "tableUnavailable", _T, "the table's data are out of reach for a while"),
    Answer(400, "timeout", _T, "BigQuery did not finish in its time"),
    Answer(400, "quotaExceeded", _T, "a quota is used up: it is given again, or raised"),
    Answer(400, "rateLimitExceeded", _T, "too much at once"),
    Answer(401, "", _T, "the credentials are not valid: look at the function's service account"),
    Answer(403, "", _T, "accessDenied: the function's service account needs roles/bigquery.dataEditor"),
    Answer(403, "billingNotEnabled", _T, "the project has no billing account"),
    Answer(403, "quotaExceeded", _T, "a quota is used up: it is given again, or raised"),
    Answer(403, "rateLimitExceeded", _T, "too much at once"),
    Answer(404, "", _T, "the dataset or the table is not there: apply Terraform, see BIGQUERY_DATASET"),
    Answer(409, "", _T, "the table is being changed"),
    Answer(413, "", _P, "the request is too large: a row of it, or all together"),
    Answer(429, "", _T, "too much at once"),
    Answer(500, "", _T, "a fault of BigQuery's"),
    Answer(502, "", _T, "BigQuery was not reached through its proxy"),
    Answer(503, "", _T, "BigQuery is not there for a while"),
    Answer(504, "", _T, "BigQuery did not answer its proxy in time; the rows may be in the table"),
)

# Single rows of a request that was taken (skipInvalidRows). A reason that is not here is transient.
ROW_REASONS = {
    "invalid": _P,  # no such field, null in a REQUIRED column, a value that the column cannot hold
    "invalidQuery": _P,
    "badRequest": _P,
    "stopped": _T,  # another row was at fault
    "timeout": _T,
    "backendError": _T,
    "internalError": _T,
    "quotaExceeded": _T,
    "rateLimitExceeded": _T,
}

_BY_KEY = {(answer.status, answer.reason): answer for answer in ANSWERS}
_UNKNOWN = "not an answer that BigQuery's pages list"


def classify(status: int, reason: str) -> Answer:
    """Return what an answer to a whole request means; `reason` is "" where it gives none."""
    known = _BY_KEY.get((status, reason)) or _BY_KEY.get((status, ""))
    return known or Answer(status, reason, Verdict.TRANSIENT, _UNKNOWN)


def classify_row(reasons: list[str]) -> Verdict:
    """Return what the errors of one row mean: one that is the row's own fault is enough."""
    verdicts = [ROW_REASONS.get(reason, Verdict.TRANSIENT) for reason in reasons]
    return Verdict.PERMANENT if Verdict.PERMANENT in verdicts else Verdict.TRANSIENT
