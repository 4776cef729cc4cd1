"""Comparing the chain with what gateways and keyholders wrote down themselves.

A gateway's journal has an entry with the consumer's signature for every access that it recorded,
allowed or denied: the chain does not see signatures, so this is where an invented access shows. A
keyholder's journal says what it released. Both may be asked for by the regulator at any time.
"""

import heapq
import os
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Protocol

import msgspec

from ledger.answer_keys import is_committed
from ledger.consents import names_at_grant, verify_consent
from ledger.entities import State
from ledger.enumerations import Outcome
from ledger.errors import LedgerError
from ledger.events.access_log import Accessed
from ledger.hexes import to_hex
from ledger.keccak import keccak256
from ledger.replay.releases import Judged, ReleaseJudge
from ledger.replay.report import Finding, Kind, finding_at
from ledger.signing import SigningError, verify_signature
from ledger.typed_data import (
    AccessRequest,
    Authorization,
    Domain,
    domain_separator,
    struct_hash,
    type_hash,
)

_REQUEST: Final = type_hash(AccessRequest)
_AT_ONCE: Final = 500
"""Signatures that one thread checks before it takes the next; `coincurve` lets threads run at once."""
_WAITING: Final = 16
"""Groups of signatures under way at most, so that memory stays flat."""


class ReleaseEntry(msgspec.Struct, frozen=True, gc=False):
    """One line of a journal.

    Attributes:
        access: Id of the access: struct hash of its `AccessRequest`, so the whole request.
        sequence: Number of the access on chain, as the journal has it.
        transaction: In which it was recorded; None where the journal does not say.
        signature: The consumer's over the request; None where the journal has none.
        released: Whether keys or data went out.
        judged: In a keyholder's journal, by which state of the chain.
        key: To which parts of keys were sealed; None where nothing was released.
        authorization: The basis as the person signed it; where a gateway's journal tells it.
    """

    access: bytes
    sequence: int
    transaction: bytes | None
    signature: bytes | None
    released: bool
    judged: Judged | None = None
    key: bytes | None = None
    authorization: Authorization | None = None


class JournalFault(msgspec.Struct, frozen=True):
    """Something in a journal that is no entry, or not in its place; the rest is read all the same."""

    problem: str


class Journal(Protocol):
    """A journal as it was handed over."""

    @property
    def name(self) -> str:
        """Whose it is, for findings."""

    @property
    def of_keyholder(self) -> bool:
        """Whether a keyholder wrote it; else a gateway did."""

    def entries(self) -> Iterable[ReleaseEntry | JournalFault]:
        """Return all entries by rising sequence number, in a memory that does not grow, and the faults.

        It is read a second time when accesses repeat earlier requests.
        """
        ...


_Place = tuple[int, str, ReleaseEntry | JournalFault]
"""What a journal has next: number of the access, the journal's name, the entry."""


class _Call:
    """One call of `record`, and who made it once its end is read."""

    __slots__ = ("recorder",)

    def __init__(self) -> None:
        self.recorder: bytes | None = None


class _Signature(msgspec.Struct, frozen=True, gc=False):
    """What a journal has as the consumer's signature."""

    data: bytes
    source: str
    of_gateway: bool


class _Task(msgspec.Struct, frozen=True, gc=False):
    """An access's signatures to check: as a rule one, and all journals have the same."""

    event: Accessed
    digest: bytes
    signatures: tuple[_Signature, ...]
    call: _Call


_Checked = tuple[_Task, list[str]]
"""An access, and for each of its signatures what is wrong with it, empty for nothing."""


class Compared(msgspec.Struct, frozen=True, gc=False):
    """What the journals have of one access."""

    claimed: bool = False
    """Whether a gateway's has a signature; whether it is the consumer's shows later."""
    reported: bool = False
    """Whether a finding says, or will say, that it is unsigned."""
    holders: int = 0
    """How many keyholders' have a release."""


_NOTHING: Final = Compared()


def access_id(event: Accessed) -> bytes:
    """Return the struct hash of the request that an access answers, from the event alone."""
    return keccak256(
        b"".join(
            (
                _REQUEST,
                bytes(12),
                event.consumer,
                event.basis,
                event.item,
                event.data[:64],
                event.deadline.to_bytes(32, "big"),
            )
        )
    )


class JournalComparison:
    """Goes along with a replay, access by access; memory is flat."""

    def __init__(
        self, domain: Domain, journals: Sequence[Journal], releases: ReleaseJudge, state: State
    ) -> None:
        """Open the journals.

        Args:
            domain: The access log's.
            journals: Of all gateways and, if wanted, keyholders. Without any nothing is compared.
            releases: Judges releases when their blocks are past.
            state: Always that after the events so far.
        """
        self._state = state
        self._judge = releases
        self.names = tuple(journal.name for journal in journals)
        self.signatures = 0
        self.releases = 0
        self.compared = _NOTHING
        """What they have of the access that came last."""
        self.unproven: set[int] = set()
        """Accesses of which no gateway's has a signature that is the consumer's, but others."""
        self.gateways = sum(not journal.of_keyholder for journal in journals)
        self.keyholders = len(journals) - self.gateways
        self.statements = 0
        self.noted: dict[tuple[int, bytes], str] = {}
        """Blocks that keyholders noted, and the journal that has each first."""
        self._domain = domain
        self._prefix = b"\x19\x01" + domain_separator(domain)
        self._journals = journals
        self._entries = _merged(journals)
        self._next = next(self._entries, None)
        self._call = _Call()
        self._tasks: list[_Task] = []
        self._repeated: dict[bytes, list[tuple[Accessed, _Call]]] = {}
        self._unsigned: list[tuple[Accessed, _Call]] = []
        self._dropped: list[tuple[Accessed, _Call, str]] = []
        self._pool = ThreadPoolExecutor(os.cpu_count()) if journals else None
        self._running: list[Future[list[_Checked]]] = []

    def accessed(self, event: Accessed) -> Iterator[Finding]:
        """Compare an access with its entries. Findings may come later."""
        if self._pool is None:
            return
        id_ = access_id(event)
        signatures: list[_Signature] = []
        holders: set[str] = set()
        while self._next is not None and self._next[0] <= event.sequence:
            sequence, source, entry = self._taken(self._next)
            if isinstance(entry, JournalFault):
                yield _fault(entry, source)
                continue
            if sequence < event.sequence or entry.access != id_:
                yield from _without_record(entry, source)
                continue
            yield from self._matched(event, entry, source)
            if entry.judged is not None:
                holders.add(source)
            if entry.signature is not None:
                signature = _Signature(entry.signature, source, entry.judged is None)
                known = [one for one in signatures if one.data == signature.data]
                if all(one.of_gateway != signature.of_gateway for one in known):
                    signatures.append(signature)
        self._note(event, id_, tuple(signatures), holders)

    def _note(
        self,
        event: Accessed,
        id_: bytes,
        signatures: tuple[_Signature, ...],
        holders: AbstractSet[str],
    ) -> None:
        claimed = any(one.of_gateway for one in signatures)
        repeats = event.outcome is Outcome.DUPLICATE_REQUEST
        reported = False
        if signatures:
            digest = keccak256(self._prefix + id_)
            self._tasks.append(_Task(event, digest, signatures, self._call))
        elif repeats:
            # A journal keeps one entry for a request that was recorded twice: at the first.
            self._repeated.setdefault(id_, []).append((event, self._call))
        else:
            reported = True
            self._unsigned.append((event, self._call))
        if holders and self.gateways and not claimed and not repeats:
            self._dropped.append((event, self._call, min(holders)))
        self.compared = Compared(claimed, reported, len(holders))

    def _taken(self, place: _Place) -> _Place:
        """Go on to the next entry, and remember which block this one notes."""
        self._next = next(self._entries, None)
        _, source, entry = place
        if isinstance(entry, ReleaseEntry) and entry.judged is not None:
            self.noted.setdefault((entry.judged.block, entry.judged.block_hash), source)
        return place

    def recorded(self, recorder: bytes | None) -> Iterator[Finding]:
        """End a call: what was found about its accesses can be named now."""
        self._call.recorder = recorder
        self._call = _Call()
        for event, call in self._unsigned:
            yield _unsigned(event, call)
        self._unsigned.clear()
        for event, call, source in self._dropped:
            yield _dropped(event, call, source)
        self._dropped.clear()
        if len(self._tasks) >= _AT_ONCE:
            yield from self._check()

    def finish(self) -> Iterator[Finding]:
        """End the trail: entries that are left belong to no access."""
        yield from self.recorded(None)
        while self._next is not None:
            _, source, entry = self._taken(self._next)
            if isinstance(entry, JournalFault):
                yield _fault(entry, source)
            else:
                yield from _without_record(entry, source)
        self._find_repeated()
        for waiting in self._repeated.values():
            for event, call in waiting:
                yield _unsigned(event, call)
        yield from self._check()
        while self._running:
            yield from self._collect(self._running.pop(0))
        if self._pool is not None:
            self._pool.shutdown()

    def _matched(self, event: Accessed, entry: ReleaseEntry, source: str) -> Iterator[Finding]:
        if entry.transaction is not None and entry.transaction != event.transaction:
            problem = f"the journal has it in transaction {to_hex(entry.transaction)}"
            yield finding_at(
                event,
                Kind.ENTRY_WITHOUT_RECORD,
                problem,
                sequence=event.sequence,
                source=source,
            )
        if entry.authorization is not None:
            yield from self._stated(event, entry.authorization, source)
        if not entry.released:
            return
        if entry.key is None or not is_committed(
            self._domain, event.consumer, event.nonce, entry.key
        ):
            yield finding_at(
                event,
                Kind.OTHER_KEY,
                "released to a key to which the request's nonce does not commit",
                sequence=event.sequence,
                source=source,
            )
        if event.outcome is Outcome.ALLOWED:
            self.releases += 1
            if entry.judged is not None:
                yield from self._judge.note(event, entry.judged, source)
            return
        problem = f"released, but the access is denied: {event.outcome.title}"
        yield finding_at(
            event,
            Kind.RELEASE_WITHOUT_RECORD,
            problem,
            sequence=event.sequence,
            source=source,
        )

    def _stated(self, event: Accessed, record: Authorization, source: str) -> Iterator[Finding]:
        """Check what a person signed, once for each authorization."""
        authorization = self._state.authorizations.get(event.basis)
        if authorization is None or authorization.is_stated is not None:
            return
        if struct_hash(record) != event.basis:
            problem = f"access {event.sequence} rests on another record than it tells of"
            yield _fault(JournalFault(problem), source)
            return
        try:
            verify_consent(record, event.basis, names_at_grant(self._state, authorization))
        except LedgerError:
            authorization.is_stated = False
            yield finding_at(
                event,
                Kind.WRONG_STATEMENT,
                f"the person did not see what {to_hex(event.basis)} authorizes",
                sequence=event.sequence,
                source=source,
            )
            return
        authorization.is_stated = True
        self.statements += 1

    @property
    def unseen(self) -> int:
        """How many authorizations were used whose statement no journal has."""
        return sum(
            one.was_used and one.is_stated is None for one in self._state.authorizations.values()
        )

    def _find_repeated(self) -> None:
        if not self._repeated:
            return
        for _, source, entry in _merged(self._journals):
            if isinstance(entry, JournalFault) or entry.signature is None:
                continue
            for event, call in self._repeated.pop(entry.access, ()):
                digest = keccak256(self._prefix + entry.access)
                signature = _Signature(entry.signature, source, entry.judged is None)
                self._tasks.append(_Task(event, digest, (signature,), call))

    def _check(self) -> Iterator[Finding]:
        if self._pool is None:
            return
        for start in range(0, len(self._tasks), _AT_ONCE):
            group = self._tasks[start : start + _AT_ONCE]
            self._running.append(self._pool.submit(_check_all, group))
        self._tasks = []
        while len(self._running) > _WAITING:
            yield from self._collect(self._running.pop(0))

    def _collect(self, done: "Future[list[_Checked]]") -> Iterator[Finding]:
        for task, problems in done.result():
            if not all(problems):
                self.signatures += 1
            checked = list(zip(task.signatures, problems, strict=True))
            of_gateways = [problem for one, problem in checked if one.of_gateway]
            if of_gateways and all(of_gateways):
                self.unproven.add(task.event.sequence)
            for one, problem in checked:
                if problem:
                    yield finding_at(
                        task.event,
                        Kind.WRONG_SIGNATURE,
                        problem,
                        sequence=task.event.sequence,
                        party=task.call.recorder,
                        source=one.source,
                    )


def _check_all(tasks: Sequence[_Task]) -> list[_Checked]:
    return [(task, [_problem(task, one.data) for one in task.signatures]) for task in tasks]


def _problem(task: _Task, signature: bytes) -> str:
    try:
        verify_signature(task.digest, signature, task.event.consumer)
    except SigningError as error:
        return str(error)
    return ""


def _without_record(entry: ReleaseEntry, source: str) -> Iterator[Finding]:
    kind = Kind.RELEASE_WITHOUT_RECORD if entry.released else Kind.ENTRY_WITHOUT_RECORD
    problem = f"access {to_hex(entry.access)} is not recorded under this number"
    yield Finding(
        kind, problem, transaction=entry.transaction, sequence=entry.sequence, source=source
    )


def _unsigned(event: Accessed, call: _Call) -> Finding:
    problem = f"no journal has a signature of the consumer {to_hex(event.consumer)}"
    if event.outcome is Outcome.ALLOWED:
        problem += ", and no use was given back for it"
    return finding_at(
        event,
        Kind.UNSIGNED_ACCESS,
        problem,
        sequence=event.sequence,
        party=call.recorder,
    )


def _dropped(event: Accessed, call: _Call, source: str) -> Finding:
    return finding_at(
        event,
        Kind.MISSING_ENTRY,
        "a keyholder released it, and no gateway's journal has it with a signature",
        sequence=event.sequence,
        party=call.recorder,
        source=source,
    )


def _fault(fault: JournalFault, source: str) -> Finding:
    return Finding(Kind.JOURNAL_FAULT, fault.problem, source=source)


def _merged(journals: Sequence[Journal]) -> Iterator[_Place]:
    return heapq.merge(*map(_ordered, journals), key=lambda place: place[0])


def _ordered(journal: Journal) -> Iterator[_Place]:
    last = 0
    for entry in journal.entries():
        if isinstance(entry, JournalFault):
            yield last, journal.name, entry
        elif entry.sequence < last:
            problem = f"access {entry.sequence} comes after access {last}, and is passed over"
            yield last, journal.name, JournalFault(problem)
        else:
            last = entry.sequence
            yield last, journal.name, entry
