"""What a replay finds, and the seats of keyholders that findings name."""

from collections.abc import Container, Iterator, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from ledger.chain.events import Event
from ledger.crypto.secret_sharing import Roster
from ledger.hexstr import keccak256, to_hex
from ledger.model import EventState, Outcome, VoidGround

NO_EVENTS: Final = EventState(0, bytes(24))


class Kind(StrEnum):
    """What is wrong, in one word; the finding's text says the rest."""

    MALFORMED_EVENT = "malformed event"
    """A log that the five contracts cannot have written."""
    OUT_OF_ORDER = "out of order"
    """A log that does not come after the one before, or a block that is not one block."""
    MISSING_LOG = "missing log"
    """Within a block, logs are not numbered without a gap."""
    MISSING_ACCESS = "missing access"
    """Accesses are not numbered without a gap."""
    REPEATED_ACCESS = "repeated access"
    """An access's number was there before."""
    MISSING_EVENT = "missing event"
    """The other contracts' events are not numbered without a gap."""
    REPEATED_EVENT = "repeated event"
    """The number of such an event was there before."""
    WRONG_OUTCOME = "wrong outcome"
    """An access was not decided by the rules."""
    WRONG_HEAD = "wrong head"
    """The running hash at the end of a call is not that of the accesses before it."""
    OPEN_CALL = "open call"
    """Accesses without the event that ends their call and names who recorded them."""
    IMPOSSIBLE_EVENT = "impossible event"
    """Something else that does not follow from what came before."""
    OTHER_END = "other end"
    """The trail does not end where it should, or does not pass where it must."""
    UNSIGNED_ACCESS = "unsigned access"
    """No journal has the consumer's signature for a recorded access, and its use was not given back."""
    MISSING_ENTRY = "missing entry"
    """No gateway's journal has an access that a keyholder released."""
    WRONG_VOID = "wrong void"
    """A regulator gave a use back that it must not, or set another last use than that which stands."""
    WRONG_SIGNATURE = "wrong signature"
    """The signature that a journal has for a recorded access is not the consumer's."""
    RELEASE_WITHOUT_RECORD = "release without record"
    """A journal says that keys or data were released, and no allowed access is recorded for it."""
    JOURNAL_FAULT = "journal fault"
    """Something in a journal is no entry, or not in its place; the rest was compared."""
    STOPPED_RELEASE = "stopped release"
    """A keyholder released, and an act on chain up to the block that it noted stood against it."""
    LATE_RELEASE = "late release"
    """A keyholder released after the release window."""
    STALE_RELEASE = "stale release"
    """A keyholder released by a block that was not the newest of its time."""
    OTHER_BLOCK = "other block"
    """A keyholder noted a block that is not on chain."""
    OTHER_KEY = "other key"
    """A journal says that parts of keys were sealed to a key that the request's nonce does not name."""
    WRONG_STATEMENT = "wrong statement"
    """An authorization was used whose signed statement says something else than it authorizes."""
    ENTRY_WITHOUT_RECORD = "entry without record"
    """A journal says that an access is recorded, and it is not."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that is not as it must be, and where."""

    kind: Kind
    problem: str
    block_number: int | None = None
    log_index: int | None = None
    transaction: bytes | None = None
    sequence: int | None = None
    """Number of the access."""
    party: bytes | None = None
    """Who answers for it: the recorder, or the regulator. None when it is not known."""
    source: str = ""
    """Name of the journal; empty when it is about the trail."""

    def __str__(self) -> str:
        places = (
            ("block", self.block_number),
            ("log", self.log_index),
            ("access", self.sequence),
            ("by", None if self.party is None else to_hex(self.party)),
            ("journal", self.source or None),
        )
        where = ", ".join(f"{name} {value}" for name, value in places if value is not None)
        return f"{self.kind}: {self.problem}" + (f" ({where})" if where else "")


def finding_at(event: Event, kind: Kind, problem: str, **more: object) -> Finding:
    place = Finding(kind, problem, event.block.number, event.log_index, event.transaction)
    return msgspec.structs.replace(place, **more)


class OutcomeCount(msgspec.Struct, frozen=True):
    """How many accesses were recorded with an outcome."""

    outcome: Outcome
    count: int


class End(msgspec.Struct, frozen=True):
    """How far a trail goes: what the five contracts say of themselves at its end."""

    sequence: int
    """Number of the last access."""
    head: bytes
    """Running hash over the accesses."""
    registry: EventState = NO_EVENTS
    catalogue: EventState = NO_EVENTS
    agreements: EventState = NO_EVENTS
    authorizations: EventState = NO_EVENTS

    @property
    def events(self) -> tuple[EventState, ...]:
        """The states of the four contracts that number their events."""
        return self.registry, self.catalogue, self.agreements, self.authorizations

    @property
    def preimage(self) -> bytes:
        """What `known` is the hash of: the four contracts' slots, then the access log's two."""
        words = [state.head + state.count.to_bytes(8, "big") for state in self.events]
        return b"".join(words) + self.sequence.to_bytes(32, "big") + self.head

    @property
    def known(self) -> "KnownEnd":
        """The same in one number and one hash."""
        number = self.sequence + sum(state.count for state in self.events)
        return KnownEnd(number, keccak256(self.preimage))


class KnownEnd(msgspec.Struct, frozen=True):
    """How far a trail went at some time, from a source that is trusted: `NUMBER:HEAD`."""

    number: int
    """Of accesses, and of events of the other four contracts."""
    head: bytes
    """32 bytes, over all of them."""

    def __str__(self) -> str:
        return f"{self.number}:{to_hex(self.head)}"


class Voidable(msgspec.Struct, frozen=True):
    """A use that a regulator may give back."""

    sequence: int
    """Number of the access."""
    authorization: bytes
    before: int
    """What the contract has as the authorization's last use until then."""
    last_use: int
    """Time of the authorization's last use that stands then; zero for none."""
    ground: VoidGround


class ReplayReport(msgspec.Struct, frozen=True):
    """The result of a replay. Without findings the trail is whole, and every decision is right."""

    first_block: int | None
    """Of the first log; None when there is none."""
    last_block: int | None
    logs: int
    accesses: int
    outcomes: tuple[OutcomeCount, ...]
    """As recorded; outcomes that did not occur are left out."""
    end: End
    passed: int | None
    """Number of the known end, where the trail ends there or went on from there."""
    noted: int | None
    """The newest block that keyholders noted and that the node has."""
    journals: tuple[str, ...]
    """The journals that it was compared with; without any no signature was checked."""
    signatures: int
    """Signatures of recorded accesses that were the consumer's."""
    releases: int
    """Releases in the journals that have their allowed access."""
    voids: int
    """Uses that regulators gave back."""
    unchecked_voids: int
    """Of these, whose ground the journals do not show, nor the opposite."""
    voidable: tuple[Voidable, ...]
    """Uses that may be given back, in this order; empty unless it was asked for."""
    statements: int
    """Authorizations that were used, and whose statement says what they authorize."""
    unseen_statements: int
    """Authorizations that were used, and whose statement no journal has: not checked."""
    finding_count: int
    findings: tuple[Finding, ...]
    """All of them, unless there are more than the replay keeps."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        return self.finding_count == 0

    @property
    def void_check(self) -> str:
        """What is known of the uses that were given back, in words."""
        words = f"{self.voids:,} uses given back"
        if self.unchecked_voids:
            words += f"; NOT CHECKED: why, of {self.unchecked_voids:,} (too few journals)"
        return words

    @property
    def statement_check(self) -> str:
        """What is known of whether persons saw what they authorized, in words."""
        words = f"{self.statements:,} say what was authorized"
        if self.unseen_statements:
            words += f"; NOT CHECKED: {self.unseen_statements:,} that no journal has"
        return words

    @property
    def end_check(self) -> str:
        """What is known of whether this is the end, in words."""
        if self.passed == self.end.known.number:
            return "as named"
        words = [] if self.passed is None else [f"passes number {self.passed} as named"]
        if self.noted is not None:
            words.append(f"not before block {self.noted}, the newest that keyholders noted")
        else:
            words.append("NOT CHECKED: whether this is the end")
        return "; ".join(words)


class Seats:
    """The seats of all rosters of a deployment."""

    def __init__(self, rosters: Sequence[Roster]) -> None:
        self._rosters = tuple(rosters)
        self._of: dict[bytes, list[tuple[int, int]]] = {}
        self.count = 0
        for roster in self._rosters:
            for member in roster.members:
                self._of.setdefault(member, []).append((roster.epoch, 1 << self.count))
                self.count += 1

    def released(self, member: bytes | None, epochs: Sequence[int]) -> int:
        """Return the seats on which an address released: none if it is no keyholder's.

        Those of the epochs, or of all if there are none.
        """
        seats = 0
        for epoch, seat in self._of.get(member or b"", ()):
            if not epochs or epoch in epochs:
                seats |= seat
        return seats

    def handed_out(self, released: int) -> bool:
        """Tell whether in some roster as many released as make a key."""
        return any(
            sum(bool(released & seat) for _, seat in taken) >= roster.threshold
            for roster, taken in self._taken()
        )

    def never_handed_out(self, released: int, answered: Container[bytes]) -> bool:
        """Tell whether in each roster so many did not release that the others make no key.

        Only members in `answered`, whose journals tell, count as silent.
        """
        return bool(self._rosters) and all(
            sum(member in answered and not released & seat for member, seat in taken)
            > len(roster.members) - roster.threshold
            for roster, taken in self._taken()
        )

    def _taken(self) -> Iterator[tuple[Roster, list[tuple[bytes, int]]]]:
        """Yield each roster, with its members and their seats."""
        seat = 1
        for roster in self._rosters:
            taken = []
            for member in roster.members:
                taken.append((member, seat))
                seat <<= 1
            yield roster, taken
