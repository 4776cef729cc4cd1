"""The story in its order."""

from scripts.demo import loan, publish, replay_and_tamper
from scripts.demo.world import World
from wallet.regulator.journals import GatewayJournal, fetch_journal


def tell(world: World) -> None:
    """Play all acts.

    Raises:
        DifferenceError: something is not as it should be.
    """
    publish.play(world)
    loan.play(world)
    path = world.data / "journal.jsonl"
    world.regulator.run(fetch_journal(path))
    replay_and_tamper.play(world, tuple(GatewayJournal(path).entries()))
