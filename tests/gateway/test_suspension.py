"""A machine suspends one agreement for half an hour, and not again before a regulator has looked."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import pytest

from gateway.consent.relays import Relayed
from gateway.errors import GatewayError
from gateway.notifications import Topics
from gateway.store.alerts import AlertStore
from gateway.store.database import Database
from gateway.supervision.rules import (
    Bounds,
    Enforcement,
    ObservedAccess,
)
from gateway.supervision.watch import Enforcer, Watch
from ledger.chain import contract_calls, contract_reads, eth_methods
from ledger.chain.finality import Finality
from ledger.chain.reverts import RevertError, decode_revert, revert_in
from ledger.chain.rpc import AsyncRpc, CallError
from ledger.chain.transactions import AS_SUGGESTED, SignedTransaction
from ledger.index.follower import Follower
from ledger.index.index import Index, Origin
from ledger.index.rows import EventEntry, Snapshot
from ledger.model import Outcome, Roles
from scripts.scenario import Chain, Party, Terms
from tests.support.accesses import SNAPSHOT

pytestmark = pytest.mark.slow

RULES = ("odd-hours", "rate")
# Odd at every hour, since a chain's blocks have today's times.
BOUNDS = Bounds(rate=5, odd_least=5, odd_from=0, odd_until=24)
MACHINE = Party("Supervisor", Roles(0))


class DirectRelay:
    """Sends to the node and waits for the block."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    async def relay(
        self, call: contract_calls.ContractCall, accepted: Callable[[], Awaitable[None]]
    ) -> Relayed:
        raise NotImplementedError

    async def relay_raw(self, transaction: SignedTransaction) -> Relayed:
        rpc = self._chain.rpc
        try:
            rpc.send(eth_methods.send_raw_transaction(transaction.raw))
        except CallError as error:
            found = revert_in(error)
            raise found or error from error
        while (receipt := rpc.send(eth_methods.receipt(transaction.hash))) is None:
            self._chain.wait_for_block()
        if not receipt.succeeded:
            raise RevertError(decode_revert(b""))
        return Relayed(transaction.hash, receipt.block_number, receipt.block_hash)


def agreement_of(chain: Chain, terms: Terms) -> contract_reads.AgreementState:
    return chain.rpc.send(contract_reads.agreement_of(chain.contracts, terms.agreement))


async def test_a_machine_suspends_once_until_a_regulator_has_looked(chain: Chain) -> None:
    terms, other = chain.personal_terms(), chain.personal_terms()
    regulator = chain.parties.regulator
    async with AsyncRpc(chain.node.url) as rpc:
        machine = Enforcer(
            chain.deployment, rpc, DirectRelay(chain), MACHINE.private_key, AS_SUGGESTED
        )
        with pytest.raises(GatewayError):  # nobody appointed it
            await machine.suspend(terms.agreement, "rate")
        chain.send(regulator, contract_calls.appoint_supervisor(MACHINE.address))
        await machine.suspend(terms.agreement, "rate")
        found = agreement_of(chain, terms)
        assert not found.active
        assert chain.now() < found.suspended_until <= chain.now() + 1800
        assert agreement_of(chain, other).active, "another agreement of the same consumer goes on"
        with pytest.raises(GatewayError):
            await machine.suspend(terms.agreement, "rate")
        chain.send(regulator, contract_calls.review_suspension(terms.agreement, 0, "a false alarm"))
        assert agreement_of(chain, terms).active
        await machine.suspend(terms.agreement, "rate")
        assert not agreement_of(chain, terms).active
        chain.send(regulator, contract_calls.dismiss_supervisor(MACHINE.address))
        with pytest.raises(GatewayError):
            await machine.suspend(other.agreement, "rate")


class Burst:
    """A trail with one burst of an agreement's accesses, which two rules name; looks of regulators as the index has them."""

    def __init__(self, index: Index, agreement: bytes) -> None:
        self._index = index
        self._agreement = agreement
        self.at: list[int] = []

    def happens(self, at: int) -> None:
        self.at += [at] * BOUNDS.rate

    async def first_since(self, timestamp: int) -> int:
        return 1 + sum(at < timestamp for at in self.at)

    async def observed(self, first_sequence: int, limit: int) -> list[ObservedAccess]:
        reviewed_at = (await self.reviewed([self._agreement])).get(self._agreement, 0)
        return [
            ObservedAccess(
                number,
                at,
                b"\x0b" * 20,
                b"\x01" * 32,
                Outcome.ALLOWED,
                agreement=self._agreement,
                signed=True,
                reviewed_at=reviewed_at,
            )
            for number, at in enumerate(self.at, 1)
            if number >= first_sequence
        ][:limit]

    async def reviewed(self, agreements: Sequence[bytes]) -> Mapping[bytes, int]:
        return await self._index.suspension_reviews(agreements)

    @property
    def snapshot(self) -> Snapshot:
        return SNAPSHOT

    async def identity_acts(self, since: int) -> Mapping[bytes, int]:
        return {}

    async def unfit(self, after: int) -> list[EventEntry]:
        return []


async def test_two_rules_over_one_burst_suspend_once_also_after_a_regulator_lifted(
    chain: Chain, database: Database
) -> None:
    terms, regulator, deployment = chain.personal_terms(), chain.parties.regulator, chain.deployment
    chain.send(regulator, contract_calls.appoint_supervisor(MACHINE.address))
    origin = Origin(
        deployment.genesis_hash, chain.contracts.access_log, deployment.block_number - 1
    )
    index = Index(database, origin)
    await index.open()
    trail, store = Burst(index, terms.agreement), AlertStore(database)
    async with AsyncRpc(chain.node.url) as rpc:
        follower = Follower(rpc, chain.contracts, Finality.depth(0), index)
        machine = Enforcer(deployment, rpc, DirectRelay(chain), MACHINE.private_key, AS_SUGGESTED)

        def gateway() -> Watch:
            return Watch(
                trail,
                store,
                Topics(),
                bounds=BOUNDS,
                enforcement=Enforcement(RULES, "appeal@regulator"),
                suspending=machine,
                clock=chain.now,
            )

        watch = gateway()
        await follower.catch_up()
        trail.happens(chain.now())
        await watch.step()
        assert not agreement_of(chain, terms).active
        raised = [alert for alert in await store.list(0, 10) if alert.agreement]
        assert sorted(alert.rule for alert in raised) == list(RULES)
        suspended_at = trail.at[-1]
        chain.send(regulator, contract_calls.review_suspension(terms.agreement, 0, "a busy day"))
        await follower.catch_up()
        looked = await index.suspension_reviews([terms.agreement])
        assert suspended_at <= looked[terms.agreement] <= chain.now()
        for again in (watch, watch, gateway()):
            await again.step()
            assert agreement_of(chain, terms).active, "for what the regulator looked at"
        trail.happens(chain.now() + 1)
        await watch.step()
        assert not agreement_of(chain, terms).active, "for what came after"
        chain.send(regulator, contract_calls.review_suspension(terms.agreement, 0, "a busy day"))
        chain.send(regulator, contract_calls.dismiss_supervisor(MACHINE.address))
