"""Which faults strike, in which order: every kind at least once, the rest drawn by weight from a seed."""

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from scripts.faults.campaign import Driver
    from scripts.faults.stage import Stage


class FaultRunError(Exception):
    """The run cannot go on, or a fault could not be made to happen; the message is one line.

    What goes wrong with the system is counted.
    """


Strike = Callable[["Stage", "Driver", random.Random], tuple[float, str]]
"""Lets a fault strike and ends it; returns the moment at which it struck, and what was seen.

Raises `FaultRunError` when it did not strike.
"""


class Fault(msgspec.Struct, frozen=True):
    """A kind of fault.

    Attributes:
        kind: its name in the report.
        strike: lets it strike.
        weight: how often it is drawn, compared with others.
    """

    kind: str
    strike: Strike
    weight: int = 2


class Planned(msgspec.Struct, frozen=True):
    """A fault that will strike, with its own source of what it draws."""

    fault: Fault
    random: random.Random


def draw_plan(faults: Sequence[Fault], count: int, seed: int) -> list[Planned]:
    """Return `count` faults in the order in which they strike; the same seed gives the same ones.

    With fewer than there are kinds, some kinds are left out.
    """
    source = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    chosen = source.sample(list(faults), min(count, len(faults)))
    weights = [fault.weight for fault in faults]
    chosen += source.choices(faults, weights, k=count - len(chosen))
    source.shuffle(chosen)
    return [
        Planned(fault, random.Random(f"{seed} {place}"))  # noqa: S311 - as above
        for place, fault in enumerate(chosen)
    ]
