"""What no contract can have emitted: the index notes it, goes on, and has nothing that hangs on it."""

from collections.abc import AsyncIterator, Callable

import pytest

from gateway.store.database import Database
from ledger.chain.events import AgreementApproved, Event, Granted, Published
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.finality import Finality
from ledger.chain.rpc import AsyncRpc
from ledger.index.follower import Follower
from ledger.index.index import Index, Origin
from tests.support.database import database, database_url, postgres_server
from tests.support.lies import (
    History,
    RawLog,
    Tamper,
    changed,
    history,
    log_of,
    renumbered,
    repeated,
    without,
)

__all__ = ["database", "database_url", "history", "postgres_server"]


@pytest.fixture
async def rpc(history: History) -> AsyncIterator[AsyncRpc]:
    async with AsyncRpc(history.proxy.url) as rpc:
        yield rpc


async def indexed(history: History, rpc: AsyncRpc, database: Database, tamper: Tamper) -> Index:
    """An index of what the proxy tells, from the beginning."""
    deployment = history.chain.deployment
    at = deployment.contracts
    index = Index(
        database, Origin(deployment.genesis_hash, at.access_log, deployment.block_number - 1)
    )
    await index.open()
    await index.clear()
    history.tell(tamper)
    await Follower(rpc, at, Finality.depth(0), index).catch_up()
    assert index.head.number >= int(history.logs[-1]["blockNumber"], 16)
    assert len(await index.faults(1000)) == index.head.faults
    assert (index.head.problem is None) == (index.head.faults == 0)
    return index


def event_at(history: History, place: int) -> Event:
    return EventDecoder(history.chain.contracts).decode(log_of(history.logs[place]))


def first_of_each_kind(history: History) -> list[int]:
    names = [event_at(history, place).name for place in range(len(history.logs))]
    return [names.index(name) for name in dict.fromkeys(names)]


async def test_an_honest_chain_has_no_faults(
    history: History, rpc: AsyncRpc, database: Database
) -> None:
    index = await indexed(history, rpc, database, lambda logs: logs)
    assert index.head.faults == 0
    assert index.head.sequence == history.end.sequence


@pytest.mark.parametrize("tamper", [without, repeated, changed])
async def test_the_index_goes_on_whatever_event_is_missing_added_or_changed(
    history: History, rpc: AsyncRpc, database: Database, tamper: Callable[[int], Tamper]
) -> None:
    for place in first_of_each_kind(history):
        await indexed(history, rpc, database, tamper(place))


async def test_a_number_that_was_skipped_is_a_fault_also_after_a_restart(
    history: History, rpc: AsyncRpc, database: Database
) -> None:
    place = history.places("Published")[0]
    index = await indexed(history, rpc, database, without(place))
    (fault, *_) = await index.faults()
    assert "was next" in fault.problem
    again = Index(database, index._origin)
    assert (await again.open()).faults == index.head.faults > 0


async def test_an_access_that_is_missing_or_repeated_is_a_fault(
    history: History, rpc: AsyncRpc, database: Database
) -> None:
    place = history.places("Accessed")[0]
    for tamper in (without(place), repeated(place)):
        index = await indexed(history, rpc, database, tamper)
        names = [fault.name for fault in await index.faults()]
        assert "Accessed" in names


async def test_an_agreement_for_which_nobody_applied_is_none(
    history: History, rpc: AsyncRpc, database: Database
) -> None:
    applied, approved = history.places("Applied")[0], history.places("AgreementApproved")[0]
    agreement = event_at(history, approved)
    assert isinstance(agreement, AgreementApproved)
    whole = await indexed(history, rpc, database, lambda logs: logs)
    assert await whole.agreements(agreement=agreement.agreement)
    index = await indexed(history, rpc, database, without(applied))
    assert "nobody applied for it" in {fault.problem for fault in await index.faults()}
    assert not await index.agreements(agreement=agreement.agreement)


async def test_what_hangs_on_a_dataset_that_nobody_registered_is_nothing(
    history: History, rpc: AsyncRpc, database: Database
) -> None:
    published = event_at(history, history.places("Published")[0])
    granted = event_at(history, history.places("Granted")[0])
    assert isinstance(published, Published)
    assert isinstance(granted, Granted)
    registered = history.places("DatasetRegistered")[0]
    index = await indexed(history, rpc, database, without(registered))
    assert await index.publication(published.dataset, 1) is None
    assert await index.authorization(granted.authorization) is None
    uses = await index.accesses_after(0)
    assert [use.kind for use in uses if use.basis == granted.authorization] == ["unknown"] * 2


async def test_bytes_that_do_not_decode_are_a_fault(
    history: History, rpc: AsyncRpc, database: Database
) -> None:
    place = history.places("Granted")[0]

    def spoil(logs: list[RawLog]) -> list[RawLog]:
        logs[place]["data"] = logs[place]["data"][:200]
        logs[place + 1]["address"] = "0x" + "00" * 20
        return logs

    index = await indexed(history, rpc, database, spoil)
    faults = await index.faults()
    assert [fault.name for fault in faults[:2]] == ["", ""]
    assert faults[0].block_number == int(history.logs[place]["blockNumber"], 16)


async def test_a_log_of_a_block_that_was_not_asked_for_is_a_fault(
    history: History, rpc: AsyncRpc, database: Database
) -> None:
    deployment = history.chain.deployment
    place = history.places("Published")[0]

    def lie(method: str, params: list[object], result: object) -> object:
        if method == "eth_getLogs" and isinstance(result, list):
            ahead = {**history.logs[place], "blockNumber": hex(1 << 40)}
            return renumbered([*result, ahead])
        return result

    history.proxy.lie = lie
    origin = Origin(deployment.genesis_hash, deployment.contracts.access_log, 0)
    index = Index(database, origin)
    await index.open()
    await Follower(rpc, deployment.contracts, Finality.depth(0), index).catch_up()
    assert "of another" in (await index.faults())[0].problem
