"""Result of a run of a baseline: how many accesses, in what time, and how long each took."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Served:
    """A run.

    Attributes:
        accesses: that were served.
        seconds: in which they were.
        latencies: seconds of each.
        recorded: how many of them were on record when they were served.
    """

    accesses: int
    seconds: float
    latencies: Sequence[float]
    recorded: int

    @property
    def rate(self) -> float:
        """Accesses a second."""
        return self.accesses / self.seconds
