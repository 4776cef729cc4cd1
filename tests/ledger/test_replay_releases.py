"""Replay judges each release again, at the block that the keyholder noted."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest

from ledger.chain.events import (
    ConsumerRestricted,
    RestrictionLifted,
    Revoked,
    SubjectFrozen,
    SubjectUnfrozen,
)
from ledger.hexstr import keccak256
from ledger.replay.engine import Replay
from ledger.replay.journal_check import ReleaseEntry
from ledger.replay.releases import Judged
from ledger.replay.report import Kind, ReplayReport
from tests.support.trails import (
    START,
    City,
    block_at,
    deployment,
    make_city,
)

WINDOW = 3_600
AGE = 60
SUBJECT = keccak256(b"subject" + (1).to_bytes(8, "big"))
SIGNER = keccak256(SUBJECT[:20])
DELAY = 3_600


@dataclass
class Journal:
    """A keyholder's."""

    lines: list[ReleaseEntry] = field(default_factory=list)
    name: str = "keyholder 1"
    owner: bytes | None = None

    @property
    def of_keyholder(self) -> bool:
        return self.name != "gateway"

    def entries(self) -> Iterable[ReleaseEntry]:
        return self.lines


@dataclass
class Case:
    """An access that was recorded in block 10, at second 10; each block has its number as its second."""

    city: City = field(default_factory=lambda: make_city(1))
    journal: Journal = field(default_factory=Journal)

    def __post_init__(self) -> None:
        self.go_to(9)
        self.city.record([self.city.request(1)])
        self.entry = self.city.trail.entries[0]

    def go_to(self, number: int) -> None:
        self.city.trail.block = block_at(number)
        self.city.trail.next_transaction()
        self.city.trail.log_index = 0

    def act(self, number: int, *acts: Callable[["Case"], None]) -> None:
        """Let something happen in a block."""
        self.go_to(number)
        for act in acts:
            act(self)

    def release(self, block: int, at: int | None = None, hash_: bytes | None = None) -> None:
        """A line of the keyholder's journal; its clock is that of the chain, unless told."""
        noted = block_at(block)
        judged = Judged(START + (block if at is None else at), block, hash_ or noted.hash)
        access, key = self.entry.access, self.entry.key
        self.journal.lines.append(
            ReleaseEntry(access, 1, None, None, released=True, judged=judged, key=key)
        )

    def replayed(self) -> ReplayReport:
        replay = Replay(
            deployment(release_window=WINDOW, head_age=AGE),
            [Journal(self.city.trail.entries, "gateway"), self.journal],
        )
        replay.feed(self.city.trail.logs)
        return replay.finish(self.city.trail.end)

    def found(self) -> list[Kind]:
        return [finding.kind for finding in self.replayed().findings]


@pytest.fixture
def case() -> Case:
    return Case()


def revoke(case: Case) -> None:
    case.city.trail.emit(Revoked, case.city.authorizations[0], SUBJECT, SIGNER)


def freeze(case: Case) -> None:
    case.city.trail.emit(SubjectFrozen, SUBJECT, SIGNER, case.city.trail.block.timestamp + DELAY)


def unfreeze(case: Case) -> None:
    case.city.trail.emit(SubjectUnfrozen, SUBJECT, SIGNER)


def restrict(case: Case, seconds: int = 100) -> None:
    until = case.city.trail.block.timestamp + seconds
    bank, regulator = case.city.parties.bank.address, case.city.parties.regulator.address
    case.city.trail.emit(ConsumerRestricted, bank, regulator, until, "odd")


def lift(case: Case) -> None:
    bank, regulator = case.city.parties.bank.address, case.city.parties.regulator.address
    case.city.trail.emit(RestrictionLifted, bank, regulator, "explained")


@pytest.mark.parametrize("act", [revoke, freeze, restrict])
def test_a_release_that_notes_a_block_from_an_act_on_is_a_finding(
    case: Case, act: Callable[[Case], None]
) -> None:
    for block in (10, 19, 20, 25):
        case.release(block)
    case.act(20, act)
    report = case.replayed()
    assert [finding.kind for finding in report.findings] == [Kind.STOPPED_RELEASE] * 2
    assert {finding.source for finding in report.findings} == {"keyholder 1"}
    assert {finding.sequence for finding in report.findings} == {1}
    assert report.releases == 5  # with the gateway's


def test_releases_before_an_act_and_after_it_was_taken_back_are_none(case: Case) -> None:
    case.act(20, freeze)
    case.act(30, unfreeze)
    case.act(40, restrict)
    case.act(45, lift)
    for block in (10, 15, 19, 30, 35, 39, 45, 50):
        case.release(block)
    assert case.found() == []


def test_a_restriction_that_ended_by_itself_is_no_finding_afterwards(case: Case) -> None:
    case.act(20, lambda case: restrict(case, 10))
    case.act(50, freeze, unfreeze)
    for block in (29, 30, 49):
        case.release(block)
    found = case.replayed().findings
    # Block 29 has no events: replay knows its time only from its neighbours and the line's own.
    assert [one.kind for one in found] == []
    case.release(20)
    assert case.found() == [Kind.STOPPED_RELEASE]


def test_a_line_of_long_after_an_act_that_notes_an_older_block_is_a_finding(case: Case) -> None:
    case.act(20, revoke)
    case.release(15, at=20 + AGE)
    assert case.found() == []
    case.release(15, at=20 + AGE + 1)
    assert case.found() == [Kind.STALE_RELEASE]


def test_a_clock_that_is_far_behind_the_noted_block_is_a_finding(case: Case) -> None:
    case.act(100, freeze, unfreeze)
    case.release(100, at=100 - AGE)
    assert case.found() == []
    case.release(100, at=100 - AGE - 1)
    assert case.found() == [Kind.STALE_RELEASE]


def test_a_release_before_the_access_was_recorded_is_a_finding(case: Case) -> None:
    case.release(9)
    assert case.found() == [Kind.STALE_RELEASE]


def test_a_release_after_the_window_is_a_finding_by_block_time_and_by_the_clock(
    case: Case,
) -> None:
    last = 10 + WINDOW
    case.act(last, freeze, unfreeze)
    case.act(last + 1, freeze, unfreeze)
    case.release(last)
    assert case.found() == []
    case.release(last + 1)
    assert case.found() == [Kind.LATE_RELEASE]
    case.journal.lines.clear()
    case.release(last - 5, at=last + AGE + 1)
    assert case.found() == [Kind.LATE_RELEASE]


def test_a_noted_block_that_is_not_on_chain_is_a_finding(case: Case) -> None:
    case.release(10, hash_=b"\x01" * 32)
    assert case.found() == [Kind.OTHER_BLOCK]


def test_judged_by_the_deployments_window_and_not_by_the_keyholders(case: Case) -> None:
    case.act(10 + 200, freeze, unfreeze)
    case.release(10 + 200)
    replay = Replay(
        deployment(release_window=199, head_age=AGE),
        [Journal(case.city.trail.entries, "gateway"), case.journal],
    )
    replay.feed(case.city.trail.logs)
    assert [finding.kind for finding in replay.finish().findings] == [Kind.LATE_RELEASE]
