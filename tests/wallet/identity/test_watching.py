"""An identity authority whose node leaves out an event stops, rather than take an old key for the person's."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ledger.chain import contract_calls
from ledger.chain.events import NumberedEvent, RecoveryStarted, SignerRotated, SubjectFrozen
from ledger.chain.events.decoder import plan_for
from ledger.chain.finality import Finality
from ledger.chain.rpc import AsyncRpc
from ledger.hexstr import to_hex
from ledger.typed_data import SignerRotation
from scripts.scenario import Chain, Subject
from tests.support.node_proxy import proxy_before
from wallet.identity.database import open_database
from wallet.identity.errors import ChainUnavailableError
from wallet.identity.watch import Watcher


def rotate(chain: Chain, subject: Subject) -> None:
    record = SignerRotation(
        subject.id, secrets.token_bytes(20), secrets.token_bytes(32), chain.now() + 600
    )
    call = contract_calls.rotate_signer(record, chain.approval(record, subject))
    chain.send(chain.parties.bank, call)


def freeze(chain: Chain, subject: Subject) -> None:
    chain.send(chain.parties.bank, chain.freeze_call(subject))


def recover(chain: Chain, subject: Subject) -> None:
    call = contract_calls.start_recovery(subject.id, secrets.token_bytes(20))
    chain.send(chain.parties.identity_authority, call)


@pytest.mark.parametrize(
    ("kind", "act"),
    [(SignerRotated, rotate), (SubjectFrozen, freeze), (RecoveryStarted, recover)],
    ids=lambda value: value.__name__,
)
@pytest.mark.parametrize("last", [True, False], ids=["the last", "with others behind it"])
async def test_a_node_that_drops_an_event_stops_the_authority_until_it_has_it(
    chain: Chain,
    tmp_path: Path,
    kind: type[NumberedEvent],
    act: Callable[[Chain, Subject], None],
    *,
    last: bool,
) -> None:
    topic, known = to_hex(plan_for(kind).topic), chain.block_number()

    def lie(method: str, _: list[Any], result: Any) -> Any:
        if method != "eth_getLogs":
            return result
        return [
            log
            for log in result
            if log["topics"][0] != topic or int(log["blockNumber"], 16) <= known
        ]

    database = await open_database(f"sqlite:///{tmp_path / 'identity.db'}")
    with proxy_before(chain.node.url) as node:
        async with AsyncRpc(node.url) as rpc:
            watcher = Watcher(
                database, rpc, chain.deployment, finality=Finality.depth(0), poll=0.05
            )
            await watcher.step()
            assert watcher.require().number >= known
            node.lie = lie
            act(chain, chain.register_subject())
            if not last:
                chain.register_subject()
            with pytest.raises(ChainUnavailableError, match=r"the node told of|than the next"):
                await watcher.step()
            with pytest.raises(ChainUnavailableError):
                watcher.require()
            node.lie = lambda method, params, result: result
            await watcher.step()
            watcher.require()
    await database.close()


async def test_a_count_that_is_of_the_next_block_is_no_missing_event(
    chain: Chain, tmp_path: Path
) -> None:
    """A node that makes a block while it is asked answers by that one; the next answer is of the block asked for."""
    ahead: list[Any] = []

    def lie(method: str, params: list[Any], result: Any) -> Any:
        of_state = method == "eth_call" and params[0]["data"].startswith("0xc19d93fb")
        if not of_state or ahead:
            return result
        ahead.append(result)
        return f"0x{int(result[:66], 16) + 1:064x}{result[66:]}"

    database = await open_database(f"sqlite:///{tmp_path / 'identity.db'}")
    with proxy_before(chain.node.url) as node:
        node.lie = lie
        async with AsyncRpc(node.url) as rpc:
            watcher = Watcher(
                database, rpc, chain.deployment, finality=Finality.depth(0), poll=0.05
            )
            await watcher.step()
            assert ahead
            watcher.require()
    await database.close()
