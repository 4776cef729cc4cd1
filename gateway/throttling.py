"""Token buckets: so much at once, so much per second, for each party by itself."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

from gateway.errors import ThrottledError

_MOST: Final = 100_000
"""Buckets kept; the one that was used longest ago is given up, as if it were full."""
_ROUNDING: Final = 1e-6
"""Seconds: sums of times are a little off, and that is no reason to say a second more."""


class Throttle:
    """A bucket for each party. Belongs to one event loop, and to one process: two gateways allow twice as much.

    A bucket is kept as the time at which it will be full again (the generic cell rate algorithm).
    """

    def __init__(
        self, rate: float, burst: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Make a bucket full for everybody.

        Args:
            rate: Tokens that come back per second.
            burst: Tokens in a full bucket.
            clock: Seconds.
        """
        self._seconds = 1 / rate
        self._depth = burst / rate
        self._clock = clock
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()

    def take(self, party: Hashable, tokens: int = 1) -> None:
        """Take tokens from a party's bucket, all of them or none.

        Raises:
            ThrottledError: There are not so many; it says when there will be.
        """
        now = self._clock()
        full_at = max(self._full_at.get(party, now), now) + tokens * self._seconds
        missing = full_at - now - self._depth
        if missing > 0:
            raise ThrottledError(max(math.ceil(missing - _ROUNDING), 1))
        self._full_at[party] = full_at
        self._full_at.move_to_end(party)
        if len(self._full_at) > _MOST:
            self._full_at.popitem(last=False)
