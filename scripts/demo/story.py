"""The story in its order."""

from scripts.demo import publish
from scripts.demo.world import World


def tell(world: World) -> None:
    """Play all acts.

    Raises:
        DifferenceError: something is not as it should be.
    """
    publish.play(world)
