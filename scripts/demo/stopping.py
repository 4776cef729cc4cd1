"""Act: a person stops it: revokes one authorization, freezes all of them."""

from ledger.model import Outcome
from scripts.demo import loan
from scripts.demo.citizens import Citizen
from scripts.demo.consumers import Entitlement, obtain
from scripts.demo.world import World


def play(world: World, person: Citizen) -> Entitlement:
    """Revoke, freeze, unfreeze; return what the bank may still use."""
    with world.stage.act("The person takes it back: one case, then everything"):
        first = obtain(world, loan.wish(world, "2026-119", uses=3), person)
        first.use()
        person.revoke(first.basis)
        first.denied("after the person revoked it", Outcome.REVOKED)
        second = obtain(world, loan.wish(world, "2026-120", uses=9), person)
        person.freeze(frozen=True)
        second.denied("after the person froze everything", Outcome.FROZEN)
        person.freeze(frozen=False)
        served = len(second.use().opened.records)
        world.stage.check("unfrozen: served again", served > 0, True)
        return second
