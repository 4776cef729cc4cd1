"""The counting of a fault run finds what is planted in a history in which nothing is wrong.

Without this, four zeros in a report would mean nothing.
"""

import msgspec
import pytest

from ledger.chain.events import Accessed, Event, Granted, Revoked, SubjectFrozen, SubjectUnfrozen
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.events.identifiers import access_id
from ledger.hexstr import keccak256
from ledger.model import Outcome
from scripts.faults.controls import Control
from scripts.faults.counting import MUST_BE_ZERO, Counts, count
from scripts.faults.told import PlayReport, ToldAccess, ToldAct
from tests.support.trails import CONTRACTS, City, make_city

ELSEWHERE = keccak256(b"elsewhere")


class History:
    """Three people grant; the first is read twice, then revokes and is denied; the second freezes for a while."""

    def __init__(self) -> None:
        city = make_city(people=3)
        self.city: City = city
        self.first, self.second, self.third = city.authorizations
        granted = {one.authorization: one for one in self._decoded() if isinstance(one, Granted)}
        subject, signer = granted[self.first].subject, granted[self.first].signer_hash
        other, other_signer = granted[self.second].subject, granted[self.second].signer_hash
        city.record([city.request(1), city.request(2), city.request(3, basis=1)])
        city.trail.next_block()
        city.trail.emit(Revoked, self.first, subject, signer)
        liftable = city.trail.block.timestamp + 3600
        city.trail.emit(SubjectFrozen, other, other_signer, liftable)
        city.record([city.request(4), city.request(5, basis=1), city.request(6, basis=2)])
        city.trail.next_block()
        city.trail.emit(SubjectUnfrozen, other, other_signer)
        city.record([city.request(7, basis=1)])
        self.events: list[Event] = self._decoded()
        self.released = [access_id(access) for access in self.accesses if not access.outcome]
        revocation = next(event for event in self.events if isinstance(event, Revoked))
        self.told = PlayReport(
            asked=tuple(access_id(access) for access in self.accesses),
            attempts=9,
            accesses=tuple(_told(access) for access in self.accesses),
            acts=(ToldAct("revocation", self.first, revocation.transaction, 20.0, 21.0),),
            failures={},
            unanswered=0,
            unopened=(),
        )

    @property
    def accesses(self) -> list[Accessed]:
        return [event for event in self.events if isinstance(event, Accessed)]

    def access(self, nonce: int) -> Accessed:
        return next(access for access in self.accesses if access.nonce & 0xFF == nonce)

    def tell(self, nonce: int, **changes: object) -> None:
        """Tell something else of an access than what is on chain."""
        id_ = access_id(self.access(nonce))
        told = [
            msgspec.structs.replace(access, **changes) if access.access == id_ else access
            for access in self.told.accesses
        ]
        self.told = msgspec.structs.replace(self.told, accesses=tuple(told))

    def put(self, changed: Accessed, nonce: int) -> None:
        self.events[self.events.index(self.access(nonce))] = changed

    def wrongs(self) -> dict[str, int]:
        counts = count(self.told, self.events, self.released, findings=0)
        return {name: number for name, number in counts.wrongs.items() if number}

    def _decoded(self) -> list[Event]:
        return EventDecoder(CONTRACTS).decode_all(self.city.trail.logs)


def _told(event: Accessed) -> ToldAccess:
    return ToldAccess(
        access=access_id(event),
        basis=event.basis,
        sequence=event.sequence,
        outcome=int(event.outcome),
        transaction=event.transaction,
        released=event.outcome is Outcome.ALLOWED,
        first_sent=float(event.sequence),
        answered=event.sequence + 0.5,
    )


@pytest.fixture
def history() -> History:
    return History()


def test_a_history_in_which_nothing_is_wrong(history: History) -> None:
    counts = count(history.told, history.events, history.released, findings=0)
    assert counts.is_good
    outcomes = [access.outcome for access in history.accesses]
    assert outcomes == [
        *(Outcome.ALLOWED, Outcome.ALLOWED, Outcome.ALLOWED),
        *(Outcome.REVOKED, Outcome.FROZEN, Outcome.ALLOWED, Outcome.ALLOWED),
    ]
    assert (counts.requests, counts.attempts, counts.acts) == (7, 9, 1)
    assert (counts.released, counts.recorded, counts.denied) == (5, 7, 2)


def test_an_access_that_was_acknowledged_and_is_gone(history: History) -> None:
    history.events.remove(history.access(4))
    assert history.wrongs() == {"acknowledged_lost": 1}


def test_an_access_that_came_out_otherwise_than_it_was_told(history: History) -> None:
    history.tell(4, sequence=77)
    assert history.wrongs() == {"acknowledged_lost": 1}


def test_an_act_that_was_acknowledged_and_is_gone(history: History) -> None:
    act = ToldAct("grant", ELSEWHERE, ELSEWHERE, 1.0, 2.0)
    history.told = msgspec.structs.replace(history.told, acts=(*history.told.acts, act))
    assert history.wrongs() == {"acknowledged_lost": 1}


def test_keys_that_left_for_what_was_never_recorded(history: History) -> None:
    history.released.append(ELSEWHERE)
    assert history.wrongs() == {"released_unrecorded": 1}


def test_keys_that_left_for_what_was_denied(history: History) -> None:
    history.put(msgspec.structs.replace(history.access(7), outcome=Outcome.USES_EXHAUSTED), nonce=7)
    history.tell(7, outcome=int(Outcome.USES_EXHAUSTED), released=False)
    assert history.wrongs() == {"released_unrecorded": 1}


def test_data_that_was_handed_out_without_the_keyholders_saying_so(history: History) -> None:
    history.events.remove(history.access(7))
    history.released.remove(history.told.accesses[-1].access)
    assert history.wrongs() == {"acknowledged_lost": 1, "released_unrecorded": 1}


def test_a_request_that_was_counted_twice(history: History) -> None:
    again = msgspec.structs.replace(history.access(6), sequence=8, log_index=9)
    history.events.append(again)
    assert history.wrongs() == {"second_uses": 1}


def test_a_recognized_duplicate_is_no_second_use(history: History) -> None:
    again = msgspec.structs.replace(
        history.access(6), sequence=8, log_index=9, outcome=Outcome.DUPLICATE_REQUEST
    )
    history.events.append(again)
    assert history.wrongs() == {}


def test_a_request_that_was_told_under_two_numbers(history: History) -> None:
    told = history.told.accesses
    other = msgspec.structs.replace(told[0], sequence=88)
    history.told = msgspec.structs.replace(history.told, accesses=(*told, other))
    assert history.wrongs() == {"acknowledged_lost": 1, "second_uses": 1}


@pytest.mark.parametrize("nonce", [4, 5], ids=["revoked", "frozen"])
def test_an_access_that_was_allowed_behind_a_revocation_or_a_freeze(
    history: History, nonce: int
) -> None:
    history.put(
        msgspec.structs.replace(history.access(nonce), outcome=Outcome.ALLOWED), nonce=nonce
    )
    history.tell(nonce, outcome=0)
    assert history.wrongs() == {"allowed_after_revocation": 1}


def test_data_that_was_handed_out_and_is_denied_behind_the_revocation(history: History) -> None:
    """What check-then-serve does: the data is out, and the record says Revoked."""
    history.tell(4, released=True)
    assert history.wrongs() == {"allowed_after_revocation": 1, "released_unrecorded": 1}


def test_an_access_that_was_asked_for_after_the_receipt_of_the_revocation(history: History) -> None:
    history.tell(2, first_sent=21.5)
    assert history.wrongs() == {"allowed_after_revocation": 1}


def test_a_release_that_a_revocation_or_a_freeze_stopped_is_no_wrong(history: History) -> None:
    history.tell(2, released=False, stopped=True, answered=20.5)
    history.tell(3, released=False, stopped=True)
    assert history.wrongs() == {}


def test_a_release_that_was_said_to_be_stopped_and_nobody_did(history: History) -> None:
    history.tell(6, released=False, stopped=True)
    assert history.wrongs() == {"misled": 1}


def test_a_release_that_was_said_to_be_stopped_before_the_revocation_began(
    history: History,
) -> None:
    history.tell(2, released=False, stopped=True, answered=19.5)
    assert history.wrongs() == {"misled": 1}


def test_a_release_that_was_said_to_be_stopped_after_the_freeze_had_ended(history: History) -> None:
    history.tell(7, released=False, stopped=True)
    assert history.wrongs() == {"misled": 1}


def test_what_was_never_answered_or_opened_or_is_found_by_the_replay(history: History) -> None:
    told = msgspec.structs.replace(history.told, unanswered=1, unopened=("keys",), misled=("401",))
    counts = count(told, history.events, history.released, findings=3)
    assert (counts.unanswered, counts.unopened, counts.misled, counts.findings) == (1, 1, 1, 3)
    assert not counts.is_good


@pytest.mark.parametrize("name", MUST_BE_ZERO)
def test_each_of_what_must_be_zero_is_not_good_otherwise(name: str) -> None:
    assert Counts().is_good
    assert not Counts(**{name: 1}).is_good


def test_a_control_that_shows_nothing_is_not_good() -> None:
    shows = ("acknowledged_lost", "released_unrecorded")
    assert not Control("control", shows, Counts(acknowledged_lost=1)).is_good
    assert Control("control", shows, Counts(acknowledged_lost=1, released_unrecorded=1)).is_good
