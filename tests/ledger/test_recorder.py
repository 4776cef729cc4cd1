"""The recorder on a real node: one outcome for each request, whatever happens around it."""

import asyncio
import os
import secrets
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from ledger.api import RecordedAccess, Submission
from ledger.chain import contract_calls, eth_methods
from ledger.chain.contract_calls import ContractCall
from ledger.chain.deployment import WrongNodeError
from ledger.chain.events import Accessed, EncryptionKeySet
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.finality import BlocksLostError, Finality
from ledger.chain.reverts import RevertError
from ledger.chain.rpc import AsyncRpc, Call, RpcError, RpcSettings
from ledger.chain.transactions import GAS_CAP, SignedTransaction, parse_transaction
from ledger.journal import Journal, JournalError
from ledger.model import Outcome, Roles
from ledger.recorder.batch import call_of, make_entry
from ledger.recorder.journal import Settled, read_journal
from ledger.recorder.outbox import Draft
from ledger.recorder.recorder import Recorder
from ledger.recorder.recovery import catch_up, set_clock
from ledger.recorder.settings import (
    InvalidRequestError,
    RecorderBusyError,
    RecorderError,
    RecorderSettings,
    RecorderState,
    TransactionRejectedError,
)
from ledger.typed_data import AccessRequest, struct_hash
from scripts.scenario import Chain, Party, Terms
from tests.ledger.faulty_storage import FaultyStorage
from tests.support.recording import (
    SIGNATURE,
    admitted_recorder,
    running_recorder,
    submission,
    until,
)

pytestmark = pytest.mark.slow

QUICK = RecorderSettings(patience=0.6)


@pytest.fixture(scope="module")
def terms(chain: Chain) -> Terms:
    return chain.personal_terms()


@pytest.fixture
def recorder_party(chain: Chain) -> Party:
    return admitted_recorder(chain)


@pytest.fixture
def basis(chain: Chain, terms: Terms) -> bytes:
    """An authorization that lasts."""
    [authorization] = chain.granted(1, terms, max_uses=100_000)
    return authorization


def requests_for(chain: Chain, basis: bytes, count: int) -> list[AccessRequest]:
    return [chain.request(chain.parties.bank, basis) for _ in range(count)]


async def record_all(recorder: Recorder, requests: Sequence[AccessRequest]) -> list[RecordedAccess]:
    return await asyncio.gather(*[recorder.submit(submission(request)) for request in requests])


# Outcomes


async def test_concurrent_requests_share_transactions_and_get_their_own_outcomes(
    chain: Chain, terms: Terms, recorder_party: Party, tmp_path: Path
) -> None:
    once = chain.granted(3, terms)
    bank, insurer = chain.parties.bank, chain.parties.insurer
    allowed = [chain.request(bank, basis) for basis in once]
    unknown = [chain.request(insurer, secrets.token_bytes(32)) for _ in range(5)]
    foreign = chain.request(insurer, once[0])
    late = chain.request(bank, once[0], lifetime=-10)
    async with running_recorder(chain, recorder_party, tmp_path) as recorder:
        results = await record_all(recorder, [*allowed, *unknown, foreign, late])
        [used_up] = await record_all(recorder, [chain.request(bank, once[0])])

    outcomes = [result.outcome for result in (*results, used_up)]
    assert outcomes == [
        *[Outcome.ALLOWED] * 3,
        *[Outcome.UNKNOWN_BASIS] * 5,
        Outcome.CONSUMER_MISMATCH,
        Outcome.REQUEST_EXPIRED,
        Outcome.USES_EXHAUSTED,
    ]
    assert len({result.transaction for result in results}) < len(results)
    receipt = chain.rpc.send(eth_methods.receipt(results[0].transaction))
    assert receipt is not None
    events = {event.sequence: event for event in chain.accesses(receipt)}
    for request, result in zip((*allowed, *unknown, foreign, late), results, strict=True):
        assert result.access == struct_hash(request)
        event = events.get(result.sequence)
        if event is not None:
            assert (event.basis, event.nonce) == (request.basis, request.nonce)
            assert event.outcome == result.outcome
            assert (event.log_index, event.block.hash) == (result.log_index, result.block_hash)
            assert event.block.timestamp == result.timestamp


async def test_one_transaction_is_sorted_so_that_the_contract_looks_things_up_once(
    chain: Chain, terms: Terms, recorder_party: Party, basis: bytes, tmp_path: Path
) -> None:
    word = secrets.randbits(40) << 8
    ordered = [chain.request(chain.parties.bank, basis, nonce=word + n) for n in range(60)]
    shuffled = sorted(ordered, key=struct_hash)
    async with running_recorder(chain, recorder_party, tmp_path) as recorder:
        together = await record_all(recorder, shuffled)
        receipt = chain.rpc.send(eth_methods.receipt(together[0].transaction))
    assert receipt is not None
    assert receipt.gas_used / len(chain.accesses(receipt)) < 12_500


async def test_more_than_fits_into_a_transaction_is_split_and_recorded_once(
    chain: Chain, terms: Terms, recorder_party: Party, basis: bytes, tmp_path: Path
) -> None:
    first = secrets.randbits(128) << 8
    requests = [
        chain.request(chain.parties.bank, basis, nonce=first + number) for number in range(1500)
    ]
    settings = RecorderSettings(most_entries=2000)
    async with running_recorder(chain, recorder_party, tmp_path, settings) as recorder:
        # It believes that everything fits, and runs out of gas.
        recorder._dispatcher._gas._per_entry = 1.0
        results = await record_all(recorder, requests)
    assert Counter(result.outcome for result in results) == {Outcome.ALLOWED: 1500}
    assert len({result.sequence for result in results}) == 1500


def _succeeded(settled: object) -> bool:
    return isinstance(settled, Settled) and settled.succeeded


async def test_a_thousand_requests_with_a_thousand_keys_are_recorded_in_several_transactions(
    chain: Chain, terms: Terms, recorder_party: Party, basis: bytes, tmp_path: Path
) -> None:
    """Sized by what requests of one key cost, they would take twice the gas that a transaction may have."""
    bank = chain.parties.bank
    shared = [
        [chain.request(bank, basis, nonce=(word << 8) + n) for n in range(256)]
        for word in (secrets.randbits(128) for _ in range(6))
    ]
    keyed = [
        chain.request(bank, basis, nonce=secrets.randbits(128) << 8 | n % 256) for n in range(1000)
    ]
    settings = RecorderSettings(patience=60.0)
    async with running_recorder(chain, recorder_party, tmp_path, settings) as recorder:
        for some in shared:
            await record_all(recorder, some)
        results = await record_all(recorder, keyed)
    assert {result.outcome for result in results} == {Outcome.ALLOWED}
    assert len({result.sequence for result in results}) == 1000
    sent = dict.fromkeys(result.transaction for result in results)
    receipts = [chain.rpc.send(eth_methods.receipt(one)) for one in sent]
    assert len(receipts) >= 3
    assert all(receipt is not None and receipt.gas_used <= GAS_CAP for receipt in receipts)
    opened = Journal.open(tmp_path)
    state = read_journal(opened)
    opened.close()
    failed = [
        transaction
        for transaction in state.transactions.values()
        if not _succeeded(transaction.settled)
    ]
    assert not failed, "none had to be split after it failed"


async def test_request_that_no_contract_takes_is_refused_before_it_spoils_a_transaction(
    chain: Chain, recorder_party: Party, basis: bytes, tmp_path: Path
) -> None:
    async with running_recorder(chain, recorder_party, tmp_path) as recorder:
        with pytest.raises(InvalidRequestError, match="deadline"):
            await recorder.record(
                submission(chain.request(chain.parties.bank, basis, lifetime=1 << 41))
            )


# A retry is not a second use


async def test_same_request_in_flight_and_later_is_one_access(
    chain: Chain, recorder_party: Party, basis: bytes, tmp_path: Path
) -> None:
    [request] = requests_for(chain, basis, 1)
    async with running_recorder(chain, recorder_party, tmp_path) as recorder:
        together = await record_all(recorder, [request] * 5)
        later = await recorder.record(submission(request))
    assert len(set(map(repr, (*together, later)))) == 1
    assert chain.rpc.send(eth_methods.transaction_count(recorder_party.address)) == 1


async def test_caller_who_gives_up_does_not_stop_the_record(
    chain: Chain, recorder_party: Party, basis: bytes, tmp_path: Path
) -> None:
    [request] = requests_for(chain, basis, 1)
    missed: list[tuple[Submission, RecordedAccess]] = []

    def note(signed: Submission, recorded: RecordedAccess) -> None:
        missed.append((signed, recorded))

    async with running_recorder(chain, recorder_party, tmp_path, unclaimed=note) as recorder:
        caller = asyncio.create_task(recorder.record(submission(request)))
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await until(lambda: missed)
        [(signed, recorded)] = missed
        assert signed == Submission(request, SIGNATURE)
        assert await recorder.record(submission(request)) == recorded


async def test_same_request_after_a_restart_is_the_same_access(
    chain: Chain, recorder_party: Party, basis: bytes, tmp_path: Path
) -> None:
    requests = requests_for(chain, basis, 20)
    async with running_recorder(chain, recorder_party, tmp_path) as recorder:
        first = await record_all(recorder, requests)
    async with running_recorder(chain, recorder_party, tmp_path) as recorder:
        assert await record_all(recorder, requests) == first
    assert chain.rpc.send(eth_methods.transaction_count(recorder_party.address)) == 1


@pytest.mark.parametrize("source", ["chain", "index"])
async def test_request_that_only_the_contract_remembers_gets_its_first_access(
    chain: Chain, recorder_party: Party, basis: bytes, tmp_path: Path, source: str
) -> None:
    requests = requests_for(chain, basis, 3)
    async with running_recorder(chain, recorder_party, tmp_path / "one") as recorder:
        first = await record_all(recorder, requests)
    asked: list[bytes] = []

    async def look_up(access: bytes) -> RecordedAccess | None:
        asked.append(access)
        return next((one for one in first if one.access == access), None)

    other = admitted_recorder(chain)
    lookup = look_up if source == "index" else None
    async with running_recorder(chain, other, tmp_path / "two", lookup=lookup) as recorder:
        again = await record_all(recorder, requests)
        assert again == first
        # The duplicate is on chain, and never what a caller gets.
        assert await record_all(recorder, requests) == first
    assert len(asked) == (3 if source == "index" else 0)


async def test_nonce_of_another_request_is_a_duplicate(
    chain: Chain, recorder_party: Party, basis: bytes, tmp_path: Path
) -> None:
    bank, nonce = chain.parties.bank, secrets.randbits(60)
    one = chain.request(bank, basis, nonce=nonce, fields=1)
    other = chain.request(bank, basis, nonce=nonce, fields=2)
    async with running_recorder(chain, recorder_party, tmp_path) as recorder:
        assert (await recorder.record(submission(one))).outcome == Outcome.ALLOWED
        assert (await recorder.record(submission(other))).outcome == Outcome.DUPLICATE_REQUEST
        assert (await recorder.record(submission(one))).outcome == Outcome.ALLOWED


# Relays


async def test_grant_and_revocation_are_relayed_and_count_from_the_next_access_on(
    chain: Chain, terms: Terms, recorder_party: Party, tmp_path: Path
) -> None:
    subject = chain.register_subject()
    authorization = chain.authorization(subject, terms, max_uses=5)
    request = chain.request(chain.parties.bank, struct_hash(authorization))
    async with running_recorder(chain, recorder_party, tmp_path) as recorder:
        grant = chain.grant_call(subject, authorization)
        done, again = await asyncio.gather(recorder.relay(grant), recorder.relay(grant))
        assert done == again
        assert done.receipt.succeeded
        assert (await recorder.record(submission(request))).outcome == Outcome.ALLOWED
        await recorder.relay(chain.revoke_call(subject, struct_hash(authorization)))
        other = chain.request(chain.parties.bank, struct_hash(authorization))
        assert (await recorder.record(submission(other))).outcome == Outcome.REVOKED
        with pytest.raises(RevertError) as refused:
            await recorder.relay(grant)
        assert refused.value.revert.name == "AlreadyGranted"


def signed_by(chain: Chain, party: Party, call: ContractCall, nonce: int) -> SignedTransaction:
    sender = chain.sender(party)
    to = chain.deployment.address_of(call.contract)
    return parse_transaction(sender.sign(to, call.data, nonce, 1_000_000).raw)


async def test_transactions_of_a_party_are_relayed_in_order_and_once(
    chain: Chain, recorder_party: Party, tmp_path: Path
) -> None:
    party = Party(f"Party {secrets.token_hex(4)}", Roles.CONSUMER)
    chain.send(
        chain.parties.authority, contract_calls.admit(party.address, party.roles, party.name)
    )
    keys = [contract_calls.set_encryption_key(b"\1" + bytes([n]) * 32) for n in range(3)]
    first, second, third = (signed_by(chain, party, key, n) for n, key in enumerate(keys))
    instead = signed_by(chain, party, keys[2], 0)
    refused = signed_by(chain, party, contract_calls.appeal("I am not restricted."), 2)
    async with running_recorder(chain, recorder_party, tmp_path) as recorder:
        with pytest.raises(TransactionRejectedError, match="next nonce"):
            await recorder.relay_raw(third)
        one, two = await asyncio.gather(recorder.relay_raw(first), recorder.relay_raw(second))
        assert (one.transaction, two.transaction) == (first.hash, second.hash)
        assert await recorder.relay_raw(first) == one
        with pytest.raises(TransactionRejectedError, match="took the place"):
            await recorder.relay_raw(instead)
        with pytest.raises(RevertError) as error:
            await recorder.relay_raw(refused)
        assert error.value.revert.name == "NotRestricted"
        content = msgspec.structs.replace(third.content, chain_id=1)
        with pytest.raises(TransactionRejectedError, match="chain 1"):
            await recorder.relay_raw(msgspec.structs.replace(third, content=content))
        await recorder.relay_raw(third)
    assert chain.rpc.send(eth_methods.transaction_count(party.address)) == 3


# Who may record


async def test_nothing_is_taken_from_an_account_that_is_not_admitted_until_it_is(
    chain: Chain, basis: bytes, tmp_path: Path
) -> None:
    party = Party(f"Stranger {secrets.token_hex(4)}", Roles.RECORDER)
    chain.send(chain.parties.bank, contract_calls.name_recorder(party.address))
    [request] = requests_for(chain, basis, 1)
    async with running_recorder(chain, party, tmp_path, ready=False) as recorder:
        await until(lambda: recorder.status.state is RecorderState.RUNNING)
        assert isinstance(recorder.status.problem, RecorderError)
        with pytest.raises(RecorderError, match="nothing can be recorded now"):
            await recorder.record(submission(request))
        admission = contract_calls.admit(party.address, party.roles, party.name)
        await asyncio.to_thread(chain.send, chain.parties.authority, admission)
        await until(lambda: recorder.status.is_ready)
        assert (await recorder.record(submission(request))).outcome == Outcome.ALLOWED


async def test_withdrawn_recorder_tells_everybody_who_waits_and_then_takes_nothing(
    chain: Chain, recorder_party: Party, basis: bytes, tmp_path: Path
) -> None:
    requests = requests_for(chain, basis, 10)
    async with running_recorder(chain, recorder_party, tmp_path) as recorder:
        withdrawal = contract_calls.withdraw(recorder_party.address)
        await asyncio.to_thread(chain.send, chain.parties.authority, withdrawal)
        results = await asyncio.gather(
            *[recorder.submit(submission(request)) for request in requests],
            return_exceptions=True,
        )
        assert {type(result) for result in results} == {RecorderError}
        with pytest.raises(RecorderError, match="nothing can be recorded now"):
            await recorder.record(submission(requests[0]))
        # The nonce is used, so relays go on.
        subject = chain.register_subject()
        with pytest.raises(RevertError):
            await recorder.relay(contract_calls.complete_recovery(subject.id))


# A node that does not answer


async def test_unreachable_node_is_told_in_time_and_the_request_is_recorded_once_later(
    own_chain: Chain, tmp_path: Path
) -> None:
    chain = own_chain
    [basis] = chain.granted(1, chain.personal_terms(), max_uses=100)
    requests = requests_for(chain, basis, 3)
    async with running_recorder(chain, chain.parties.recorder, tmp_path, QUICK) as recorder:
        await recorder.record(submission(requests[0]))
        await asyncio.to_thread(chain.node.stop)
        errors = await asyncio.gather(
            *[recorder.submit(submission(request)) for request in requests[1:]],
            return_exceptions=True,
        )
        assert all("not recorded" in str(error) for error in errors)
        assert not recorder.status.is_ready
        await asyncio.to_thread(chain.node.start)
        await until(lambda: recorder.status.is_ready)
        results = await record_all(recorder, requests)
    assert sorted(result.sequence for result in results) == [1, 2, 3]
    assert {result.outcome for result in results} == {Outcome.ALLOWED}


async def test_hung_node_holds_nobody_and_loses_nothing(own_chain: Chain, tmp_path: Path) -> None:
    chain = own_chain
    [basis] = chain.granted(1, chain.personal_terms(), max_uses=100)
    [request] = requests_for(chain, basis, 1)
    pid = chain.node.pid
    assert pid is not None
    async with running_recorder(chain, chain.parties.recorder, tmp_path, QUICK) as recorder:
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(RecorderError, match="not recorded") as caught:
                await recorder.record(submission(request))
        finally:
            os.kill(pid, signal.SIGCONT)
        # It was on its way already.
        assert caught.value.ambiguous
        await until(lambda: recorder.status.sequence == 1)
        result = await recorder.record(submission(request))
    assert (result.sequence, result.outcome) == (1, Outcome.ALLOWED)


# Bounds


async def test_full_queue_turns_new_requests_away_but_not_repeated_ones(
    chain: Chain, recorder_party: Party, basis: bytes, tmp_path: Path
) -> None:
    settings = RecorderSettings(most_queued=20, most_queued_of_one=10)
    requests = requests_for(chain, basis, 11)
    async with running_recorder(chain, recorder_party, tmp_path, settings) as recorder:
        futures = [recorder.submit(submission(request)) for request in requests[:10]]
        with pytest.raises(RecorderBusyError):
            recorder.submit(submission(requests[10]))
        # Another consumer still finds room.
        other = chain.request(chain.parties.insurer, basis)
        futures += [recorder.submit(submission(other)), recorder.submit(submission(requests[0]))]
        results = await asyncio.gather(*futures)
    assert results[-1] == results[0]
    assert results[-2].outcome == Outcome.CONSUMER_MISMATCH


# The journal


async def test_full_disk_records_nothing_and_goes_on_when_there_is_room(
    chain: Chain, recorder_party: Party, basis: bytes, tmp_path: Path
) -> None:
    requests = requests_for(chain, basis, 4)
    async with running_recorder(chain, recorder_party, tmp_path / "unused") as recorder:
        storage = FaultyStorage(tmp_path)
        journal = Journal(storage)
        old, recorder._outbox.journal = recorder._outbox.journal, journal
        assert old is not None
        old.close()
        await recorder._outbox.open_segment()
        await record_all(recorder, requests[:1])
        # What became of the first one has been noted.
        await until(lambda: storage.calls.count("sync") == 2)
        storage.fail_next("write")
        with pytest.raises(RecorderError, match="not recorded") as caught:
            await recorder.record(submission(requests[1]))
        assert not caught.value.ambiguous
        results = await record_all(recorder, requests)
    assert len({result.sequence for result in results}) == 4
    assert {result.outcome for result in results} == {Outcome.ALLOWED}


async def test_failed_sync_stops_the_recorder_and_the_next_one_sends_what_is_on_the_disk(
    chain: Chain, recorder_party: Party, basis: bytes, tmp_path: Path
) -> None:
    [request] = requests_for(chain, basis, 1)
    journal_path = tmp_path / "journal"
    async with running_recorder(chain, recorder_party, journal_path) as recorder:
        storage = FaultyStorage(journal_path)
        old, recorder._outbox.journal = recorder._outbox.journal, Journal(storage)
        assert old is not None
        storage.fail_next("sync", persisted=True)
        with pytest.raises(RecorderError, match="not recorded") as caught:
            await recorder.record(submission(request))
        assert caught.value.ambiguous
        await until(lambda: recorder.status.state is RecorderState.HALTED)
        with pytest.raises(RecorderError, match="nothing can be recorded now"):
            await recorder.record(submission(request))
        old.close()
    async with running_recorder(chain, recorder_party, journal_path) as recorder:
        result = await recorder.record(submission(request))
    assert result.outcome == Outcome.ALLOWED
    assert chain.rpc.send(eth_methods.transaction_count(recorder_party.address)) == 1


async def test_second_recorder_on_the_same_journal_is_refused(
    chain: Chain, recorder_party: Party, tmp_path: Path
) -> None:
    async with running_recorder(chain, recorder_party, tmp_path):
        with pytest.raises(JournalError, match="another process"):
            async with running_recorder(chain, recorder_party, tmp_path):
                pass


async def test_journal_of_another_account_is_refused(
    chain: Chain, recorder_party: Party, tmp_path: Path
) -> None:
    async with running_recorder(chain, recorder_party, tmp_path):
        pass
    with pytest.raises(RecorderError):
        async with running_recorder(chain, admitted_recorder(chain), tmp_path):
            pass


async def test_second_recorder_with_the_same_account_stops_one_of_them(
    chain: Chain, recorder_party: Party, basis: bytes, tmp_path: Path
) -> None:
    requests = requests_for(chain, basis, 4)
    settings = RecorderSettings(resend_after=0.2, patience=3)
    async with (
        running_recorder(chain, recorder_party, tmp_path / "one", settings) as one,
        running_recorder(chain, recorder_party, tmp_path / "two", settings) as two,
    ):
        await one.record(submission(requests[0]))
        with pytest.raises(RecorderError, match=r"took the place|not recorded"):
            await two.record(submission(requests[1]))
        await until(lambda: two.status.state is RecorderState.HALTED)
        assert isinstance(two.status.problem, RecorderError)
        assert (await one.record(submission(requests[2]))).outcome == Outcome.ALLOWED


async def test_old_segments_go_when_their_transactions_are_final_unless_history_is_kept(
    chain: Chain, recorder_party: Party, basis: bytes, tmp_path: Path
) -> None:
    requests = requests_for(chain, basis, 12)
    left: dict[bool, int] = {}
    first: list[RecordedAccess] = []
    for keep in (False, True):
        settings = RecorderSettings(segment_size=500, keep_history=keep)
        async with running_recorder(chain, recorder_party, tmp_path, settings) as recorder:
            some = requests[6 * keep : 6 * keep + 6]
            first += [await recorder.record(submission(request)) for request in some]
        left[keep] = segments_in(tmp_path)
    assert left[False] <= 2
    assert left[True] >= left[False] + 5
    async with running_recorder(chain, recorder_party, tmp_path) as recorder:
        assert await record_all(recorder, requests) == first


def segments_in(directory: Path) -> int:
    return len(list(directory.glob("*.journal")))


async def test_closing_waits_for_what_is_on_its_way_or_being_journaled(
    chain: Chain,
    recorder_party: Party,
    basis: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    append = Journal.append

    def slow(journal: Journal, payload: bytes) -> None:
        time.sleep(0.3)
        append(journal, payload)

    monkeypatch.setattr(Journal, "append", slow)
    async with running_recorder(chain, recorder_party, tmp_path) as recorder:
        futures = [
            recorder.submit(submission(request)) for request in requests_for(chain, basis, 50)
        ]
        await recorder.close(drain=60)
    assert {future.result().outcome for future in futures} == {Outcome.ALLOWED}
    journal = Journal.open(tmp_path)
    state = read_journal(journal)
    journal.close()
    assert state.open_transactions() == []
    assert all(
        isinstance(transaction.settled, Settled) for transaction in state.transactions.values()
    )


# A chain that is not the one it was


async def test_chain_that_lost_final_blocks_is_made_whole_from_the_journal(
    own_chain: Chain, tmp_path: Path
) -> None:
    chain = own_chain
    terms = chain.personal_terms()
    subject = chain.register_subject()
    authorization = chain.authorization(subject, terms, max_uses=1000)
    basis = struct_hash(authorization)
    chain.node.checkpoint()
    requests = requests_for(chain, basis, 10)
    key = contract_calls.set_encryption_key(b"\1" + bytes(32))
    settings = RecorderSettings(keep_history=True, most_entries=3)
    async with running_recorder(chain, chain.parties.recorder, tmp_path, settings) as recorder:
        await recorder.relay(chain.grant_call(subject, authorization))
        bank = chain.parties.bank
        nonce = chain.rpc.send(eth_methods.transaction_count(bank.address))
        await recorder.relay_raw(signed_by(chain, bank, key, nonce))
        before = await record_all(recorder, requests)
        await asyncio.to_thread(forget, chain)
        await until(lambda: recorder.status.state is RecorderState.HALTED)
        assert isinstance(recorder.status.problem, BlocksLostError)
        with pytest.raises(RecorderError, match="nothing can be recorded now"):
            await recorder.record(submission(requests_for(chain, basis, 1)[0]))

        report = await recorder.reconcile()

        assert report.is_whole
        assert report.accesses == 10
        await until(lambda: recorder.status.is_ready)
        after = await record_all(recorder, requests)
        more = await record_all(recorder, requests_for(chain, basis, 1))
    assert [(a.access, a.sequence, a.outcome, a.transaction) for a in after] == [
        (a.access, a.sequence, a.outcome, a.transaction) for a in before
    ]
    assert more[0].sequence == 11


def forget(chain: Chain) -> None:
    """Let the node lose everything behind the checkpoint."""
    chain.node.kill()
    chain.node.start()


async def test_a_node_that_has_just_forgotten_a_grant_does_not_refuse_its_revocation(
    own_chain: Chain, tmp_path: Path
) -> None:
    chain = own_chain
    terms, bank = chain.personal_terms(), chain.parties.bank
    key = contract_calls.set_encryption_key(b"\1" + bytes(32))
    chain.node.checkpoint()
    # The id too is forgotten: a revocation before its grant counts, and nothing would be refused.
    subject = chain.register_subject()
    authorization = chain.authorization(subject, terms)
    settings = RecorderSettings(keep_history=True)
    async with running_recorder(chain, chain.parties.recorder, tmp_path, settings) as recorder:
        await recorder.relay(chain.grant_call(subject, authorization))
        nonce = chain.rpc.send(eth_methods.transaction_count(bank.address))
        await recorder.relay_raw(signed_by(chain, bank, key, nonce))
        revocation = chain.revoke_call(subject, struct_hash(authorization))
        later = signed_by(chain, bank, key, nonce + 1)
        for task in recorder._tasks:
            task.cancel()  # nobody has noticed yet
        await asyncio.to_thread(forget, chain)
        with suppress(RpcError):
            await recorder._rpc.send(eth_methods.chain_id())  # the old connection is closed
        with pytest.raises(RecorderError, match="recorded now: block"):
            await recorder.relay(revocation)
        with pytest.raises(RecorderError, match="recorded now: block"):
            await recorder.relay_raw(later)


async def test_reconciliation_reports_what_came_out_differently(
    own_chain: Chain, tmp_path: Path
) -> None:
    chain = own_chain
    [basis] = chain.granted(1, chain.personal_terms(), max_uses=1000)
    chain.node.checkpoint()
    soon = chain.request(chain.parties.bank, basis, lifetime=2)
    long = chain.request(chain.parties.bank, basis)
    settings = RecorderSettings(keep_history=True, reconcile_automatically=True)
    async with running_recorder(chain, chain.parties.recorder, tmp_path, settings) as recorder:
        results = await record_all(recorder, [soon, long])
        assert {result.outcome for result in results} == {Outcome.ALLOWED}
        await until(lambda: chain.now() > soon.deadline)
        await asyncio.to_thread(forget, chain)
        await until(lambda: recorder.last_reconciliation is not None)
        await until(lambda: recorder.status.is_ready)
        report = recorder.last_reconciliation
        assert report is not None
        [difference] = report.differences
        assert difference.access == struct_hash(soon)
        assert difference.before.startswith("Allowed")
        assert difference.after.startswith("RequestExpired")
        assert (await recorder.record(submission(soon))).outcome == Outcome.REQUEST_EXPIRED


async def test_lost_blocks_of_the_embedded_chain_come_back_at_their_own_times(
    own_chain: Chain, tmp_path: Path
) -> None:
    chain = own_chain
    [basis] = chain.granted(1, chain.personal_terms(), max_uses=1000)
    chain.node.checkpoint()
    settings = RecorderSettings(
        keep_history=True, reconcile_automatically=True, sets_clock=True, most_entries=3
    )
    async with running_recorder(chain, chain.parties.recorder, tmp_path, settings) as recorder:
        before = []
        for _ in range(3):
            soon = [chain.request(chain.parties.bank, basis, lifetime=2) for _ in range(10)]
            before += await record_all(recorder, soon)
            await until(lambda at=soon[0].deadline: chain.now() > at)
        await asyncio.to_thread(forget, chain)
        await until(lambda: recorder.last_reconciliation is not None)
        await until(lambda: recorder.status.is_ready)
        report = recorder.last_reconciliation
        assert report is not None
        assert (report.is_whole, report.accesses) == (True, 30)
        # And the clock is where it was: what comes now is of now.
        [basis] = await asyncio.to_thread(chain.granted, 1, chain.personal_terms())
        [now] = await record_all(recorder, requests_for(chain, basis, 1))
    assert {one.outcome for one in before} == {Outcome.ALLOWED}
    after = [access for access in chain_accesses(chain) if access.sequence <= 30]
    before.sort(key=lambda access: access.sequence)
    assert [(a.sequence, a.outcome) for a in after] == [(a.sequence, a.outcome) for a in before]
    for was, access in zip(before, after, strict=True):
        assert abs(access.block.timestamp - was.timestamp) <= 1
    assert now.outcome == Outcome.ALLOWED
    assert abs(now.timestamp - time.time()) < 5


async def test_lost_transactions_of_several_senders_come_back_in_their_order(
    own_chain: Chain, tmp_path: Path
) -> None:
    chain, bank = own_chain, own_chain.parties.bank
    [basis] = chain.granted(1, chain.personal_terms(), max_uses=1000)
    nonce = chain.rpc.send(eth_methods.transaction_count(bank.address))
    signed = [
        signed_by(
            chain, bank, contract_calls.set_encryption_key(b"\1" + bytes([at]) * 32), nonce + at
        )
        for at in range(30)
    ]
    known = len(chain_transactions(chain))
    chain.node.checkpoint()
    settings = RecorderSettings(
        keep_history=True, reconcile_automatically=True, sets_clock=True, most_entries=1, pace=0
    )
    async with running_recorder(chain, chain.parties.recorder, tmp_path, settings) as recorder:
        requests = iter(requests_for(chain, basis, len(signed)))
        relayed = []
        for one in signed:
            relayed += [
                asyncio.create_task(recorder.relay_raw(one)),
                asyncio.create_task(recorder.record(submission(next(requests)))),
            ]
            await asyncio.sleep(0.005)
        await asyncio.gather(*relayed)
        before = chain_transactions(chain)
        await asyncio.to_thread(forget, chain)
        await until(lambda: recorder.last_reconciliation is not None)
    after = chain_transactions(chain)
    assert len(before) == known + 2 * len(signed)
    assert after == before


async def test_what_was_sent_before_anybody_noticed_comes_after_what_was_lost(
    own_chain: Chain, tmp_path: Path
) -> None:
    chain, bank = own_chain, own_chain.parties.bank
    [basis] = chain.granted(1, chain.personal_terms(), max_uses=1000)
    nonce = chain.rpc.send(eth_methods.transaction_count(bank.address))
    chain.node.checkpoint()
    settings = RecorderSettings(keep_history=True, reconcile_automatically=True, sets_clock=True)
    async with running_recorder(chain, chain.parties.recorder, tmp_path, settings) as recorder:
        first, late = requests_for(chain, basis, 2)
        await recorder.record(submission(first))
        key = contract_calls.set_encryption_key(b"\1" + bytes(32))
        await recorder.relay_raw(signed_by(chain, bank, key, nonce))
        before = chain_transactions(chain)
        for task in recorder._tasks:
            task.cancel()  # nobody has noticed yet
        await asyncio.to_thread(forget, chain)
        with suppress(RpcError):
            await recorder._rpc.send(eth_methods.chain_id())  # the old connection is closed
        signed = submission(late)
        entries = [make_entry(late, signed.signature)]
        call = call_of(entries)
        to = chain.deployment.address_of(call.contract)
        await recorder._outbox.send([Draft(to, call.data, 1_000_000, entries)])
    async with running_recorder(chain, chain.parties.recorder, tmp_path, settings) as recorder:
        report = recorder.last_reconciliation
        assert report is not None
        assert report.is_whole
        recorded = await recorder.record(signed)
    assert chain_transactions(chain) == [*before, recorded.transaction]


def chain_transactions(chain: Chain) -> list[bytes]:
    """The transactions that recorded an access or set a key, in their order."""
    decoder, newest = EventDecoder(chain.contracts), chain.rpc.send(eth_methods.block_number())
    logs = chain.rpc.send(
        eth_methods.logs(0, newest, [chain.contracts.access_log, chain.contracts.registry])
    )
    events = decoder.decode_all(logs)
    return [event.transaction for event in events if isinstance(event, Accessed | EncryptionKeySet)]


async def test_the_clock_is_never_set_behind_the_newest_block(own_chain: Chain) -> None:
    """More lost transactions of one second than are sent at once: they may take longer than it."""
    chain = own_chain
    async with AsyncRpc(chain.node.url) as rpc:
        reached = chain.now() + 500
        await set_clock(rpc, reached)
        await until(lambda: chain.now() >= reached)
        number = chain.rpc.send(eth_methods.block_number())
        await set_clock(rpc, reached - 5)
        await until(lambda: chain.rpc.send(eth_methods.block_number()) > number)
        assert chain.now() >= reached


async def test_a_clock_that_was_left_in_the_past_is_not_behind_afterwards(own_chain: Chain) -> None:
    chain = own_chain
    async with AsyncRpc(chain.node.url) as rpc:
        past = chain.now() - 100
        await rpc.send(Call("evm_setTime", (past,), lambda _: None))
        await until(lambda: chain.now() < time.time() - 50)
        before = int(time.time())
        await catch_up(rpc, Finality.depth(0))
        number = chain.rpc.send(eth_methods.block_number())
        await until(lambda: chain.rpc.send(eth_methods.block_number()) > number)
        assert before <= chain.now() <= time.time() + 1


def chain_accesses(chain: Chain) -> list[Accessed]:
    decoder, newest = EventDecoder(chain.contracts), chain.rpc.send(eth_methods.block_number())
    logs = chain.rpc.send(eth_methods.logs(0, newest, [chain.contracts.access_log]))
    return [event for event in decoder.decode_all(logs) if isinstance(event, Accessed)]


async def test_chain_that_began_anew_is_not_used(own_chain: Chain, tmp_path: Path) -> None:
    chain = own_chain
    [basis] = chain.granted(1, chain.personal_terms(), max_uses=1000)
    settings = RecorderSettings(reconcile_automatically=True, keep_history=True)
    async with running_recorder(chain, chain.parties.recorder, tmp_path, settings) as recorder:
        await recorder.record(submission(requests_for(chain, basis, 1)[0]))
        chain.node.kill()
        for path in chain.node.settings.data.glob("state*"):
            path.unlink()
        await asyncio.to_thread(chain.node.start)
        await until(lambda: recorder.status.state is RecorderState.HALTED)
        # A chain that began in the same second has the same first block, but not the contracts.
        with pytest.raises(WrongNodeError):
            await recorder.reconcile()
        with pytest.raises(RecorderError, match="nothing can be recorded now"):
            await recorder.record(submission(chain.request(chain.parties.bank, basis)))


# Fees


def _nothing(_raw: object) -> None:
    return None


async def test_transaction_that_offers_too_little_is_replaced_by_one_that_offers_more(
    own_chain: Chain, tmp_path: Path
) -> None:
    chain = own_chain
    [basis] = chain.granted(1, chain.personal_terms(), max_uses=1000)
    [request] = requests_for(chain, basis, 1)
    account = chain.parties.recorder.address
    settings = RecorderSettings(resend_after=0.3, replace_after=0.5, patience=30)
    async with AsyncRpc(chain.node.url, RpcSettings(timeout=5)) as rpc:
        recorder = Recorder(
            rpc, chain.deployment, chain.parties.recorder.private_key, tmp_path, settings
        )
        async with recorder:
            await until(lambda: recorder.status.is_ready)
            chain.rpc.send(Call("anvil_setBalance", ("0x" + account.hex(), hex(10**20)), _nothing))
            chain.rpc.send(Call("anvil_setNextBlockBaseFeePerGas", (hex(10**6),), _nothing))
            recorder._dispatcher._checked_fee = 0.0
            future = recorder.submit(submission(request))
            await until(lambda: recorder.status.in_flight)
            [flight] = recorder._outbox.flights
            result = await future
    assert len(flight.attempts) == 2
    assert result.transaction == flight.attempts[1].hash
    assert result.outcome == Outcome.ALLOWED
    journal = Journal.open(tmp_path)
    [journaled] = read_journal(journal).transactions.values()
    journal.close()
    assert journaled.carried_out.hash == result.transaction
