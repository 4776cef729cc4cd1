"""What the recorder decides without a node: turns, order, size, what a journal means, what to send again."""

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import failpoints
from ledger.api import RecordedAccess
from ledger.chain.contract_calls import RequestGroup, decode_record
from ledger.chain.eth_methods import Receipt
from ledger.chain.transactions import GAS_CAP
from ledger.errors import LedgerError
from ledger.journal import Frame, JournalError
from ledger.recorder.batch import (
    Entry,
    EntryQueue,
    GasModel,
    access_id,
    call_of,
    entries_of,
    make_entry,
)
from ledger.recorder.journal import (
    FORMAT,
    SKIPPED,
    SKIPPED_BATCH,
    GivenUp,
    Identity,
    Journaled,
    JournalRecord,
    JournalState,
    Mark,
    Marked,
    Opened,
    Sent,
    Settled,
    decode_records,
    encode_records,
    split_accesses,
    split_signatures,
)
from ledger.recorder.recovery import compare, lost, plan_reconciliation
from ledger.recorder.settings import RecorderBusyError
from ledger.recorder.settle import BatchResult, placed, remembered
from ledger.typed_data import AccessRequest, struct_hash

ACCOUNT, PARTY = bytes([1]) * 20, bytes([2]) * 20
IDENTITY = Identity(1, bytes(32), bytes(20), ACCOUNT)
ACCESS, SIGNATURE = bytes([7]) * 32, bytes([8]) * 65

requests = st.builds(
    AccessRequest,
    consumer=st.sampled_from([bytes([n]) * 20 for n in range(3)]),
    basis=st.sampled_from([bytes([n]) * 32 for n in range(3)]),
    item=st.binary(min_size=32, max_size=32),
    fields=st.integers(0, 2**256 - 1),
    nonce=st.integers(0, 2**256 - 1),
    deadline=st.integers(0, 2**40 - 1),
)


def entry_of(consumer: int, nonce: int = 0, basis: int = 0) -> Entry:
    request = AccessRequest(bytes([consumer]) * 20, bytes([basis]) * 32, bytes(32), 1, nonce, 2**30)
    return make_entry(request, SIGNATURE)


# Entries


@given(requests)
def test_access_id_is_the_struct_hash(request: AccessRequest) -> None:
    entry = make_entry(request, SIGNATURE)
    assert entry.access == struct_hash(request) == access_id(entry.consumer, entry.encoded)


@given(st.lists(requests, min_size=1, max_size=20))
def test_entries_are_called_in_order_and_read_back_from_the_call(
    some: list[AccessRequest],
) -> None:
    queue = EntryQueue(100, 100)
    for request in some:
        queue.put(make_entry(request, SIGNATURE))
    entries = queue.take(100)
    assert sorted(entry.access for entry in entries) == sorted(map(struct_hash, some))
    call = call_of(entries)
    groups: tuple[RequestGroup, ...] = decode_record(call.data)
    assert len(groups) == len({request.consumer for request in some})
    again = entries_of(call.data, [e.access for e in entries], [e.signature for e in entries])
    for one, other in zip(entries, again, strict=True):
        assert (one.access, one.consumer, one.encoded) == (
            other.access,
            other.consumer,
            other.encoded,
        )
        assert access_id(other.consumer, other.encoded) == other.access


def test_nonces_of_one_word_follow_each_other_also_across_bases() -> None:
    queue = EntryQueue(100, 100)
    for nonce, basis in ((256, 2), (1, 2), (257, 1), (0, 1), (2, 1)):
        queue.put(entry_of(1, nonce, basis))
    words = [entry.encoded[64:95] for entry in queue.take(10)]
    assert words == sorted(words)


# Turns


def test_flooding_consumer_waits_for_itself() -> None:
    queue = EntryQueue(10_000, 10_000)
    for nonce in range(5000):
        queue.put(entry_of(1, nonce))
    for consumer in (2, 3):
        for nonce in range(10):
            queue.put(entry_of(consumer, nonce))
    taken = queue.take(90)
    counts = [sum(e.consumer[0] == consumer for e in taken) for consumer in (1, 2, 3)]
    assert counts == [70, 10, 10]
    assert len(queue) == 5020 - 90


def test_each_consumer_gets_an_equal_share_while_it_has_enough() -> None:
    queue = EntryQueue(10_000, 10_000)
    for consumer in range(1, 5):
        for nonce in range(100 * consumer):
            queue.put(entry_of(consumer, nonce))
    taken = queue.take(40)
    assert [sum(e.consumer[0] == c for e in taken) for c in range(1, 5)] == [10] * 4


def test_consumers_take_turns_across_transactions() -> None:
    queue = EntryQueue(10_000, 10_000)
    for consumer in range(1, 4):
        for nonce in range(10):
            queue.put(entry_of(consumer, nonce))
    served = [queue.take(1)[0].consumer[0] for _ in range(6)]
    assert sorted(served[:3]) == sorted(served[3:]) == [1, 2, 3]


def test_queue_is_bounded_as_a_whole_and_for_each() -> None:
    queue = EntryQueue(5, 3)
    for nonce in range(3):
        queue.put(entry_of(1, nonce))
    with pytest.raises(RecorderBusyError):
        queue.put(entry_of(1, 3))
    queue.put(entry_of(2))
    queue.put(entry_of(3))
    with pytest.raises(RecorderBusyError):
        queue.put(entry_of(4))
    assert len(queue.take(len(queue))) == 5
    assert len(queue) == 0
    queue.put(entry_of(1))


def test_dropped_entries_are_not_sent() -> None:
    queue = EntryQueue(10, 10)
    entries = [entry_of(1, nonce) for nonce in range(4)]
    for entry in entries:
        queue.put(entry)
    entries[1].dropped = entries[3].dropped = True
    assert queue.take(10) == [entries[0], entries[2]]
    assert len(queue) == 0


# Gas

WORD = 22_100


def one_word(count: int) -> list[Entry]:
    return [entry_of(1, nonce) for nonce in range(count)]


def own_words(count: int) -> list[Entry]:
    return [entry_of(1, nonce << 8) for nonce in range(count)]


def test_size_follows_what_accesses_cost() -> None:
    model = GasModel()
    first = model.entries()
    for _ in range(50):
        model.observe(one_word(256), 60_000 + WORD + 256 * 6_000)
    assert first < model.entries() <= GAS_CAP / 6_000
    model.observe(one_word(100), 60_000 + WORD + 100 * 50_000)
    assert model.entries() < GAS_CAP / 50_000
    assert model.entries(3_000_000) < model.entries()


def test_transaction_that_ran_out_makes_the_next_one_smaller() -> None:
    model = GasModel()
    for _ in range(50):
        model.observe(one_word(256), 60_000 + WORD + 256 * 3_000)
    model.ran_out(own_words(600))
    assert model.entries() < 3_000
    assert GasModel().entries(1) == 1


def test_each_key_of_answers_takes_room_for_a_storage_slot() -> None:
    model = GasModel()
    for _ in range(100):
        model.observe(one_word(256), 60_000 + WORD + 256 * 12_300)
    queue = EntryQueue(10_000, 10_000)
    for entry in own_words(1_000):
        queue.put(entry)
    sizes = []
    while len(queue):
        sizes.append(len(queue.take(1_000, model.room())))
    assert sum(sizes) == 1_000
    assert len(sizes) == 3
    assert all(60_000 + size * (12_300 + WORD) <= GAS_CAP for size in sizes)


def test_accesses_that_share_their_words_fill_the_same_room_with_more() -> None:
    model = GasModel()
    for _ in range(100):
        model.observe(one_word(256), 60_000 + WORD + 256 * 12_300)
    queue = EntryQueue(10_000, 10_000)
    for nonce in range(2_000):
        queue.put(entry_of(1, nonce))
    taken = len(queue.take(2_000, model.room()))
    assert 0.97 * model.entries() <= taken <= model.entries()


def test_one_access_is_taken_however_little_room_there_is() -> None:
    queue = EntryQueue(10, 10)
    queue.put(entry_of(1))
    queue.put(entry_of(2))
    assert len(queue.take(10, GasModel().room(21_000))) == 1


def test_room_is_shared_between_consumers_like_places() -> None:
    queue = EntryQueue(10_000, 10_000)
    for nonce in range(5_000):
        queue.put(entry_of(1, nonce))
    for consumer in (2, 3):
        for nonce in range(10):
            queue.put(entry_of(consumer, nonce << 8))
    taken = queue.take(1_000, GasModel().room())
    assert [sum(e.consumer[0] == c for e in taken) for c in (2, 3)] == [10, 10]


# The journal's records


def sent(nonce: int, number: int, sender: bytes = ACCOUNT, accesses: bytes = ACCESS) -> Sent:
    hash_ = bytes([number]) * 32
    return Sent(sender, nonce, hash_, b"raw" * number, accesses, SIGNATURE if accesses else b"")


def settled(number: int, *, block: int = 10, index: int = 0, first: int = 5) -> Settled:
    return Settled(
        hash=bytes([number]) * 32,
        block_number=block,
        block_hash=bytes([block]) * 32,
        timestamp=1000,
        index=index,
        succeeded=True,
        first_sequence=first,
        first_log=3,
        outcomes=b"\0",
        head=bytes([number]) * 32,
    )


def folded(*records: Iterable[JournalRecord]) -> JournalState:
    state = JournalState()
    state.read(
        Frame(segment, encode_records(list(some))) for segment, some in enumerate(records, 1)
    )
    return state


OPENED = Opened(FORMAT, IDENTITY, 4, None, 1)


def test_records_read_back() -> None:
    records: list[JournalRecord] = [
        OPENED,
        sent(4, 1),
        settled(1),
        GivenUp(bytes(32), "why"),
        Marked(Mark(1, bytes(32), 2, bytes(32))),
    ]
    assert decode_records(encode_records(records)) == records
    assert split_accesses(sent(4, 1, accesses=ACCESS * 3)) == [ACCESS] * 3
    assert split_signatures(sent(4, 1)) == [SIGNATURE]


@pytest.mark.parametrize("payload", [b"", b"\xc1", msgspec.msgpack.encode([["sent", 1]])])
def test_what_is_no_record_is_damage(payload: bytes) -> None:
    with pytest.raises(JournalError):
        decode_records(payload)


def test_other_format_is_refused() -> None:
    with pytest.raises(JournalError, match="format 9"):
        folded([Opened(9, IDENTITY, 0, None, 0)])


def test_journal_tells_what_is_open_and_which_nonce_is_next() -> None:
    state = folded([OPENED, sent(4, 1), sent(0, 2, PARTY, b"")], [OPENED, sent(5, 3), settled(1)])
    assert state.next_nonce == 6
    assert [
        (transaction.key, transaction.segment) for transaction in state.open_transactions()
    ] == [
        ((PARTY, 0), 1),
        ((ACCOUNT, 5), 2),
    ]
    assert state.mark == Mark(10, bytes([10]) * 32, 5, bytes([1]) * 32)


def test_replacement_belongs_to_its_nonce_and_whichever_is_mined_counts() -> None:
    replacement = msgspec.structs.replace(sent(4, 2), signatures=b"")
    for mined in (1, 2):
        state = folded([OPENED, sent(4, 1), replacement, settled(mined)])
        [one] = state.transactions.values()
        assert len(one.attempts) == 2
        assert one.carried_out.hash == bytes([mined]) * 32
    [one] = folded([OPENED, sent(4, 1), replacement]).open_transactions()
    assert one.carried_out.hash == bytes([2]) * 32


def test_given_up_transaction_is_not_open_and_its_nonce_can_be_used_again() -> None:
    state = folded([OPENED, sent(4, 1), GivenUp(bytes([1]) * 32, "replaced")])
    assert state.open_transactions() == []
    state.read([Frame(1, encode_records([sent(4, 2)]))])
    assert [transaction.carried_out.hash for transaction in state.open_transactions()] == [
        bytes([2]) * 32
    ]


def test_mark_does_not_go_back_by_an_old_segment_but_by_a_reconciliation() -> None:
    mark = Mark(20, bytes(32), 9, bytes(32))
    stale = Opened(FORMAT, IDENTITY, 0, Mark(3, bytes(32), 1, bytes(32)), 1)
    state = folded([Opened(FORMAT, IDENTITY, 4, mark, 1)], [stale])
    assert (state.mark, state.next_nonce) == (mark, 4)
    reconciled = Marked(Mark(12, bytes(32), 9, bytes(32)))
    state.read([Frame(2, encode_records([reconciled]))])
    assert state.mark is not None
    assert state.mark.block_number == 12


def test_settled_accesses_are_known_without_the_chain() -> None:
    first, second = remembered(
        msgspec.structs.replace(settled(1), outcomes=b"\0\x10"), [ACCESS, bytes(32)]
    )
    assert first == RecordedAccess(ACCESS, 5, 0, 10, bytes([10]) * 32, 1000, bytes([1]) * 32, 3)
    assert (second.sequence, second.outcome, second.log_index) == (6, 16, 4)


def test_what_was_passed_over_has_no_number_and_its_batch_one_event() -> None:
    outcomes = bytes((0, SKIPPED_BATCH, SKIPPED, SKIPPED_BATCH, 16))
    accesses = [bytes([number]) * 32 for number in range(5)]
    passed = msgspec.structs.replace(settled(1), outcomes=outcomes)
    first, *none, last = placed(passed, accesses)
    assert none == [None] * 3
    assert first is not None
    assert last is not None
    assert (first.sequence, first.log_index) == (5, 3)
    assert (last.sequence, last.log_index, last.access) == (6, 6, accesses[4])
    assert remembered(passed, accesses) == [first, last]
    assert passed.last_sequence == 6
    everything = msgspec.structs.replace(passed, outcomes=bytes((SKIPPED_BATCH, SKIPPED)))
    assert remembered(everything, accesses[:2]) == []
    assert everything.last_sequence == 4
    state = folded([OPENED, sent(4, 1, accesses=ACCESS * 2), everything])
    assert state.mark == Mark(10, bytes([10]) * 32, 4, bytes([1]) * 32)


# Reconciliation


def journaled(sender: bytes, nonce: int, number: int, found: Settled | None) -> Journaled:
    return Journaled(1, [sent(nonce, number, sender)], found)


def test_what_the_chain_lost_is_sent_again_in_its_old_order() -> None:
    transactions = [
        journaled(ACCOUNT, 0, 1, settled(1, block=5)),
        journaled(ACCOUNT, 2, 3, settled(3, block=7, index=1)),
        journaled(ACCOUNT, 3, 4, None),
        journaled(PARTY, 0, 5, settled(5, block=7, index=0)),
        journaled(ACCOUNT, 1, 2, settled(2, block=6)),
        Journaled(1, [sent(9, 9, PARTY)], None, GivenUp(bytes(32), "rejected")),
    ]
    plan = plan_reconciliation(transactions, {ACCOUNT: 1, PARTY: 0})
    assert [one.carried_out.hash[0] for one in plan] == [2, 5, 3, 4]
    assert plan_reconciliation(transactions, {ACCOUNT: 4, PARTY: 1}) == []


def settlement(
    outcome: int, sequence: int, *, head: int = 1, succeeded: bool = True
) -> BatchResult:
    receipt = Receipt(bytes([1]) * 32, 0, 12, bytes(32), ACCOUNT, succeeded, 1, None, ())
    record = msgspec.structs.replace(
        settled(1, block=12, first=sequence),
        outcomes=bytes([outcome]) if succeeded else b"",
        head=bytes([head]) * 32,
        succeeded=succeeded,
    )
    return BatchResult(receipt, record, tuple(placed(record, [ACCESS])) if succeeded else ())


def test_only_what_came_out_differently_is_reported() -> None:
    before = settled(1)
    assert list(compare(before, settlement(0, 5), [ACCESS])) == []
    assert list(compare(None, settlement(2, 5), [ACCESS])) == []
    [outcome] = compare(before, settlement(2, 5), [ACCESS])
    assert outcome.access == ACCESS
    assert (outcome.before, outcome.after) == (
        "Allowed as number 5",
        "RequestExpired as number 5",
    )
    [number] = compare(before, settlement(0, 6), [ACCESS])
    assert number.after == "Allowed as number 6"
    [head] = compare(before, settlement(0, 5, head=2), [ACCESS])
    assert head.access is None
    [passed] = compare(before, settlement(SKIPPED_BATCH, 5), [ACCESS])
    assert (passed.access, passed.after) == (ACCESS, "passed over")
    [refused] = compare(before, settlement(0, 5, succeeded=False), [ACCESS])
    assert (refused.before, refused.after) == ("carried out", "refused")
    assert "was Allowed as number 5" in str(outcome)


def test_every_access_of_a_lost_transaction_is_reported() -> None:
    [access] = lost(journaled(ACCOUNT, 1, 1, settled(1)), "missing")
    assert (access.access, access.after) == (ACCESS, "missing")
    plain = Journaled(
        1, [sent(1, 1, PARTY, b"")], msgspec.structs.replace(settled(1), outcomes=b"")
    )
    [whole] = lost(plain, "missing")
    assert (whole.access, whole.before) == (None, "carried out")


# Failpoints


@pytest.mark.parametrize("setting", ["nowhere", "after_send:x", "after_send:-1"])
def test_unknown_failpoint_is_refused(setting: str) -> None:
    with pytest.raises(LedgerError):
        failpoints.arm(setting)


def test_nothing_happens_at_a_failpoint_that_is_not_armed() -> None:
    failpoints.arm("after_send")
    try:
        failpoints.reach("after_journal")
    finally:
        failpoints.arm("")
    for name in failpoints.NAMES:
        failpoints.reach(name)
