"""Act: the regulator restricts a consumer, which is denied everything until the restriction is lifted."""

import time

from ledger.chain import contract_calls
from ledger.model import Outcome
from scripts.demo.cast import BANK, DAY
from scripts.demo.consumers import Entitlement
from scripts.demo.world import World, send


def play(world: World, granted: Entitlement) -> None:
    """Restrict the bank, see it denied, hear its appeal, lift the restriction, see it served."""
    with world.stage.act("The regulator restricts a bank, and lifts it again"):
        regulator, bank = world.regulator, world.consumer(BANK)
        until = int(time.time()) + DAY
        regulator.restrict(bank.address, until, "many look-ups")
        granted.denied("while it is restricted", Outcome.CONSUMER_RESTRICTED)
        send(bank, contract_calls.appeal("each look-up has its loan case, see our files"))
        regulator.lift(bank.address, "files seen")
        served = len(granted.use().opened.records)
        world.stage.check("after it appealed and the regulator lifted it: served", served > 0, True)
