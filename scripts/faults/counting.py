"""Holds what the driver was told, and what left the keyholders, against what is on the chain. Pure.

The chain's side is read from the node's logs alone, in their order; no gateway and no index is believed.
What was told is the driver's. So a gateway that forgets, invents or repeats shows here.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from ledger.chain.events import Accessed, Event, Granted, Revoked, SubjectFrozen, SubjectUnfrozen
from ledger.chain.events.identifiers import access_id
from ledger.model import Outcome
from scripts.faults.told import PlayReport

_NEVER: Final = float("inf")
Place = tuple[int, int]
"""Block number and log index: the order of the chain."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of a run.

    Attributes:
        requests: different requests that were made.
        attempts: times that they were sent.
        acts: grants, revocations and freezes that were acknowledged.
        released: accesses for which keys left a keyholder, or data reached the driver.
        recorded: accesses on chain.
        denied: of these, those that were not allowed.
        released_unrecorded: releases without an allowed access on chain.
        acknowledged_lost: what the driver was told is on chain, and is not.
        second_uses: uses beyond the first of one request, and requests told under two numbers.
        allowed_after_revocation: accesses that were let through although the revocation, or a freeze, was
            final before them: by the chain's order, or by the driver's clock.
        unanswered: requests and acts that never got a final answer.
        unopened: releases that the consumer could not open.
        misled: answers that told a caller to give up, of what worked when it was sent again; and releases
            that were said to be stopped although nobody revoked or froze.
        findings: what the independent replay found.
    """

    requests: int = 0
    attempts: int = 0
    acts: int = 0
    released: int = 0
    recorded: int = 0
    denied: int = 0
    released_unrecorded: int = 0
    acknowledged_lost: int = 0
    second_uses: int = 0
    allowed_after_revocation: int = 0
    unanswered: int = 0
    unopened: int = 0
    misled: int = 0
    findings: int = 0

    @property
    def wrongs(self) -> dict[str, int]:
        """The counts that must be zero, by name."""
        return {name: getattr(self, name) for name in MUST_BE_ZERO}

    @property
    def is_good(self) -> bool:
        """Whether everything that must be zero is."""
        return not any(self.wrongs.values())

    def __add__(self, other: "Counts") -> "Counts":
        names = self.__struct_fields__
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in names})


MUST_BE_ZERO: Final = (
    "released_unrecorded",
    "acknowledged_lost",
    "second_uses",
    "allowed_after_revocation",
    "unanswered",
    "unopened",
    "misled",
    "findings",
)


class Ledger:
    """The chain's events, ready to be looked up."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.accesses: list[tuple[bytes, Accessed]] = []
        self.transactions: set[bytes] = set()
        self.revoked: dict[bytes, Place] = {}
        """By authorization."""
        self._subject_of: dict[bytes, bytes] = {}
        self._frozen: dict[bytes, list[tuple[Place, bool]]] = defaultdict(list)
        for event in events:
            self._take(event)
        self.allowed = {id_ for id_, one in self.accesses if one.outcome is Outcome.ALLOWED}
        self.places: dict[bytes, list[Place]] = defaultdict(list)
        """Of each access, by id."""
        for id_, one in self.accesses:
            self.places[id_].append(place_of(one))

    def _take(self, event: Event) -> None:
        self.transactions.add(event.transaction)
        if isinstance(event, Accessed):
            self.accesses.append((access_id(event), event))
        elif isinstance(event, Granted):
            self._subject_of[event.authorization] = event.subject
        elif isinstance(event, Revoked):
            self.revoked[event.authorization] = place_of(event)
        elif isinstance(event, SubjectFrozen | SubjectUnfrozen):
            change = (place_of(event), isinstance(event, SubjectFrozen))
            self._frozen[event.subject].append(change)

    def stands(self, authorization: bytes, place: Place) -> bool:
        """Whether an authorization was neither revoked nor frozen just before a place."""
        if self.revoked.get(authorization, place) < place:
            return False
        changes = self._frozen.get(self._subject_of.get(authorization, b""), ())
        before = [frozen for at, frozen in changes if at < place]
        return not (before and before[-1])

    def freezes_after(self, authorization: bytes, place: Place) -> bool:
        """Whether the person froze at some time behind a place."""
        changes = self._frozen.get(self._subject_of.get(authorization, b""), ())
        return any(frozen for at, frozen in changes if at > place)


def place_of(event: Event) -> Place:
    """Return where an event is in the chain's order."""
    return event.block.number, event.log_index


def count(
    told: PlayReport, events: Iterable[Event], released: Sequence[bytes], *, findings: int
) -> Counts:
    """Count everything.

    Args:
        told: by whoever answered the driver.
        events: of the chain.
        released: ids of the accesses in the keyholders' journals.
        findings: how many the replay had.
    """
    ledger = Ledger(events)
    handed_out = {access.access for access in told.accesses if access.released}
    out = handed_out | set(released)
    return Counts(
        requests=len(told.asked),
        attempts=told.attempts,
        acts=len(told.acts),
        released=len(out),
        recorded=len(ledger.accesses),
        denied=sum(one.outcome is not Outcome.ALLOWED for _, one in ledger.accesses),
        released_unrecorded=len(out - ledger.allowed),
        acknowledged_lost=_lost(told, ledger),
        second_uses=_second_uses(told, ledger),
        allowed_after_revocation=len(_too_late(told, ledger, handed_out)),
        unanswered=told.unanswered,
        unopened=len(told.unopened),
        misled=len(told.misled) + len(_stopped_by_nobody(told, ledger)),
        findings=findings,
    )


def _lost(told: PlayReport, ledger: Ledger) -> int:
    """Count what was acknowledged and is not on chain as it was told."""
    there = {(id_, one.sequence, int(one.outcome), one.transaction) for id_, one in ledger.accesses}
    said = {
        (access.access, access.sequence, access.outcome, access.transaction)
        for access in told.accesses
    }
    acts = {act.transaction for act in told.acts}
    return len(said - there) + len(acts - ledger.transactions)


def _second_uses(told: PlayReport, ledger: Ledger) -> int:
    """Count records beyond a request's first that are no recognized duplicates, and second numbers."""
    uses = Counter(
        id_ for id_, one in ledger.accesses if one.outcome is not Outcome.DUPLICATE_REQUEST
    )
    numbers: dict[bytes, set[int]] = defaultdict(set)
    for access in told.accesses:
        numbers[access.access].add(access.sequence)
    twice = sum(number - 1 for number in uses.values())
    return twice + sum(len(some) - 1 for some in numbers.values())


def _too_late(told: PlayReport, ledger: Ledger, handed_out: set[bytes]) -> set[bytes]:
    """Return the accesses that were let through after a revocation or freeze was final.

    By the chain's order: one whose record comes behind the revocation, although it is recorded as allowed
    or its data was handed out. By the driver's clock: one that was asked for only after the citizen had
    the revocation's receipt.
    """
    late = {
        id_
        for id_, one in ledger.accesses
        if (one.outcome is Outcome.ALLOWED or id_ in handed_out)
        and one.outcome is not Outcome.DUPLICATE_REQUEST
        and not ledger.stands(one.basis, place_of(one))
    }
    ended = {act.about: act.answered for act in told.acts if act.kind == "revocation"}
    return late | {
        access.access
        for access in told.accesses
        if (access.released or access.outcome == Outcome.ALLOWED)
        and access.first_sent > ended.get(access.basis, _NEVER)
    }


def _stopped_by_nobody(told: PlayReport, ledger: Ledger) -> set[bytes]:
    """Return the accesses whose release was said to be stopped, and no act on chain can have stopped it.

    A freeze may have ended since. A revocation stops nothing before its citizen began it.
    """
    began = {act.about: act.began for act in told.acts if act.kind == "revocation"}
    return {
        access.access
        for access in told.accesses
        if access.stopped
        and not (
            access.basis in ledger.revoked and access.answered > began.get(access.basis, -_NEVER)
        )
        and not any(
            ledger.freezes_after(access.basis, at) for at in ledger.places[access.access][:1]
        )
    }
