"""Acts on several ids of one person, so that the chain does not show that they are one person's.

Whoever reads the chain can join ids that always change side by side. So they go out in random order, and at random
times within a while. A stop that cannot wait goes out at once, in random order: then it can be seen which ids
belong together.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

MOST_SECONDS: Final = 50 * 60
"""Acts are signed for an hour: the last one must still be in time."""

_random = random.SystemRandom()


def spread(acts: Sequence[T], seconds: float) -> Iterator[tuple[float, T]]:
    """Yield acts in random order, each with how long to wait before it; the first goes at once.

    Args:
        acts: On one id each.
        seconds: At most, over which the rest are spread.
    """
    order = list(acts)
    _random.shuffle(order)
    times = [0.0, *sorted(_random.uniform(0, seconds) for _ in order[1:])]
    before = 0.0
    for at, act in zip(times, order, strict=False):
        yield at - before, act
        before = at
