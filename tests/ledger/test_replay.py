"""A whole trail replays clean; findings say what, where and who; memory is flat."""

import tracemalloc
from collections.abc import Callable

import msgspec
import pytest

from ledger.chain.events.identifiers import access_id
from ledger.hexstr import from_hex, to_hex
from ledger.model import Outcome
from ledger.replay.engine import Replay
from ledger.replay.journal_check import JournalFault, ReleaseEntry
from ledger.replay.report import End, Kind
from ledger.typed_data import AccessRequest, digest, digest_of, struct_hash
from tests.support.copies import (
    OUTCOME,
    Copy,
    MemoryJournal,
    access_of,
    edit_an_outcome,
    fresh,
    invent_an_access_with_a_signature_of_ones_own,
    invent_an_access_with_the_signature_of_another_request,
    invent_an_access_without_a_signature,
    kinds,
    make_original,
    only,
    replayed,
)
from tests.support.trails import DOMAIN, deployment, make_city


@pytest.fixture(scope="module")
def original() -> Copy:
    return make_original()


@pytest.fixture
def copy(original: Copy) -> Copy:
    return fresh(original)


def test_a_whole_trail_replays_without_findings(copy: Copy) -> None:
    report = replayed(copy, end=copy.end)
    assert report.findings == ()
    assert report.is_clean
    assert (report.logs, report.accesses, report.end) == (len(copy.logs), 40, copy.end)
    # The duplicates are checked against the signature of the request that they repeat.
    assert report.signatures == 40
    outcomes = {outcome.outcome: outcome.count for outcome in report.outcomes}
    assert outcomes == {
        Outcome.ALLOWED: report.releases,
        Outcome.FIELDS_EXCEEDED: 4,
        Outcome.DUPLICATE_REQUEST: 4,
        Outcome.USES_EXHAUSTED: 32 - report.releases,
    }
    assert report.journals == ("gateway",)
    assert (report.first_block, report.last_block) == (1, int(copy.logs[-1].block_number, 16))


def test_without_journals_no_signature_is_checked(copy: Copy) -> None:
    report = replayed(copy, journals=False)
    assert report.is_clean
    assert (report.journals, report.signatures, report.releases) == ((), 0, 0)


def test_nothing_at_all_is_a_clean_trail() -> None:
    report = Replay(deployment()).finish(End(0, bytes(32)))
    assert report.is_clean
    assert report.first_block is None
    assert report.last_block is None


def test_an_edited_access_is_named_by_its_number_and_place(copy: Copy) -> None:
    place = copy.accesses()[8]
    edit_an_outcome(copy)
    found = only(replayed(copy), Kind.WRONG_OUTCOME)
    assert found.sequence == 9
    assert found.transaction == from_hex(copy.logs[place].transaction_hash)
    assert found.block_number == int(copy.logs[place].block_number, 16)
    assert found.problem == "recorded as Allowed, decided FieldsExceeded"
    assert "access 9" in str(found)


def test_one_edit_is_not_found_again_in_every_later_call(copy: Copy) -> None:
    edit_an_outcome(copy)
    report = replayed(copy, end=copy.end, journals=False)
    assert [finding.kind for finding in report.findings] == [Kind.WRONG_OUTCOME, Kind.WRONG_HEAD]


@pytest.mark.parametrize(
    "invent",
    [
        invent_an_access_without_a_signature,
        invent_an_access_with_a_signature_of_ones_own,
        invent_an_access_with_the_signature_of_another_request,
    ],
)
def test_who_invents_an_access_is_named(copy: Copy, invent: Callable[[Copy], None]) -> None:
    invent(copy)
    report = replayed(copy, end=copy.end)
    (found,) = report.findings
    assert found.party == copy.city.parties.recorder.address
    assert found.sequence == 41
    assert to_hex(copy.city.parties.recorder.address) in str(found)


def test_an_invented_duplicate_is_named_too(copy: Copy) -> None:
    copy.entries = [entry for entry in copy.entries if entry.sequence != 1]
    found = replayed(copy).findings
    assert [(one.kind, one.sequence) for one in found] == [
        (Kind.UNSIGNED_ACCESS, 1),
        (Kind.UNSIGNED_ACCESS, 10),
    ]
    assert {one.party for one in found} == {copy.city.parties.recorder.address}


def test_a_release_without_a_record_names_the_journal(copy: Copy) -> None:
    claimed = ReleaseEntry(b"\x05" * 32, 3, None, None, True)
    replay = Replay(
        deployment(),
        [MemoryJournal(copy.entries), MemoryJournal([claimed], "keyholder 2")],
    )
    replay.feed(copy.logs)
    (found,) = replay.finish().findings
    assert (found.kind, found.source) == (Kind.RELEASE_WITHOUT_RECORD, "keyholder 2")
    assert to_hex(claimed.access) in found.problem


def test_a_keyholders_journal_alone_shows_its_releases_but_no_signature(copy: Copy) -> None:
    released = [
        msgspec.structs.replace(entry, signature=None) for entry in copy.entries if entry.released
    ]
    replay = Replay(
        deployment(),
        [MemoryJournal(copy.entries), MemoryJournal(released, "keyholder 1")],
    )
    replay.feed(copy.logs)
    report = replay.finish()
    assert report.is_clean
    assert report.releases == 2 * len(released)


def test_a_faulty_journal_is_a_finding_and_the_rest_is_compared(copy: Copy) -> None:
    """S18: one broken line of one journal kept everything else from being looked at."""
    other = [entry for entry in copy.entries if entry.sequence > 20]
    torn = MemoryJournal([JournalFault("line 7: no entry"), *other], "gateway B")
    own = MemoryJournal([entry for entry in copy.entries if entry.sequence <= 20], "gateway A")
    edit_an_outcome(copy)
    replay = Replay(deployment(), [own, torn])
    replay.feed(copy.logs)
    report = replay.finish()
    faults = [
        (finding.problem, finding.source)
        for finding in report.findings
        if finding.kind is Kind.JOURNAL_FAULT
    ]
    assert faults == [("line 7: no entry", "gateway B")]
    assert kinds(report) >= {Kind.JOURNAL_FAULT, Kind.WRONG_OUTCOME, Kind.WRONG_HEAD}
    assert report.signatures == 40


def test_an_entry_that_a_journal_gives_too_late_is_a_finding(copy: Copy) -> None:
    copy.entries.append(copy.entries.pop(3))
    report = replayed(copy)
    assert kinds(report) == {Kind.JOURNAL_FAULT, Kind.UNSIGNED_ACCESS}
    assert "comes after access" in only(report, Kind.JOURNAL_FAULT).problem


def test_findings_are_counted_beyond_what_is_kept(copy: Copy) -> None:
    for place in copy.accesses():
        copy.edit_data(place, OUTCOME, Outcome.TOO_SOON)
    replay = Replay(deployment(), most_findings=3)
    replay.feed(copy.logs)
    report = replay.finish()
    assert len(report.findings) == 3
    assert report.finding_count > 40


def test_logs_of_other_contracts_leave_gaps_where_they_are_expected(copy: Copy) -> None:
    place = copy.accesses()[0]
    block = copy.logs[place].block_number
    for at in range(place, len(copy.logs)):
        if copy.logs[at].block_number == block:
            copy.edit(at, log_index=hex(int(copy.logs[at].log_index, 16) + 5))
    assert kinds(replayed(copy)) == {Kind.MISSING_LOG}
    replay = Replay(deployment(), other_contracts=True)
    replay.feed(copy.logs)
    assert replay.finish().is_clean


def test_the_id_of_an_access_is_the_struct_hash_of_its_request(copy: Copy) -> None:
    event = access_of(copy, 3)
    request = AccessRequest(
        event.consumer, event.basis, event.item, event.fields, event.nonce, event.deadline
    )
    assert access_id(event) == struct_hash(request)
    assert digest_of(access_id(event), DOMAIN) == digest(request, DOMAIN)


def test_memory_is_flat_in_the_number_of_accesses() -> None:
    def peak(calls: int) -> int:
        city = make_city(1)
        replay = Replay(deployment(), most_findings=10)
        tracemalloc.start()
        for call in range(calls):
            del city.trail.logs[:], city.trail.entries[:]
            city.record([city.request(call * 256 + n) for n in range(256)])
            replay.feed(city.trail.logs)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    # A hundred bytes for each word of 256 nonces are kept, nothing for the accesses themselves. The
    # least of three: a chain that other tests share may be mining in this process.
    few, many = (min(peak(calls) for _ in range(3)) for calls in (8, 24))
    assert many - few < 16 * 256 * 10
