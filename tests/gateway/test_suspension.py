"""A machine suspends one agreement for half an hour, and not again before a regulator has looked."""

from collections.abc import Awaitable, Callable

import pytest

from gateway.errors import GatewayError
from gateway.relays import Relayed
from gateway.supervision.enforcement import Enforcer
from ledger import contracts, queries, views
from ledger.enumerations import Roles
from ledger.fees import AS_SUGGESTED
from ledger.reverts import RevertError, decode_revert, revert_in
from ledger.rpc import AsyncRpc, CallError
from ledger.transactions import SignedTransaction
from tests.support.chain import Chain, Party, Terms

pytestmark = pytest.mark.slow

MACHINE = Party("Supervisor", Roles(0))


class DirectRelay:
    """Sends to the node and waits for the block."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    async def relay(
        self, call: contracts.ContractCall, accepted: Callable[[], Awaitable[None]]
    ) -> Relayed:
        raise NotImplementedError

    async def relay_raw(self, transaction: SignedTransaction) -> Relayed:
        rpc = self._chain.rpc
        try:
            rpc.send(queries.send_raw_transaction(transaction.raw))
        except CallError as error:
            found = revert_in(error)
            raise found or error from error
        while (receipt := rpc.send(queries.receipt(transaction.hash))) is None:
            self._chain.wait_for_block()
        if not receipt.succeeded:
            raise RevertError(decode_revert(b""))
        return Relayed(transaction.hash, receipt.block_number, receipt.block_hash)


def agreement_of(chain: Chain, terms: Terms) -> views.AgreementState:
    return chain.rpc.send(views.agreement_of(chain.contracts, terms.agreement))


async def test_a_machine_suspends_once_until_a_regulator_has_looked(chain: Chain) -> None:
    terms, other = chain.personal_terms(), chain.personal_terms()
    regulator = chain.parties.regulator
    async with AsyncRpc(chain.node.url) as rpc:
        machine = Enforcer(
            chain.deployment, rpc, DirectRelay(chain), MACHINE.private_key, AS_SUGGESTED
        )
        with pytest.raises(GatewayError):  # nobody appointed it
            await machine.suspend(terms.agreement, "rate")
        chain.send(regulator, contracts.appoint_supervisor(MACHINE.address))
        await machine.suspend(terms.agreement, "rate")
        found = agreement_of(chain, terms)
        assert not found.active
        assert chain.now() < found.suspended_until <= chain.now() + 1800
        assert agreement_of(chain, other).active, "another agreement of the same consumer goes on"
        with pytest.raises(GatewayError):
            await machine.suspend(terms.agreement, "rate")
        chain.send(regulator, contracts.review_suspension(terms.agreement, 0, "a false alarm"))
        assert agreement_of(chain, terms).active
        await machine.suspend(terms.agreement, "rate")
        assert not agreement_of(chain, terms).active
        chain.send(regulator, contracts.dismiss_supervisor(MACHINE.address))
        with pytest.raises(GatewayError):
            await machine.suspend(other.agreement, "rate")
