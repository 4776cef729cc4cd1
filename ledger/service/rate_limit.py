"""Token buckets: so much at once, so much per second, for each party by itself.

Take from a party's bucket only when it is clear that it is the party who asks, or anybody could
empty it in its name; and let all who are nobody here share one bucket (`STRANGERS`), or whoever draws keys has as many as it
likes.
"""

import math
import time
from collections.abc import Callable, Hashable
from typing import Final

from ledger.service.errors import ThrottledError

STRANGERS: Final = "strangers"
"""The party that everybody is together who is nobody here."""

_MOST: Final = 100_000
"""Parties whose buckets are not full."""
_ROUNDING: Final = 1e-6
"""Seconds: sums of times are a little off, which is no reason to say a second more."""


class RateLimit:
    """A bucket for each party: `burst` tokens, of which `rate` come back per second.

    Belongs to one event loop, and to one process: two gateways allow twice as much. A bucket is the
    time at which it will be full again (the generic cell rate algorithm). One that is not full is
    never given up for another one, so that nobody gets a full one by filling the table.
    """

    def __init__(
        self, rate: float, burst: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = 1 / rate
        self._depth = burst / rate
        self._clock = clock
        self._full_at: dict[Hashable, float] = {}
        self._next_full = math.inf
        """Before this no bucket of a table that was found full is full."""

    def take(self, party: Hashable, tokens: int = 1) -> None:
        """Take tokens from a party's bucket, all of them or none; `ThrottledError` says when there will be so many."""
        full_at = self._taken(party, tokens)
        if party not in self._full_at:
            self._make_room()
        self._full_at[party] = full_at

    def check(self, party: Hashable) -> None:
        """Check that a token is in a party's bucket, without taking it; else `ThrottledError`."""
        self._taken(party, 1)

    def _taken(self, party: Hashable, tokens: int) -> float:
        now = self._clock()
        full_at = max(self._full_at.get(party, now), now) + tokens * self._seconds
        missing = full_at - now - self._depth
        if missing > 0:
            raise ThrottledError(max(math.ceil(missing - _ROUNDING), 1))
        return full_at

    def _make_room(self) -> None:
        if len(self._full_at) < _MOST:
            return
        now = self._clock()
        if now >= self._next_full or self._next_full == math.inf:
            self._full_at = {party: at for party, at in self._full_at.items() if at > now}
            self._next_full = min(self._full_at.values(), default=math.inf)
        if len(self._full_at) >= _MOST:
            wait = max(math.ceil(self._next_full - now), 1)
            raise ThrottledError(wait, "more parties come than are taken")
