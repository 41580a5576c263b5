"""The table of BigQuery's errors: each has one verdict, and what nobody knows gives nothing up."""

import pytest

from sink.errors import ANSWERS, Verdict, classify, classify_row


def test_no_answer_is_there_twice() -> None:
    """One status and reason have one verdict."""
    keys = [(answer.status, answer.reason) for answer in ANSWERS]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("status", "reason", "verdict"),
    [
        (400, "invalid", Verdict.PERMANENT),
        (400, "never heard of", Verdict.PERMANENT),
        (400, "", Verdict.PERMANENT),
        (400, "rateLimitExceeded", Verdict.TRANSIENT),
        (400, "tableUnavailable", Verdict.TRANSIENT),
        (413, "requestTooLarge", Verdict.PERMANENT),
        *[(s, "x", Verdict.TRANSIENT) for s in (301, 401, 403, 404, 409, 418, 429, 500, 502, 503, 504)],
        (403, "quotaExceeded", Verdict.TRANSIENT),
    ],
)
def test_verdict_of_a_whole_request(status: int, reason: str, verdict: Verdict) -> None:
    """400 but for what passes, and 413, are a row's fault; all else may pass with time."""
    assert classify(status, reason).verdict is verdict


def test_reason_that_the_table_has_is_said_in_its_words() -> None:
    """What the log line says is the meaning of that status and reason, not only of the status."""
    assert "billing" in classify(403, "billingNotEnabled").meaning
    assert "dataEditor" in classify(403, "accessDenied").meaning
    assert "Terraform" in classify(404, "notFound").meaning


@pytest.mark.parametrize(
    ("reasons", "verdict"),
    [
        (["invalid"], Verdict.PERMANENT),
        (["stopped", "invalid"], Verdict.PERMANENT),
        (["stopped"], Verdict.TRANSIENT),
        (["never heard of"], Verdict.TRANSIENT),
        ([], Verdict.TRANSIENT),
    ],
)
def test_verdict_of_a_row(reasons: list[str], verdict: Verdict) -> None:
    """One error that is the row's own is enough."""
    assert classify_row(reasons) is verdict
