"""The sink's settings: their defaults, and a wrong one named."""

import pytest

from sink.batch import Limits
from sink.limits import load_limits


def test_defaults() -> None:
    """500 rows and 10 MB a request, as BigQuery advises and takes; 64 MB may wait."""
    assert load_limits({}) == (Limits(max_rows=500, max_bytes=10_000_000), 64_000_000)


def test_settings_are_read() -> None:
    """Each variable sets its own bound."""
    environment = {"INSERT_MAX_ROWS": "7", "INSERT_MAX_BYTES": "2000", "MAX_WAITING_BYTES": "20000000"}
    assert load_limits(environment) == (Limits(max_rows=7, max_bytes=2_000), 20_000_000)


@pytest.mark.parametrize("name", ["INSERT_MAX_ROWS", "INSERT_MAX_BYTES", "MAX_WAITING_BYTES"])
@pytest.mark.parametrize("text", ["0", "-1", "many", "1e3", "99999999999999"])
def test_wrong_setting_is_named(name: str, text: str) -> None:
    """The function does not start with a bound that BigQuery or the memory does not have."""
    with pytest.raises(ValueError, match=f"{name} is '{text}', not a whole number from"):
        load_limits({name: text})
