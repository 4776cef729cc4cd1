"""Times for people and files. They may be a liar's, and any number."""

import datetime as dt
from typing import Final

_LAST: Final = 253_402_300_799 - 86_400
"""A day before the end of the year 9999, so that every time zone has a date for it."""


def moment(seconds: int) -> dt.datetime:
    """Return a moment in UTC; what lies outside the years 1970 to 9999 as the nearest of these.

    Args:
        seconds: since 1970.
    """
    return dt.datetime.fromtimestamp(max(0, min(seconds, _LAST)), dt.UTC)


def iso_moment(seconds: int) -> str:
    """Return the same as ISO 8601."""
    return moment(seconds).isoformat()
