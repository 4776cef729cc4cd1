"""Whatever is done to a copy of a trail is found and named."""

from collections.abc import Callable

import msgspec
import pytest

from ledger.chain.events.decoder import EventDecoder
from ledger.hexstr import from_hex, to_hex
from ledger.replay.journal_check import ReleaseEntry
from ledger.replay.report import Kind
from tests.support.copies import (
    RECORDED,
    Copy,
    access_of,
    drop_the_last_call,
    edit_an_outcome,
    fresh,
    invent_an_access_with_a_signature_of_ones_own,
    invent_an_access_with_the_signature_of_another_request,
    invent_an_access_without_a_signature,
    invented_access,
    kinds,
    make_original,
    replayed,
)
from tests.support.trails import CONTRACTS, entry_of


@pytest.fixture(scope="module")
def original() -> Copy:
    return make_original()


@pytest.fixture
def copy(original: Copy) -> Copy:
    return fresh(original)


# Drop


def drop_an_access(copy: Copy) -> None:
    del copy.logs[copy.accesses()[12]]


def drop_an_access_and_renumber_the_logs(copy: Copy) -> None:
    place = copy.accesses()[12]
    del copy.logs[place]
    block = copy.logs[place].block_number
    while copy.logs[place].block_number == block:
        copy.edit(place, log_index=hex(int(copy.logs[place].log_index, 16) - 1))
        place += 1


def drop_a_whole_call(copy: Copy) -> None:
    first, last = copy.calls()[:2]
    del copy.logs[first + 1 : last + 1]


def drop_the_end_of_a_call(copy: Copy) -> None:
    del copy.logs[copy.calls()[1]]


def drop_the_end_of_the_last_call(copy: Copy) -> None:
    del copy.logs[-1]


def drop_a_grant(copy: Copy) -> None:
    names = [EventDecoder(CONTRACTS).decode(log).name for log in copy.logs]
    del copy.logs[names.index("Granted")]


def drop_the_deployment(copy: Copy) -> None:
    del copy.logs[0]


# Edit


def edit_the_fields(copy: Copy) -> None:
    copy.edit_data(copy.accesses()[8], 31, 3)


def edit_a_consumer(copy: Copy) -> None:
    place = copy.accesses()[3]
    copy.edit_data(place, 64, from_hex(copy.logs[place].data)[64] ^ 1)


def edit_a_sequence(copy: Copy) -> None:
    copy.edit_data(copy.accesses()[3], 89, 77)


def edit_a_time(copy: Copy) -> None:
    copy.edit(copy.accesses()[3], block_timestamp="0x1")


def edit_a_block_hash(copy: Copy) -> None:
    copy.edit(copy.accesses()[3], block_hash=to_hex(bytes(32)))


def edit_the_recorder(copy: Copy) -> None:
    copy.edit(copy.calls()[1], topics=(RECORDED, to_hex(bytes(31) + b"\x01")))


def edit_a_head(copy: Copy) -> None:
    copy.edit_data(copy.calls()[1], 63, 1)


# Reorder


def exchange_two_accesses(copy: Copy) -> None:
    one, other = copy.accesses()[2:4]
    copy.logs[one], copy.logs[other] = copy.logs[other], copy.logs[one]


def exchange_what_two_accesses_say(copy: Copy) -> None:
    one, other = copy.accesses()[2:4]
    first, second = copy.logs[one], copy.logs[other]
    copy.edit(one, topics=second.topics, data=second.data)
    copy.edit(other, topics=first.topics, data=first.data)


def exchange_two_calls(copy: Copy) -> None:
    first, second, third = copy.calls()[:3]
    copy.logs[first + 1 : third + 1] = [
        *copy.logs[second + 1 : third + 1],
        *copy.logs[first + 1 : second + 1],
    ]


def repeat_an_access(copy: Copy) -> None:
    place = copy.accesses()[2]
    copy.logs.insert(place, copy.logs[place])


# Forge


def forge_an_outcome_with_hashes(copy: Copy) -> None:
    edit_an_outcome(copy)
    copy.rehash()


def forge_a_grant(copy: Copy) -> None:
    names = [EventDecoder(CONTRACTS).decode(log).name for log in copy.logs]
    place = names.index("Granted")
    copy.edit_data(place, 9 * 32 + 31, 1)


def forge_a_log_of_another_contract(copy: Copy) -> None:
    copy.edit(copy.accesses()[2], address=to_hex(b"\x01" * 20))


def forge_the_number_of_an_agreement(copy: Copy) -> None:
    names = [EventDecoder(CONTRACTS).decode(log).name for log in copy.logs]
    copy.edit_data(names.index("AgreementApproved"), 63, 2)


# Invent, and claim


def invent_an_access_with_a_broken_signature(copy: Copy) -> None:
    invented_access(copy)
    entry = entry_of(access_of(copy, -1), copy.city.parties.bank)
    copy.entries.append(msgspec.structs.replace(entry, signature=b"\x01" * 64))


def lose_a_journal_entry(copy: Copy) -> None:
    del copy.entries[5]


def claim_a_release(copy: Copy) -> None:
    copy.entries.append(ReleaseEntry(b"\x01" * 32, copy.end.sequence + 1, None, None, True))


def claim_a_release_amid_others(copy: Copy) -> None:
    copy.entries.insert(4, ReleaseEntry(b"\x01" * 32, 4, None, None, True))


def claim_a_release_for_a_denied_access(copy: Copy) -> None:
    place = next(n for n, entry in enumerate(copy.entries) if not entry.released)
    copy.entries[place] = msgspec.structs.replace(copy.entries[place], released=True)


def claim_a_record(copy: Copy) -> None:
    copy.entries.append(ReleaseEntry(b"\x01" * 32, 99, None, b"\x01" * 65, False))


def claim_another_transaction(copy: Copy) -> None:
    copy.entries[3] = msgspec.structs.replace(copy.entries[3], transaction=b"\x01" * 32)


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (drop_an_access, {Kind.MISSING_ACCESS, Kind.MISSING_LOG, Kind.WRONG_HEAD}),
        (drop_an_access_and_renumber_the_logs, {Kind.MISSING_ACCESS, Kind.WRONG_HEAD}),
        (drop_a_whole_call, {Kind.MISSING_ACCESS, Kind.WRONG_HEAD, Kind.RELEASE_WITHOUT_RECORD}),
        (drop_the_last_call, {Kind.OTHER_END, Kind.ENTRY_WITHOUT_RECORD}),
        (drop_the_end_of_a_call, {Kind.OPEN_CALL}),
        (drop_the_end_of_the_last_call, {Kind.OPEN_CALL}),
        (drop_a_grant, {Kind.MISSING_LOG, Kind.WRONG_OUTCOME}),
        (drop_the_deployment, {Kind.MISSING_LOG}),
        (edit_an_outcome, {Kind.WRONG_OUTCOME, Kind.WRONG_HEAD}),
        (edit_the_fields, {Kind.WRONG_HEAD, Kind.UNSIGNED_ACCESS}),
        (edit_a_consumer, {Kind.WRONG_OUTCOME, Kind.WRONG_HEAD, Kind.UNSIGNED_ACCESS}),
        (edit_a_sequence, {Kind.MISSING_ACCESS, Kind.REPEATED_ACCESS, Kind.WRONG_HEAD}),
        (edit_a_time, {Kind.OUT_OF_ORDER, Kind.WRONG_OUTCOME}),
        (edit_a_block_hash, {Kind.OUT_OF_ORDER}),
        (edit_the_recorder, {Kind.IMPOSSIBLE_EVENT}),
        (edit_a_head, {Kind.WRONG_HEAD}),
        (exchange_two_accesses, {Kind.OUT_OF_ORDER, Kind.REPEATED_ACCESS, Kind.WRONG_HEAD}),
        (exchange_what_two_accesses_say, {Kind.REPEATED_ACCESS, Kind.WRONG_HEAD}),
        (exchange_two_calls, {Kind.OUT_OF_ORDER, Kind.REPEATED_ACCESS, Kind.WRONG_HEAD}),
        (repeat_an_access, {Kind.OUT_OF_ORDER, Kind.REPEATED_ACCESS}),
        (forge_an_outcome_with_hashes, {Kind.WRONG_OUTCOME, Kind.OTHER_END}),
        (forge_a_grant, {Kind.MALFORMED_EVENT, Kind.WRONG_OUTCOME}),
        (forge_a_log_of_another_contract, {Kind.MALFORMED_EVENT, Kind.MISSING_ACCESS}),
        (forge_the_number_of_an_agreement, {Kind.IMPOSSIBLE_EVENT, Kind.WRONG_OUTCOME}),
        (invent_an_access_without_a_signature, {Kind.UNSIGNED_ACCESS, Kind.OTHER_END}),
        (invent_an_access_with_a_signature_of_ones_own, {Kind.WRONG_SIGNATURE}),
        (invent_an_access_with_the_signature_of_another_request, {Kind.WRONG_SIGNATURE}),
        (invent_an_access_with_a_broken_signature, {Kind.WRONG_SIGNATURE}),
        (lose_a_journal_entry, {Kind.UNSIGNED_ACCESS}),
        (claim_a_release, {Kind.RELEASE_WITHOUT_RECORD}),
        (claim_a_release_amid_others, {Kind.RELEASE_WITHOUT_RECORD}),
        (claim_a_release_for_a_denied_access, {Kind.RELEASE_WITHOUT_RECORD}),
        (claim_a_record, {Kind.ENTRY_WITHOUT_RECORD}),
        (claim_another_transaction, {Kind.ENTRY_WITHOUT_RECORD}),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_tampering_is_found_and_named(
    copy: Copy, tamper: Callable[[Copy], None], expected: set[Kind]
) -> None:
    end = copy.end
    tamper(copy)
    assert expected <= kinds(replayed(copy, end=end))
