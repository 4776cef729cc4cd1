"""A consumer that has not named the recorder loses nothing and holds up nobody.

Attacked as the consumer that gains from it: one that takes its naming back while a batch of others is
under way, so that it reverts, or so that the gateway cannot tell what became of whose request.
"""

import asyncio
import secrets
from pathlib import Path

import pytest

from ledger.api import RecordedAccess
from ledger.chain import contract_calls, contract_reads, eth_methods
from ledger.chain.events import Accessed
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.rpc import Call
from ledger.chain.transactions import SignedTransaction
from ledger.journal import Journal
from ledger.model import Class, Outcome, Roles
from ledger.recorder.journal import SKIPPED, SKIPPED_BATCH, read_journal
from ledger.recorder.recorder import Recorder
from ledger.recorder.settings import RecorderNotNamedError
from ledger.replay.sources import replay_node
from ledger.typed_data import AccessRequest
from scripts.scenario import Chain, Party
from tests.support import more_views
from tests.support.chain import BLOCK_TIME
from tests.support.recording import admitted_recorder, running_recorder, submission, until

pytestmark = pytest.mark.slow


@pytest.fixture
def recorder_party(chain: Chain) -> Party:
    return admitted_recorder(chain)


@pytest.fixture
def open_data(chain: Chain) -> bytes:
    """A dataset that every consumer may use, so that whoever is recorded is allowed."""
    return chain.register_dataset(personal=False, sharing=Class.UNCONDITIONAL)


@pytest.fixture
def consumers(chain: Chain) -> list[Party]:
    """Three, in the order in which a transaction has them; none has named our recorder."""
    drawn = [Party(f"Consumer {secrets.token_hex(4)}", Roles.CONSUMER) for _ in range(3)]
    chain.admit(*drawn)
    return sorted(drawn, key=lambda one: one.address)


def name(chain: Chain, recorder: Party, *consumers: Party) -> None:
    for consumer in consumers:
        chain.send(consumer, contract_calls.name_recorder(recorder.address))


async def answers(
    recorder: Recorder, requests: list[AccessRequest]
) -> list[RecordedAccess | BaseException]:
    waiting = [recorder.submit(submission(request)) for request in requests]
    return await asyncio.gather(*waiting, return_exceptions=True)


async def test_one_skipped_consumer_between_others_leaves_them_as_they_are(
    chain: Chain,
    recorder_party: Party,
    open_data: bytes,
    consumers: list[Party],
    tmp_path: Path,
) -> None:
    first, second, third = consumers
    name(chain, recorder_party, first, third)
    requests = [chain.request(one, open_data) for one in (first, second, third) for _ in range(3)]
    async with running_recorder(chain, recorder_party, tmp_path) as recorder:
        found = await answers(recorder, requests)
        others = [one for one in found[:3] + found[6:] if isinstance(one, RecordedAccess)]
        assert [other.outcome for other in others] == [Outcome.ALLOWED] * 6
        numbers = sorted(other.sequence for other in others)
        assert numbers == list(range(numbers[0], numbers[0] + 6))
        for error in found[3:6]:
            assert isinstance(error, RecorderNotNamedError)
            assert error.recorder == recorder_party.address
        assert len({other.transaction for other in others}) == 1
        # No nonce of it was used, so the same bytes are taken once it has named the recorder.
        for request in requests[3:6]:
            used = more_views.nonce_used(chain.contracts, second.address, request.nonce)
            assert chain.rpc.send(used) is False
        await asyncio.to_thread(name, chain, recorder_party, second)
        later = await answers(recorder, requests)
        assert later[:3] + later[6:] == others
        again = [one for one in later[3:6] if isinstance(one, RecordedAccess)]
        assert [one.outcome for one in again] == [Outcome.ALLOWED] * 3
        assert recorder.status.sequence == max(one.sequence for one in again)
    # What the journal remembers is what the callers were told, and where the chain has it.
    async with running_recorder(chain, recorder_party, tmp_path) as recorder:
        assert await answers(recorder, requests) == later
    told = {(one.sequence, one.block_number, one.log_index) for one in (*others, *again)}
    assert told == on_chain(chain, others[0].block_number)


def on_chain(chain: Chain, first: int) -> set[tuple[int, int, int]]:
    """Number, block and place of every access from a block on."""
    logs = chain.rpc.send(
        eth_methods.logs(first, chain.block_number(), [chain.contracts.access_log])
    )
    events = EventDecoder(chain.contracts).decode_all(logs)
    accesses = [event for event in events if isinstance(event, Accessed)]
    return {(access.sequence, access.block.number, access.log_index) for access in accesses}


def signed_dismissal(chain: Chain) -> SignedTransaction:
    """The bank takes its recorder back."""
    bank = chain.parties.bank
    call = contract_calls.dismiss_recorder(chain.parties.recorder.address)
    nonce = chain.rpc.send(eth_methods.transaction_count(bank.address))
    to = chain.deployment.address_of(call.contract)
    return chain.sender(bank).sign(to, call.data, nonce, 1_000_000)


async def test_naming_taken_back_while_the_batch_is_under_way_costs_nobody_else_anything(
    own_chain: Chain, tmp_path: Path
) -> None:
    chain, parties = own_chain, own_chain.parties
    open_data = chain.register_dataset(personal=False, sharing=Class.UNCONDITIONAL)
    requests = [
        chain.request(one, open_data) for one in (parties.bank, parties.insurer) for _ in range(5)
    ]
    async with running_recorder(chain, parties.recorder, tmp_path) as recorder:
        # Both are in one block, the dismissal first.
        chain.node.stop_mining()
        dismissal = signed_dismissal(chain)
        chain.rpc.send(eth_methods.send_raw_transaction(dismissal.raw))
        waiting = asyncio.create_task(answers(recorder, requests))
        await until(lambda: recorder.status.in_flight == 1)
        while not waiting.done():
            chain.rpc.send(Call("evm_mine", (), bytes))
            await asyncio.sleep(BLOCK_TIME)
        found = await waiting
        taken_back = chain.rpc.send(eth_methods.receipt(dismissal.hash))
        assert taken_back is not None
        assert taken_back.succeeded
        assert {type(one) for one in found[:5]} == {RecorderNotNamedError}
        recorded = [one for one in found[5:] if isinstance(one, RecordedAccess)]
        assert sorted(one.sequence for one in recorded) == [1, 2, 3, 4, 5]
        assert recorder.status.sequence == 5
        assert {one.block_number for one in recorded} == {taken_back.block_number}
    report = replay_node(chain.rpc, chain.deployment)
    assert report.is_clean


async def test_batch_that_is_passed_over_as_a_whole_settles(
    chain: Chain,
    recorder_party: Party,
    open_data: bytes,
    consumers: list[Party],
    tmp_path: Path,
) -> None:
    first, second, third = consumers
    requests = [chain.request(one, open_data) for one in (first, second) for _ in range(2)]
    name(chain, recorder_party, third)
    before = chain.rpc.send(contract_reads.log_state(chain.contracts))
    async with running_recorder(chain, recorder_party, tmp_path) as recorder:
        found = await answers(recorder, requests)
        assert {type(one) for one in found} == {RecorderNotNamedError}
        assert recorder.status.sequence == before.sequence
        [after] = await answers(recorder, [chain.request(third, open_data)])
        assert isinstance(after, RecordedAccess)
        assert after.sequence == before.sequence + 1
    state = read_journal_of(tmp_path)
    assert bytes((SKIPPED_BATCH, SKIPPED, SKIPPED_BATCH, SKIPPED)) in state


def read_journal_of(directory: Path) -> list[bytes]:
    """The outcomes that a recorder's journal has, by transaction."""
    journal = Journal.open(directory)
    try:
        found = read_journal(journal).transactions.values()
        return [one.settled.outcomes for one in found if one.settled is not None]
    finally:
        journal.close()
