"""How often: a bucket of tokens for each party, filled at a steady rate."""

from collections import OrderedDict
from collections.abc import Callable
from math import ceil

from wallet.service.problems import THROTTLED, ProblemError

_MOST_PARTIES = 10_000


class RateLimit:
    """Lets each key take so much in a span of time, in bursts of as much.

    Args:
        amount: What a key may take in a span.
        seconds: The span.
        clock: Gives the present in seconds; steady.
    """

    def __init__(self, amount: int, seconds: float, clock: Callable[[], float]) -> None:
        self._amount = amount
        self._rate = amount / seconds
        self._clock = clock
        self._levels: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def take(self, key: bytes, cost: int = 1) -> None:
        """Take from a key's bucket.

        Raises:
            ProblemError: There is not enough in it; the problem says when there will be.
        """
        level = self._level(key)
        self._require(level, cost)
        self._levels[key] = (level - cost, self._clock())

    def check(self, key: bytes) -> None:
        """Check that something is left in a key's bucket, without taking it.

        Raises:
            ProblemError: As `take`.
        """
        self._require(self._level(key), 1)

    def _level(self, key: bytes) -> float:
        now = self._clock()
        level, at = self._levels.pop(key, (float(self._amount), now))
        level = min(self._amount, level + (now - at) * self._rate)
        self._levels[key] = (level, now)
        if len(self._levels) > _MOST_PARTIES:
            self._levels.popitem(last=False)
        return level

    def _require(self, level: float, cost: int) -> None:
        if cost > level:
            wait = ceil((min(cost, self._amount) - level) / self._rate)
            raise ProblemError(THROTTLED, f"try again in {wait} s", retry_after=max(wait, 1))
