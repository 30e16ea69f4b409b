"""Times as people write them."""

from datetime import UTC, datetime

import pytest

from compress.errors import InputError
from compress.ledger.when import moment

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-11-01", "2026-11-01T00:00:00+00:00"),
        ("2026-11-01T10:00+02:00", "2026-11-01T08:00:00+00:00"),
        ("36h", "2026-11-22T00:00:00+00:00"),
        ("7d", "2026-11-16T12:00:00+00:00"),
        ("2w", "2026-11-09T12:00:00+00:00"),
    ],
)
def test_moments(text: str, wanted: str) -> None:
    assert moment(text, NOW) == wanted


@pytest.mark.parametrize("text", ["yesterday", "7", "3y", "-1d", "2026-13-01", "", "0001-01-01T00:00+01:00"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(InputError, match="not a time: write 2026-11-23"):
        moment(text, NOW)
