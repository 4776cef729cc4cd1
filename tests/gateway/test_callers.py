"""Who is somebody here before it is a party: its transactions are relayed, and strangers cannot keep it out."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.errors import ForbiddenError, ThrottledError
from gateway.services import Services
from ledger.chain import contract_calls, contract_reads, eth_methods
from ledger.chain.contract_calls import ContractCall
from ledger.chain.embedded import Node, NodeSettings
from ledger.chain.transactions import Fee, Transaction, sign_transaction
from ledger.hexstr import to_hex
from ledger.model import Change, Roles
from ledger.service.rate_limit import STRANGERS
from scripts.scenario import Chain, Party
from tests.support.city import City, recording_parts

pytestmark = pytest.mark.slow

DELAY = 2


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """Where announcements wait."""
    with Node(NodeSettings(tmp_path_factory.mktemp("chain"), block_time=0.1)) as node:
        chain = Chain(node, admission_delay=DELAY)
        yield City(chain, tmp_path_factory.mktemp("city"))
        chain.close()


@pytest.fixture
async def services(city: City, tmp_path: Path) -> AsyncIterator[Services]:
    url = f"sqlite:///{tmp_path}/gateway.db"
    async with recording_parts(city, url, journal=tmp_path / "journal") as parts:
        yield parts


def drawn() -> Party:
    return Party(secrets.token_hex(8), Roles(0))


async def act(city: City, services: Services, by: Party, call: ContractCall) -> None:
    """Put on chain what somebody says, and let the index have it."""
    await asyncio.to_thread(city.chain.send, by, call)
    await services.index.wait_for(await asyncio.to_thread(city.chain.block_number))


async def relay(city: City, services: Services, by: Party, call: ContractCall) -> None:
    chain = city.chain
    sender = await asyncio.to_thread(chain.sender, chain.parties.bank)
    count = eth_methods.transaction_count(by.address, "pending")
    nonce = await asyncio.to_thread(sender.rpc.send, count)
    to, chain_id = chain.deployment.address_of(call.contract), chain.deployment.chain_id
    content = Transaction(chain_id, nonce, 2_000_000, Fee(0), to, call.data)
    await services.relays.transact(sign_transaction(content, by.private_key).raw)


async def crowd(city: City, services: Services) -> None:
    """Let strangers ask until no stranger is heard any more."""
    call = contract_calls.appeal("I was wronged")
    for _ in range(200):
        try:
            with suppress(ForbiddenError):
                await relay(city, services, drawn(), call)
        except ThrottledError:
            return
    pytest.fail("strangers are heard without end")


async def test_a_pending_party_is_one_and_strangers_do_not_keep_it_out(
    city: City, services: Services
) -> None:
    chain, pending = city.chain, drawn()
    assert await services.callers.bucket_of(pending.address) == STRANGERS
    name = f"Regulator {to_hex(pending.address)}"
    admit = contract_calls.admit(pending.address, Roles.REGULATOR, name)
    await act(city, services, chain.parties.authority, admit)
    assert not chain.rpc.send(contract_reads.standing_of(chain.contracts, pending.address)).active
    assert await services.callers.bucket_of(pending.address) == pending.address
    await crowd(city, services)
    due = chain.rpc.send(contract_reads.admission_of(chain.contracts, pending.address)).effective_at
    while chain.now() <= due:
        await asyncio.to_thread(chain.wait_for_block)
    await relay(city, services, pending, contract_calls.activate(pending.address))
    assert chain.rpc.send(contract_reads.standing_of(chain.contracts, pending.address)).active


async def test_the_authority_and_the_next_one_are_somebody(city: City, services: Services) -> None:
    chain, following = city.chain, drawn()
    announce = contract_calls.announce_change(Change.AUTHORITY, following.address)
    await act(city, services, chain.parties.authority, announce)
    await crowd(city, services)
    for one in (chain.parties.authority, following):
        assert await services.callers.bucket_of(one.address) == one.address
        assert services.callers.is_party(one.address)


async def test_a_supervisors_machine_is_somebody_and_suspends_through_the_gateway(
    city: City, services: Services
) -> None:
    chain, machine = city.chain, drawn()
    appoint = contract_calls.appoint_supervisor(machine.address)
    await act(city, services, chain.parties.regulator, appoint)
    await crowd(city, services)
    agreement = city.terms.agreement
    await relay(city, services, machine, contract_calls.suspend_agreement(agreement, "odd"))
    assert not chain.rpc.send(contract_reads.agreement_of(chain.contracts, agreement)).active
