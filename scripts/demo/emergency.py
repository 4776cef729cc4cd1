"""Act: an emergency order opens a dataset that is not shared, for a day; it ends and is reviewed."""

import time

from ledger.chain import contract_calls
from ledger.model import Class, Outcome
from scripts.demo.agreeing import agree
from scripts.demo.cast import DAY, DISEASE_CONTROL, EPIDEMIC, NAVIGATOR, OUTBREAK
from scripts.demo.sharing import entitlement, use_all
from scripts.demo.world import World, purpose_of, send
from wallet.authority import acts


def play(world: World) -> None:
    """Closed, opened by an order of two for whom it is meant, closed again, reviewed."""
    with world.stage.act("An emergency order opens closed data for a day"):
        consumer, dataset = world.consumer(DISEASE_CONTROL), world.dataset(EPIDEMIC)
        closed = entitlement(world, consumer, EPIDEMIC, dataset)
        closed.denied("the epidemic report is not shared", Outcome.DATASET_INACTIVE)
        agree(world, consumer, EPIDEMIC, OUTBREAK)
        order = issue(world, dataset)
        opened = entitlement(world, consumer, EPIDEMIC, order)
        opened.denied("before a regulator countersigns", Outcome.DATASET_INACTIVE)
        authority, regulator = world.authority, world.regulator
        send(regulator, contract_calls.countersign_order(order))
        use_all(world, opened, EPIDEMIC, "under the order disease control has the epidemic report")
        other = entitlement(world, world.consumer(NAVIGATOR), EPIDEMIC, order)
        other.denied("a consumer that the order is not for", Outcome.AGREEMENT_INACTIVE)
        send(authority, contract_calls.end_order(order, "the outbreak is over"))
        opened.denied("after the order has ended", Outcome.DATASET_INACTIVE)
        findings = "used by disease control only, for the outbreak"
        send(regulator, contract_calls.review_order(order, findings))
        state = world.order(order)
        world.stage.check("the regulator reviews the order", state.reviewed, True)


def issue(world: World, dataset: bytes) -> bytes:
    """The authority opens the dataset for a day, to consumers with an agreement; return the order's id."""
    authority, now = world.authority, int(time.time())
    flow = acts.issue_order(
        authority.ledger,
        authority.key,
        dataset=dataset,
        purpose=purpose_of(OUTBREAK),
        sharing=Class.CONDITIONAL,
        fields=world.mask(EPIDEMIC),
        starts_at=now,
        ends_at=now + DAY,
        reason="influenza outbreak in two districts",
    )
    return authority.run(flow).id
