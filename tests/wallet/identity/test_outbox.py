"""The authority's transactions: each once, whatever falls."""

import asyncio
from pathlib import Path

import pytest

from ledger.chain import contract_calls, contract_reads, eth_methods
from ledger.chain.embedded import Node
from ledger.chain.finality import Finality
from ledger.chain.reverts import RevertError
from ledger.chain.rpc import AsyncRpc
from ledger.hexstr import from_hex
from scripts.scenario import Chain
from tests.support.identity import (
    ZHANG,
    Key,
    admitted_keys,
    handles_gateway,
    running,
    settings_for,
)
from tests.wallet.identity.conftest import import_registers
from wallet.identity.database import open_database
from wallet.identity.errors import DATABASE_UNAVAILABLE, IdentityError
from wallet.identity.outbox import Outbox


def nothing(*_: object) -> None:
    """Note nothing."""


async def test_subjects_that_a_fallen_node_forgot_are_registered_again_as_they_were(
    own_chain: Chain, tmp_path: Path
) -> None:
    keys, home = admitted_keys(own_chain), tmp_path / "identity"
    with handles_gateway(own_chain, keys.address) as gateway:
        settings = settings_for(own_chain, home, gateway.url)
        await import_registers(home, settings.database_url)
        node = own_chain.node
        node.checkpoint()
        async with running(own_chain, home, keys, gateway) as service:
            (subject,) = await service.enrol(ZHANG, [Key()])
            assert own_chain.rpc.send(eth_methods.transaction_count(keys.address)) == 1
            forget(node)
            assert own_chain.rpc.send(eth_methods.transaction_count(keys.address)) == 0
            await until_registered(own_chain, subject)
        forget(node)
        async with running(own_chain, home, keys, gateway):
            await until_registered(own_chain, subject)


def forget(node: Node) -> None:
    """Kill the node and bring it back as it was at the checkpoint."""
    node.kill()
    for path in node.settings.data.glob("state.json*"):
        path.unlink()
    node.start()


async def until_registered(chain: Chain, subject: dict[str, str]) -> None:
    call = contract_reads.subject_of(chain.contracts, from_hex(subject["subject"]))
    while True:
        found = chain.rpc.send(call)
        if found.number:
            break
        await asyncio.sleep(0.05)
    assert found.signer == from_hex(subject["signer"])


async def test_a_call_that_the_contract_refuses_is_not_sent(chain: Chain, tmp_path: Path) -> None:
    keys = admitted_keys(chain)
    database = await open_database(f"sqlite:///{tmp_path / 'identity.db'}")
    async with AsyncRpc(chain.node.url) as rpc:
        outbox = Outbox(
            database, rpc, chain.deployment, finality=Finality.depth(0), private_key=keys.account
        )
        with pytest.raises(RevertError, match="SubjectUnknown"):
            await outbox.carry_out(contract_calls.complete_recovery(bytes(32)), nothing)
    await database.close()
    assert chain.rpc.send(eth_methods.transaction_count(keys.address)) == 0


async def test_a_call_whose_note_fails_is_not_sent(chain: Chain, tmp_path: Path) -> None:
    keys = admitted_keys(chain)
    database = await open_database(f"sqlite:///{tmp_path / 'identity.db'}")

    def fail(*_: object) -> None:
        raise IdentityError(DATABASE_UNAVAILABLE, "the disk is full")

    async with AsyncRpc(chain.node.url) as rpc:
        outbox = Outbox(
            database, rpc, chain.deployment, finality=Finality.depth(0), private_key=keys.account
        )
        call = contract_calls.register_subjects([b"\x01" * 32], [b"\x02" * 20])
        with pytest.raises(IdentityError):
            await outbox.carry_out(call, fail)
        await outbox.settle()
    await database.close()
    assert chain.rpc.send(eth_methods.transaction_count(keys.address)) == 0
