"""Replay judges each use that a regulator gave back: was it this access, was it not served, what is the last use."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

import msgspec
import pytest

from ledger.chain.events import Accessed, AccessVoided, Block, Revoked
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.events.identifiers import access_id
from ledger.crypto.secret_sharing import Roster
from ledger.crypto.signatures import verify_signature
from ledger.hexstr import keccak256
from ledger.model import Outcome, VoidGround
from ledger.replay.engine import Replay
from ledger.replay.journal_check import Item, JournalEnd, ReleaseEntry
from ledger.replay.releases import Judged
from ledger.replay.report import Kind, ReplayReport, Voidable
from ledger.state import ImpossibleEventError
from ledger.typed_data import AccessRequest
from tests.support.copies import MemoryJournal
from tests.support.trails import (
    CONTRACTS,
    START,
    City,
    block_at,
    deployment,
    entry_of,
    make_city,
)

WINDOW = 3_600
MONTH = 30 * 86_400
AGE = 60
AFTER = WINDOW + AGE + 1
"""Seconds after which nothing can be written of a release any more."""
KEYHOLDERS = tuple(keccak256(b"keyholder %d" % number)[:20] for number in range(8))
ROSTER = Roster(1, 2, KEYHOLDERS[:3])


@dataclass
class Case:
    """A trail in which each block has its number as its second, and what three keyholders noted."""

    city: City
    requests: int = 0
    noted: list[list[ReleaseEntry]] = field(default_factory=lambda: [[] for _ in KEYHOLDERS])

    def go_to(self, second: int) -> None:
        """Go to a block, so that the next call of `record` is in the one after it."""
        trail = self.city.trail
        trail.block, trail.log_index = block_at(second), 0
        trail.next_transaction()

    def later(self) -> None:
        """Go on until what was recorded is over, and keyholders have written what they had to."""
        self.go_to(self.city.trail.block.number + AFTER)

    @property
    def newest(self) -> Block:
        """The chain's newest block: long after all that was recorded."""
        return block_at(self.city.trail.block.number + AFTER + 1)

    def invent(self, *bases: int) -> None:
        """Record a use of each of these authorizations that nobody signed."""
        self.city.invent([self.request(basis) for basis in bases])

    def use(self, *bases: int) -> None:
        """Record a use of each of these authorizations that the bank signed."""
        self.city.record([self.request(basis) for basis in bases])

    def request(self, basis: int, fields: int = 1) -> AccessRequest:
        self.requests += 1
        return self.city.request(self.requests, basis=basis, fields=fields)

    def release(
        self,
        sequence: int,
        *holders: int,
        signature: bytes | None = None,
        epochs: tuple[int, ...] = (),
    ) -> None:
        """Let keyholders release an access, whether the gateway says so or not."""
        event = self.access(sequence)
        signed = entry_of(event, self.city.parties.bank)
        judged = Judged(event.block.timestamp, event.block.number, event.block.hash)
        line = ReleaseEntry(
            access_id(event),
            sequence,
            None,
            signature or signed.signature,
            True,
            judged,
            signed.key,
            epochs=epochs,
        )
        for holder in holders:
            self.noted[holder].append(line)

    def keep_back(self, *sequences: int) -> None:
        """Let the gateway's journal say that accesses were not handed out."""
        entries = self.city.trail.entries
        entries[:] = [
            msgspec.structs.replace(entry, released=False, key=None)
            if entry.sequence in sequences
            else entry
            for entry in entries
        ]

    def access(self, sequence: int) -> Accessed:
        for log in self.city.trail.logs:
            event = EventDecoder(CONTRACTS).decode(log)
            if isinstance(event, Accessed) and event.sequence == sequence:
                return event
        raise LookupError(sequence)

    def void(
        self,
        sequence: int,
        basis: int = 0,
        last_use: int = 0,
        ground: VoidGround = VoidGround.UNSIGNED,
    ) -> None:
        """Give a use back, in the next block; `last_use` is a block's second, zero for never."""
        self.city.trail.next_block()
        self.city.trail.emit(
            AccessVoided,
            self.city.authorizations[basis],
            sequence,
            self.city.parties.regulator.address,
            START + last_use if last_use else 0,
            int(ground),
            "nobody signed it",
        )

    def journals(self, *holders: int, until: Block | None = None) -> list[MemoryJournal]:
        return [self.gateway(until), *(self.keyholder(n, until) for n in holders or (0, 1, 2))]

    def gateway(self, until: Block | None = None) -> MemoryJournal:
        """The gateway's journal up to a block; without one up to the newest."""
        at = until or self.newest
        recorder = self.city.parties.recorder.address
        return MemoryJournal([JournalEnd(at.number, at.hash, recorder), *self.city.trail.entries])

    def keyholder(self, number: int, until: Block | None = None) -> MemoryJournal:
        at = until or self.newest
        lines: list[Item] = [JournalEnd(at.number, at.hash), *self.noted[number]]
        return MemoryJournal(lines, f"keyholder {number}", KEYHOLDERS[number])

    def replayed(
        self,
        journals: Sequence[MemoryJournal] | None = None,
        rosters: Sequence[Roster] = (ROSTER,),
        *,
        voidable: Container[int] | None = None,
    ) -> ReplayReport:
        if journals is None:
            journals = self.journals()
        replay = Replay(deployment(release_window=WINDOW, head_age=AGE, rosters=rosters), journals)
        replay.feed(self.city.trail.logs)
        return replay.finish(
            self.city.trail.end,
            last_block=self.newest.number,
            blocks=lambda numbers: {number: block_at(number) for number in numbers},
            voidable=voidable,
        )

    def found(self) -> list[tuple[Kind, int | None]]:
        return [(finding.kind, finding.sequence) for finding in self.replayed().findings]


@pytest.fixture
def case() -> Case:
    """Two authorizations of three uses each; the first access is recorded in second 10."""
    made = Case(make_city(2, max_uses=3))
    made.go_to(9)
    return made


def test_200_burnt_one_use_authorizations_are_given_back_and_can_be_used() -> None:
    """S6: a recorder without one signature used up 200 people's authorizations in one transaction."""
    case = Case(make_city(200, max_uses=1, min_interval=MONTH))
    case.go_to(9)
    case.invent(*range(200))
    unsigned = case.replayed().findings
    assert [(one.kind, one.sequence) for one in unsigned] == [
        (Kind.UNSIGNED_ACCESS, number) for number in range(1, 201)
    ]
    assert all("no use was given back" in one.problem for one in unsigned)
    case.later()
    for basis in range(200):
        case.void(basis + 1, basis)
    case.use(*range(200))
    report = case.replayed()
    assert report.findings == ()
    assert (report.voids, report.unchecked_voids) == (200, 0)
    assert report.void_check == "200 uses given back"
    assert [outcome.outcome for outcome in report.outcomes] == [
        Outcome.ALLOWED
    ]  # in spite of the interval


def test_a_use_comes_back_with_the_last_use_before_it() -> None:
    case = Case(make_city(1, max_uses=2, min_interval=MONTH))
    case.go_to(9)
    case.use(0)
    case.go_to(9 + MONTH)
    case.invent(0)
    case.later()
    case.void(2, last_use=10)
    case.use(0)
    report = case.replayed()
    assert report.findings == ()
    assert [outcome.outcome for outcome in report.outcomes] == [Outcome.ALLOWED]


@pytest.mark.parametrize("last_use", [0, 9, 19])
def test_another_last_use_than_that_which_stands_is_a_finding(case: Case, last_use: int) -> None:
    case.use(0)
    case.go_to(19)
    case.invent(0)
    case.later()
    case.void(2, last_use=last_use)
    (found,) = case.replayed().findings
    assert (found.kind, found.sequence) == (Kind.WRONG_VOID, 2)
    assert found.party == case.city.parties.regulator.address
    assert f"the last that stands was {START + 10}" in found.problem


def test_the_last_use_stays_when_a_later_access_stands(case: Case) -> None:
    case.invent(0)
    case.go_to(19)
    case.use(0)
    case.later()
    case.void(1, last_use=20)
    assert case.found() == []


def test_accesses_that_were_voided_before_do_not_stand(case: Case) -> None:
    case.use(0)
    case.go_to(19)
    case.invent(0)
    case.go_to(29)
    case.invent(0)
    case.later()
    case.void(2, last_use=30)
    case.void(3, last_use=10)
    assert case.found() == []


def test_an_access_of_a_foreign_authorization_is_a_finding(case: Case) -> None:
    case.use(0)
    case.invent(1)
    case.later()
    case.void(2, basis=0)
    found = case.replayed().findings
    assert {(one.kind, one.sequence) for one in found} == {
        (Kind.WRONG_VOID, 2),
        (Kind.UNSIGNED_ACCESS, 2),
    }
    assert "was no allowed access of" in found[-1].problem


@pytest.mark.parametrize("first", [0, 1])
def test_a_void_by_the_number_of_anothers_access_takes_nothing_from_that_one(
    case: Case, first: int
) -> None:
    """The other's use is given back as if the foreign void were not there, before it or after it."""
    case.use(0)
    case.invent(1)
    case.later()
    voidable = [(one.sequence, one.ground) for one in case.replayed(voidable=[2]).voidable]
    assert voidable == [(2, VoidGround.UNSIGNED)]
    if first == 0:
        case.void(2, basis=0)
        again = case.replayed(voidable=[2]).voidable
        assert [(one.sequence, one.ground) for one in again] == voidable
    case.void(2, basis=1)
    if first == 1:
        case.void(2, basis=0)
    report = case.replayed()
    assert [(finding.kind, finding.sequence) for finding in report.findings] == [
        (Kind.WRONG_VOID, 2)
    ]
    assert "was no allowed access of" in report.findings[0].problem
    assert (report.voids, report.unchecked_voids) == (2, 0)


def test_a_denied_access_is_a_finding(case: Case) -> None:
    case.use(0)
    case.city.record([case.request(0, fields=1 << 12)])
    case.void(2)
    assert case.found() == [(Kind.WRONG_VOID, 2)]


@pytest.mark.parametrize("sequence", [0, 2, 1 << 200])
def test_no_contract_can_have_voided_an_access_that_is_not_there(case: Case, sequence: int) -> None:
    case.use(0)
    with pytest.raises(ImpossibleEventError, match="no such access"):
        case.void(sequence)


def test_no_contract_can_have_voided_the_same_access_twice(case: Case) -> None:
    case.invent(0, 0)
    case.void(1)
    with pytest.raises(ImpossibleEventError, match="voided before"):
        case.void(1)


def test_no_contract_can_have_given_back_more_uses_than_the_person_gave(case: Case) -> None:
    case.invent(0, 1, 1)
    case.void(1)
    with pytest.raises(ImpossibleEventError, match="no use to give back"):
        case.void(2)
    for number in (2, 3, 4):
        case.invent(0)
        if number < 4:
            case.void(number + 2, last_use=0)
    with pytest.raises(ImpossibleEventError, match="no use to give back"):
        case.void(6)  # one was used, and as many were given back as the person gave


def test_giving_back_what_the_consumer_signed_is_a_finding(case: Case) -> None:
    """Bank and regulator together: the use is had and given back."""
    case.use(0)
    case.later()
    case.void(1)
    (found,) = case.replayed().findings
    assert (found.kind, found.sequence) == (Kind.WRONG_VOID, 1)
    assert "a gateway's journal has the consumer's signature" in found.problem


def test_a_gateway_that_drops_its_line_while_a_keyholder_has_the_release_is_found(
    case: Case,
) -> None:
    case.invent(0)
    case.release(1, 2)
    report = case.replayed()
    (found,) = report.findings
    assert (found.kind, found.sequence, found.source) == (Kind.MISSING_ENTRY, 1, "keyholder 2")
    assert found.party == case.city.parties.recorder.address
    assert report.signatures == 1  # the keyholder kept it: nobody can say that the bank did not ask


def test_giving_back_what_a_keyholder_released_is_a_finding_though_no_gateway_has_a_line(
    case: Case,
) -> None:
    case.invent(0)
    case.release(1, 0)
    case.later()
    case.void(1)
    found = case.replayed().findings
    assert [one.kind for one in found] == [Kind.MISSING_ENTRY, Kind.WRONG_VOID]
    assert "a keyholder's journal has a release" in found[1].problem


def test_a_signature_that_is_not_the_consumers_is_none(case: Case) -> None:
    case.invent(0)
    other = entry_of(case.access(1), case.city.parties.recorder)
    case.city.trail.entries.append(other)
    case.later()
    case.void(1)
    assert case.found() == [(Kind.WRONG_SIGNATURE, 1)]


def test_never_handed_out_is_given_back_after_the_window_only(case: Case) -> None:
    case.use(0, 0)
    case.keep_back(1, 2)
    case.release(1, 0)
    case.go_to(9 + WINDOW)
    case.void(1, last_use=10, ground=VoidGround.NEVER_HANDED_OUT)
    (found,) = case.replayed().findings
    assert "the release window was open, for another 0 s" in found.problem
    case.void(2, ground=VoidGround.NEVER_HANDED_OUT)
    assert case.found() == [(Kind.WRONG_VOID, 1)]


def test_what_enough_keyholders_released_was_handed_out(case: Case) -> None:
    case.use(0)
    case.release(1, 0, 2)
    case.keep_back(1)
    case.later()
    case.void(1, ground=VoidGround.NEVER_HANDED_OUT)
    (found,) = case.replayed().findings
    assert (found.kind, found.sequence) == (Kind.WRONG_VOID, 1)
    assert "enough keyholders' journals have a release" in found.problem


def test_a_ground_that_the_journals_do_not_show_is_not_checked(case: Case) -> None:
    case.use(0)
    case.keep_back(1)
    case.invent(1)
    case.later()
    case.void(1, 0, ground=VoidGround.NEVER_HANDED_OUT)
    case.void(2, 1)
    gateway, *keyholders = case.journals()
    assert case.replayed().unchecked_voids == 0
    assert case.replayed([gateway, *keyholders[:2]]).unchecked_voids == 0  # 3 - 2 + 1 are enough
    for journals in ([], [gateway], [gateway, keyholders[0]]):
        report = case.replayed(journals)
        assert (report.findings, report.unchecked_voids) == ((), 2)
        assert "NOT CHECKED: why, of 2" in report.void_check
    assert case.replayed(rosters=()).unchecked_voids == 2
    assert case.replayed(keyholders).unchecked_voids == 1  # no gateway was asked for a signature


def test_what_may_be_given_back_is_told_with_last_use_and_ground(case: Case) -> None:
    case.use(0)
    case.go_to(19)
    case.invent(0, 0)
    case.go_to(29)
    case.use(1)
    case.release(4, 0, 1)
    case.use(1)
    case.release(5, 0)
    case.keep_back(1, 4, 5)
    case.go_to(40 + WINDOW)
    case.invent(1)
    first, second = case.city.authorizations
    last = START + 41 + WINDOW
    told = case.replayed(voidable=range(1, 99)).voidable
    expected = [
        Voidable(1, first, START + 20, START + 20, VoidGround.NEVER_HANDED_OUT),
        Voidable(2, first, START + 20, START + 20, VoidGround.UNSIGNED),
        Voidable(3, first, START + 20, 0, VoidGround.UNSIGNED),
        Voidable(5, second, last, last, VoidGround.NEVER_HANDED_OUT),
        Voidable(6, second, last, START + 30, VoidGround.UNSIGNED),
    ]
    assert sorted(told, key=lambda one: one.sequence) == expected
    (only,) = case.replayed(voidable=[3]).voidable
    assert only == Voidable(3, first, START + 20, START + 20, VoidGround.UNSIGNED)  # 2 stands
    case.later()
    bases = {first: 0, second: 1}
    for one in told:
        last_use = one.last_use - START if one.last_use else 0
        case.void(one.sequence, bases[one.authorization], last_use, one.ground)
    report = case.replayed(voidable=range(1, 99))
    assert (report.findings, report.voidable) == ((), ())


def test_nothing_of_a_revoked_authorization_and_nothing_beyond_its_uses_may_be_given_back(
    case: Case,
) -> None:
    case.invent(0, 0, 1)
    case.later()
    for number in (1, 2):
        case.void(number, last_use=10 if number == 1 else 0)
    case.later()
    case.invent(0, 0)
    told = [one.sequence for one in case.replayed(voidable=range(1, 99)).voidable]
    assert sorted(told) == [3, 4]  # three uses, two were given back: one more, not two
    subject = keccak256(b"subject" + (2).to_bytes(8, "big"))
    signer = keccak256(subject[:20])
    case.city.trail.emit(Revoked, case.city.authorizations[1], subject, signer)
    assert [one.sequence for one in case.replayed(voidable=range(1, 99)).voidable] == [4]


def test_a_trail_that_jumps_to_a_high_number_costs_no_memory_and_no_time(case: Case) -> None:
    replay = Replay(deployment())
    case.use(0, 0)
    logs = list(case.city.trail.logs)
    case.city.trail.state.sequence = (1 << 48) - 5
    case.use(0)
    replay.feed([*logs, *case.city.trail.logs[len(logs) :]])
    report = replay.finish(voidable=range(1, 99))
    assert Kind.MISSING_ACCESS in {finding.kind for finding in report.findings}


def voidable(case: Case, journals: Sequence[MemoryJournal], *rosters: Roster) -> list[int]:
    report = case.replayed(journals, rosters or (ROSTER,), voidable=range(1, 99))
    return sorted(one.sequence for one in report.voidable)


# How far journals reach


@pytest.mark.parametrize("until", [9, 10, 10 + WINDOW, 10 + WINDOW + AGE])
def test_a_journal_is_silent_only_about_what_was_over_when_it_was_written(
    case: Case, until: int
) -> None:
    case.use(0)
    case.keep_back(1)
    case.invent(1)
    stale = block_at(until)
    journals = case.journals()
    assert voidable(case, journals) == [1, 2]
    assert voidable(case, case.journals(until=stale)) == []
    # One stale copy of three leaves two: enough. Two do not.
    _, first, second, _ = case.journals(until=stale)
    assert voidable(case, [journals[0], first, *journals[2:]]) == [1, 2]
    assert voidable(case, [journals[0], first, second, journals[3]]) == []


def test_a_stale_copy_of_the_gateways_journal_does_not_show_that_nobody_signed(case: Case) -> None:
    """An access between fetching the journal and replaying has no line either, and is being served."""
    case.invent(0)
    _, *keyholders = case.journals()
    stale = case.gateway(until=block_at(9))
    (found,) = case.replayed([stale, *keyholders], voidable=range(1, 99)).voidable
    assert found.ground is VoidGround.NEVER_HANDED_OUT  # as the keyholders say, whatever it says
    (found,) = case.replayed([case.gateway(), *keyholders], voidable=range(1, 99)).voidable
    assert found.ground is VoidGround.UNSIGNED


def test_journals_that_do_not_say_how_far_they_go_show_nothing(case: Case) -> None:
    case.invent(0)
    journals = case.journals()
    for journal in journals:
        journal.kept = [one for one in journal.kept if not isinstance(one, JournalEnd)]
        journal.owner = journal.owner or case.city.parties.recorder.address
    assert voidable(case, journals) == []


def test_a_block_that_is_not_on_chain_shows_nothing(case: Case) -> None:
    case.invent(0)
    forged = msgspec.structs.replace(case.newest, hash=bytes(32))
    assert voidable(case, case.journals(until=forged)) == []
    beyond = block_at(case.newest.number + 1)
    assert voidable(case, case.journals(until=beyond)) == []


def test_the_newest_release_tells_how_far_a_journal_goes(case: Case) -> None:
    case.use(0)
    case.keep_back(1)
    case.later()
    case.use(1)
    case.release(2, 0, 1, 2)
    journals = case.journals(until=block_at(9))
    assert voidable(case, journals) == [1]


def test_without_a_node_a_blocks_time_is_that_of_the_last_one_with_events(case: Case) -> None:
    case.use(0)
    case.keep_back(1)
    case.later()
    case.void(1, ground=VoidGround.NEVER_HANDED_OUT)
    at = case.city.trail.block

    def unchecked(until: Block) -> int:
        journals = case.journals(until=until)
        replay = Replay(
            deployment(release_window=WINDOW, head_age=AGE, rosters=(ROSTER,)), journals
        )
        replay.feed(case.city.trail.logs)
        return replay.finish().unchecked_voids

    assert unchecked(at) == 0
    assert unchecked(block_at(at.number - 1)) == 1


def test_what_nobody_signed_and_was_given_back_in_its_window_is_shown_after_it_only(
    case: Case,
) -> None:
    """Keyholders release it no more, so it is no fault; nothing shows it before the window is over."""
    case.invent(0)
    case.void(1)
    early = case.replayed(case.journals(until=block_at(10 + WINDOW)))
    assert (early.findings, early.unchecked_voids) == ((), 1)
    report = case.replayed()
    assert (report.findings, report.unchecked_voids) == ((), 0)


def test_what_the_gateway_says_was_handed_out_is_not_given_back(case: Case) -> None:
    """The keyholders' journals are empty: they lie, or are not all that there is."""
    case.use(0)
    case.later()
    assert voidable(case, case.journals()) == []
    case.void(1, ground=VoidGround.NEVER_HANDED_OUT)
    (found,) = case.replayed().findings
    assert "a gateway's journal says that it was handed out" in found.problem


# Whose journals


def test_one_keyholders_journal_counts_once_however_often_it_is_handed_over(case: Case) -> None:
    case.invent(0)
    once = case.keyholder(0)
    assert voidable(case, [case.gateway(), once, once, once]) == []
    assert voidable(case, [case.gateway(), once, case.keyholder(1)]) == [1]


def test_a_journal_of_nobody_in_the_roster_shows_no_silence(case: Case) -> None:
    case.invent(0)
    assert voidable(case, case.journals(0, 5, 6)) == []
    unnamed = case.journals()
    for journal in unnamed[1:]:
        journal.owner = None
    assert voidable(case, unnamed) == []


def test_each_epoch_has_to_be_silent(case: Case) -> None:
    case.invent(0)
    later = Roster(2, 2, KEYHOLDERS[3:6])
    assert voidable(case, case.journals(0, 1, 2), ROSTER, later) == []
    assert voidable(case, case.journals(3, 4, 5), ROSTER, later) == []
    assert voidable(case, case.journals(0, 1, 3, 4), ROSTER, later) == [1]
    # 3 of 5: three have to be silent, and retired ones do not count for it.
    five = Roster(2, 3, (*KEYHOLDERS[:1], *KEYHOLDERS[3:7]))
    assert voidable(case, case.journals(0, 1, 2, 3), ROSTER, five) == []
    assert voidable(case, case.journals(0, 1, 3, 4), ROSTER, five) == [1]


def test_releases_count_in_the_epochs_that_they_name(case: Case) -> None:
    """Two of a former roster of two made no key of the present one, which takes three."""
    case.use(0)
    case.keep_back(1)
    case.release(1, 0, 1, epochs=(2,))
    case.later()
    five = Roster(2, 3, (*KEYHOLDERS[:2], *KEYHOLDERS[3:6]))
    journals = case.journals(0, 1, 3, 4, 5)
    assert voidable(case, journals, ROSTER, five) == [1]
    case.void(1, ground=VoidGround.NEVER_HANDED_OUT)
    report = case.replayed(journals, (ROSTER, five))
    assert (report.findings, report.unchecked_voids) == ((), 0)
    # A line that names none counts in each.
    for number in (0, 1):
        case.noted[number].clear()
    case.release(1, 0, 1)
    (found,) = case.replayed(case.journals(0, 1, 3, 4, 5), (ROSTER, five)).findings
    assert "enough keyholders' journals have a release" in found.problem


def test_unsigned_needs_the_journal_of_the_gateway_that_recorded_it(case: Case) -> None:
    case.invent(0)
    other = case.gateway()
    other.kept = [JournalEnd(case.newest.number, case.newest.hash, KEYHOLDERS[7])]
    _, *keyholders = case.journals()

    def ground(*gateways: MemoryJournal) -> VoidGround:
        report = case.replayed([*gateways, *keyholders], voidable=range(1, 99))
        return report.voidable[0].ground

    assert ground(other) is VoidGround.NEVER_HANDED_OUT
    assert ground(other, case.gateway()) is VoidGround.UNSIGNED


# Lines that nobody signed


def forged(case: Case) -> bytes:
    signature = entry_of(case.access(1), case.city.parties.recorder).signature
    assert signature is not None
    return signature


def test_a_line_that_a_keyholder_forged_is_found_and_counts_for_nothing(case: Case) -> None:
    case.invent(0)
    case.release(1, 0, signature=forged(case))
    found = {finding.kind: finding for finding in case.replayed().findings}
    assert set(found) == {Kind.WRONG_SIGNATURE, Kind.UNSIGNED_ACCESS}
    wrong, unsigned = found[Kind.WRONG_SIGNATURE], found[Kind.UNSIGNED_ACCESS]
    assert (wrong.party, wrong.source) == (None, "keyholder 0")
    assert unsigned.party == case.city.parties.recorder.address
    assert voidable(case, case.journals()) == [1]


@pytest.mark.parametrize("at_first", [True, False])
def test_no_forged_line_makes_a_right_void_wrong(case: Case, at_first: bool) -> None:
    case.invent(0)
    if at_first:
        case.release(1, 0, 1, signature=forged(case))
        assert case.replayed().finding_count == 3
    case.later()
    case.void(1)
    if not at_first:
        case.release(1, 0, 1, signature=forged(case))
    report = case.replayed()
    assert [finding.kind for finding in report.findings] == [Kind.WRONG_SIGNATURE] * 2
    assert report.finding_count == 2
    assert report.unchecked_voids == 0


def test_a_foreign_gateways_forged_line_is_not_the_recorders(case: Case) -> None:
    case.invent(0)
    line = entry_of(case.access(1), case.city.parties.recorder)
    foreign = MemoryJournal([line], "gateway B", KEYHOLDERS[7])
    found = {
        finding.kind: finding for finding in case.replayed([*case.journals(), foreign]).findings
    }
    assert found[Kind.WRONG_SIGNATURE].party is None
    assert found[Kind.UNSIGNED_ACCESS].party == case.city.parties.recorder.address


def test_a_forged_line_beside_a_right_one_changes_nothing_else(case: Case) -> None:
    case.use(0)
    case.release(1, 0)
    case.release(1, 1, signature=forged(case))
    (found,) = case.replayed().findings
    assert (found.kind, found.party, found.source) == (Kind.WRONG_SIGNATURE, None, "keyholder 1")


def test_a_forged_line_does_not_hide_the_right_one_of_a_repeated_request(case: Case) -> None:
    request = case.request(0)
    case.city.record([request])
    case.city.record([request])
    del case.city.trail.entries[1:]
    case.release(1, 0, signature=forged(case))
    case.noted[0] *= 2
    found = case.replayed().findings
    assert {(one.kind, one.party) for one in found} == {(Kind.WRONG_SIGNATURE, None)}
    assert case.replayed().signatures == 2


def test_equal_signatures_are_checked_once(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.use(0)
    case.release(1, 0, 1, 2)
    checks: list[bytes] = []

    def counted(digest: bytes, signature: bytes, signer: bytes) -> None:
        checks.append(signature)
        verify_signature(digest, signature, signer)

    monkeypatch.setattr("ledger.replay.journal_check.verify_signature", counted)
    assert case.replayed().is_clean
    assert len(checks) == 1
