"""Times as people write them."""

import re
from datetime import UTC, datetime, timedelta

from compress.errors import InputError

UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def moment(text: str, now: datetime) -> str:
    """``2026-11-23``, ``2026-11-23T12:00+01:00`` or ``7d`` (12h, 2w) before ``now`` -> UTC, as rows hold it.

    A time without a zone is UTC. Raises InputError for anything else.
    """
    try:
        if ago := re.fullmatch(r"(\d{1,5})([hdw])", text):
            when = now - timedelta(**{UNITS[ago[2]]: int(ago[1])})
        else:
            when = datetime.fromisoformat(text)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return when.astimezone(UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        raise InputError(f"{text!r}: not a time: write 2026-11-23, 2026-11-23T12:00 or 7d (h, d, w)") from None
