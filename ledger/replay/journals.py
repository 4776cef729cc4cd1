"""Comparing the chain with what gateways and keyholders wrote down themselves.

A gateway's journal has an entry with the consumer's signature for every access that it recorded,
allowed or denied: the chain does not see signatures, so this is where an invented access shows. A
keyholder's journal says what it released. Both may be asked for by the regulator at any time.
"""

import heapq
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Protocol

import msgspec

from ledger.answer_keys import is_committed
from ledger.enumerations import Outcome
from ledger.events.access_log import Accessed
from ledger.hexes import to_hex
from ledger.keccak import keccak256
from ledger.replay.releases import Judged, ReleaseJudge
from ledger.replay.report import Finding, Kind, finding_at
from ledger.signing import SigningError, verify_signature
from ledger.typed_data import AccessRequest, Domain, domain_separator, type_hash

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
        signature: The consumer's over the request; None in a keyholder's journal.
        released: Whether keys or data went out.
        judged: In a keyholder's journal, by which state of the chain.
        key: To which parts of keys were sealed; None where nothing was released.
    """

    access: bytes
    sequence: int
    transaction: bytes | None
    signature: bytes | None
    released: bool
    judged: Judged | None = None
    key: bytes | None = None


class JournalFault(msgspec.Struct, frozen=True):
    """Something in a journal that is no entry, or not in its place; the rest is read all the same."""

    problem: str


class Journal(Protocol):
    """A journal as it was handed over."""

    @property
    def name(self) -> str:
        """Whose it is, for findings."""

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


class _Task(msgspec.Struct, frozen=True, gc=False):
    """A signature to check."""

    event: Accessed
    digest: bytes
    signature: bytes
    source: str
    call: _Call


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

    def __init__(self, domain: Domain, journals: Sequence[Journal], releases: ReleaseJudge) -> None:
        """Open the journals.

        Args:
            domain: The access log's.
            journals: Of all gateways and, if wanted, keyholders. Without any nothing is compared.
            releases: Judges releases when their blocks are past.
        """
        self._judge = releases
        self.names = tuple(journal.name for journal in journals)
        self.signatures = 0
        self.releases = 0
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
        self._pool = ThreadPoolExecutor(os.cpu_count()) if journals else None
        self._running: list[Future[list[tuple[_Task, str]]]] = []

    def accessed(self, event: Accessed) -> Iterator[Finding]:
        """Compare an access with its entries. Findings may come later."""
        if self._pool is None:
            return
        id_ = access_id(event)
        signed = False
        while self._next is not None and self._next[0] <= event.sequence:
            sequence, source, entry = self._taken(self._next)
            if isinstance(entry, JournalFault):
                yield _fault(entry, source)
                continue
            if sequence < event.sequence or entry.access != id_:
                yield from _without_record(entry, source)
                continue
            yield from self._matched(event, entry, source)
            if entry.signature is not None:
                signed = True
                digest = keccak256(self._prefix + id_)
                self._tasks.append(_Task(event, digest, entry.signature, source, self._call))
        if not signed:
            if event.outcome is Outcome.DUPLICATE_REQUEST:
                # A journal keeps one entry for a request that was recorded twice: at the first.
                self._repeated.setdefault(id_, []).append((event, self._call))
            else:
                self._unsigned.append((event, self._call))

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

    def _find_repeated(self) -> None:
        if not self._repeated:
            return
        for _, source, entry in _merged(self._journals):
            if isinstance(entry, JournalFault) or entry.signature is None:
                continue
            for event, call in self._repeated.pop(entry.access, ()):
                digest = keccak256(self._prefix + entry.access)
                self._tasks.append(_Task(event, digest, entry.signature, source, call))

    def _check(self) -> Iterator[Finding]:
        if self._pool is None:
            return
        for start in range(0, len(self._tasks), _AT_ONCE):
            group = self._tasks[start : start + _AT_ONCE]
            self._running.append(self._pool.submit(_check_all, group))
        self._tasks = []
        while len(self._running) > _WAITING:
            yield from self._collect(self._running.pop(0))

    def _collect(self, done: "Future[list[tuple[_Task, str]]]") -> Iterator[Finding]:
        for task, problem in done.result():
            if not problem:
                self.signatures += 1
                continue
            yield finding_at(
                task.event,
                Kind.WRONG_SIGNATURE,
                problem,
                sequence=task.event.sequence,
                party=task.call.recorder,
                source=task.source,
            )


def _check_all(tasks: Sequence[_Task]) -> list[tuple[_Task, str]]:
    """Check signatures; the text says what is wrong, empty for nothing."""
    results = []
    for task in tasks:
        problem = ""
        try:
            verify_signature(task.digest, task.signature, task.event.consumer)
        except SigningError as error:
            problem = str(error)
        results.append((task, problem))
    return results


def _without_record(entry: ReleaseEntry, source: str) -> Iterator[Finding]:
    kind = Kind.RELEASE_WITHOUT_RECORD if entry.released else Kind.ENTRY_WITHOUT_RECORD
    problem = f"access {to_hex(entry.access)} is not recorded under this number"
    yield Finding(
        kind, problem, transaction=entry.transaction, sequence=entry.sequence, source=source
    )


def _unsigned(event: Accessed, call: _Call) -> Finding:
    problem = f"no journal has a signature of the consumer {to_hex(event.consumer)}"
    return finding_at(
        event,
        Kind.UNSIGNED_ACCESS,
        problem,
        sequence=event.sequence,
        party=call.recorder,
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
