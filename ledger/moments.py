"""Times for people and files. They may be a liar's, and any number; nobody else makes dates of seconds."""

import datetime as dt
from typing import Final

LAST: Final = 253_402_300_799 - 86_400
"""A day before the end of the year 9999, so that every time zone has a date for it."""


def is_moment(seconds: float) -> bool:
    """Tell whether a time has a date: it is of the years 1970 to 9999."""
    return 0 <= seconds <= LAST


def moment(seconds: float) -> dt.datetime:
    """Return a moment in UTC, seconds since 1970; what has no date as the nearest that has one."""
    return dt.datetime.fromtimestamp(max(0, min(seconds, LAST)), dt.UTC)


def iso_moment(seconds: int) -> str:
    """Return a moment as ISO 8601; what has no date as the number that it is."""
    return moment(seconds).isoformat() if is_moment(seconds) else str(seconds)
