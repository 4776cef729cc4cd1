"""The story in its order."""

from scripts.demo import (
    claim,
    emergency,
    loan,
    proving,
    publish,
    recovering,
    replay_and_tamper,
    restricting,
    sharing,
    showing,
    stopping,
    updating,
)
from scripts.demo.world import World


def tell(world: World) -> None:
    """Play all acts.

    Raises:
        DifferenceError: something is not as it should be.
    """
    publish.play(world)
    person, used = loan.play(world)
    claim.play(world)
    left = stopping.play(world, person)
    second = recovering.play(world, person, left)
    sharing.play(world)
    emergency.play(world)
    restricting.play(world, second)
    updating.play(world)
    replay_and_tamper.play(world)
    showing.play(world, left)
    proving.play(world, used)
