"""Orders whose review is due, as supervision reads them from the index: those that a regulator can review, and no others."""

import pytest

from gateway.store.database import Database
from gateway.supervision.rules import Bounds, unreviewed_orders
from ledger.chain import contract_calls
from ledger.chain.events import OrderTerms
from ledger.chain.events.identifiers import order_id
from ledger.chain.finality import Finality
from ledger.chain.reverts import RevertError
from ledger.chain.rpc import AsyncRpc
from ledger.hexstr import to_hex
from ledger.index.follower import Follower
from ledger.index.index import Index, Origin
from ledger.model import Class
from scripts.scenario import Chain

pytestmark = pytest.mark.slow


async def test_what_was_never_in_force_is_not_due(chain: Chain, database: Database) -> None:
    dataset, purpose = chain.register_dataset(), chain.register_purpose()
    bureau, regulator = chain.parties.authority, chain.parties.regulator
    now = chain.now()

    def order(number: int, sharing: Class, *, in_future: bool, signed: bool = True) -> bytes:
        starts_at = now + 3_000 if in_future else now
        nonce = number.to_bytes(32, "big")
        terms = OrderTerms(dataset, purpose, sharing, 1, starts_at, now + 4_000, "flood", nonce)
        chain.send(bureau, contract_calls.issue_order(terms))
        if sharing != Class.NOT_SHARED and signed:
            chain.send(regulator, contract_calls.countersign_order(order_id(terms)))
        chain.send(bureau, contract_calls.end_order(order_id(terms), "mended"))
        return order_id(terms)

    never = [
        order(1, Class.NOT_SHARED, in_future=True),
        order(2, Class.CONDITIONAL, in_future=True),
        order(3, Class.CONDITIONAL, in_future=False, signed=False),
    ]
    due = [
        order(4, Class.CONDITIONAL, in_future=False),
        order(5, Class.NOT_SHARED, in_future=False),
        order(6, Class.NOT_SHARED, in_future=False),
    ]
    later = order(7, Class.NOT_SHARED, in_future=True)
    at = chain.deployment.contracts
    origin = Origin(chain.deployment.genesis_hash, at.access_log, chain.deployment.block_number - 1)
    index = Index(database, origin)
    await index.open()

    def found(index: Index) -> set[str]:
        orders = index.snapshot.orders.values()
        at = chain.now() + 10_000
        return {
            unreviewed_order.key
            for unreviewed_order in unreviewed_orders(orders, Bounds(review_within=0), at)
        }

    async with AsyncRpc(chain.node.url) as rpc:
        follower = Follower(rpc, at, Finality.depth(0), index)
        await follower.catch_up()
        assert found(index) == {f"order-review/{to_hex(each)}" for each in due}
        for each in (*never, later):
            with pytest.raises(RevertError):
                chain.send(regulator, contract_calls.review_order(each, "nothing to say"))
        for each in due:
            chain.send(regulator, contract_calls.review_order(each, "rightly"))
        await follower.catch_up()
    assert found(index) == set()
