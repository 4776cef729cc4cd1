"""Seeded randomness: one independent stream per purpose, so that a new dataset changes no old one."""

import datetime as dt
from random import Random


def stream(seed: int, *purpose: str) -> Random:
    """Return the generator of `seed` for one purpose; the same words give the same numbers."""
    # Not for secrets: a city has to come out the same each time.
    return Random("/".join((str(seed), *purpose)))  # noqa: S311


def day_between(rng: Random, first: dt.date, last: dt.date) -> dt.date:
    """Return a day from `first` to `last`, both included; `first` when the two are in reverse."""
    days = (last - first).days
    return first + dt.timedelta(days=rng.randrange(days + 1)) if days > 0 else first


def money(cents: int) -> str:
    """Return an amount in yuan, with two decimals, of an amount in cents."""
    return f"{cents // 100}.{cents % 100:02d}"


def cents(amount: str) -> int:
    """Return the amount in cents of an amount in yuan that `money` wrote."""
    return int(amount.replace(".", ""))
