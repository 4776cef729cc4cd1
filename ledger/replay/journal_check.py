"""Comparing the chain with what gateways and keyholders wrote down themselves, signatures included."""

import heapq
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Protocol

import msgspec

from ledger.chain.events import Accessed, Block
from ledger.chain.events.identifiers import access_id
from ledger.crypto.released_parts import is_committed
from ledger.crypto.signatures import verify_signature
from ledger.crypto.statement import names_at_grant, verify_consent
from ledger.errors import LedgerError, SigningError
from ledger.hexstr import keccak256, to_hex
from ledger.model import Outcome, State
from ledger.replay.releases import Judged, ReleaseJudge
from ledger.replay.report import Finding, Kind, Seats, finding_at
from ledger.replay.voids import NOTHING, Compared, Reached, Uses
from ledger.typed_data import (
    Authorization,
    Domain,
    domain_separator,
    struct_hash,
)


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
        epochs: In a keyholder's journal, of which epochs it released; empty where it does not say.
    """

    access: bytes
    sequence: int
    transaction: bytes | None
    signature: bytes | None
    released: bool
    judged: Judged | None = None
    key: bytes | None = None
    authorization: Authorization | None = None
    epochs: tuple[int, ...] = ()


class JournalFault(msgspec.Struct, frozen=True):
    """Something in a journal that is no entry, or not in its place; the rest is read all the same."""

    problem: str


class JournalEnd(msgspec.Struct, frozen=True):
    """Up to which block a journal was written: who knows a block's hash writes after it.

    Attributes:
        block: Its number.
        block_hash: Its hash.
        owner: In a gateway's journal, the recorder whose accesses it has.
    """

    block: int
    block_hash: bytes
    owner: bytes | None = None


Item = ReleaseEntry | JournalFault | JournalEnd


class Journal(Protocol):
    """A journal as it was handed over."""

    @property
    def name(self) -> str:
        """Whose it is, for findings."""

    @property
    def owner(self) -> bytes | None:
        """Address of the keyholder, or of the gateway's recorder; None if that is not known."""

    @property
    def of_keyholder(self) -> bool:
        """Whether a keyholder wrote it; else a gateway did."""

    def entries(self) -> Iterable[Item]:
        """Return all entries by rising sequence number, in a memory that does not grow, and the faults.

        Where it ends, if it says so, comes first.

        It is read a second time when accesses repeat earlier requests.
        """
        ...


Place = tuple[int, int, Item]
"""The next of a journal: number of the access, the journal's place among all, the entry."""


def merged(journals: Sequence[Journal]) -> Iterator[Place]:
    """Yield the entries of all journals, by the number of the access."""
    each = map(_ordered, range(len(journals)), journals)
    return heapq.merge(*each, key=lambda place: place[0])


def _ordered(index: int, journal: Journal) -> Iterator[Place]:
    last = 0
    for entry in journal.entries():
        if not isinstance(entry, ReleaseEntry):
            yield last, index, entry
        elif entry.sequence < last:
            problem = f"access {entry.sequence} comes after access {last}, and is passed over"
            yield last, index, JournalFault(problem)
        else:
            last = entry.sequence
            yield last, index, entry


_AT_ONCE: Final = 500
"""Signatures that one thread checks before it takes the next; `coincurve` lets threads run at once."""
_WAITING: Final = 16
"""Groups of signatures under way at most, so that memory stays flat."""


class Call:
    """One call of `record`, and who made it once its end is read."""

    __slots__ = ("recorder",)

    def __init__(self) -> None:
        self.recorder: bytes | None = None


class Signature(msgspec.Struct, gc=False):
    """Bytes that journals have as the consumer's signature, and what their lines say."""

    data: bytes
    gateways: list[int] = []
    """Places of the gateways' journals."""
    keyholders: list[int] = []
    handed_out: bool = False
    released: int = 0

    def add(self, entry: ReleaseEntry, index: int, owner: bytes | None, seats: Seats) -> None:
        """Take a line that has these bytes."""
        if entry.judged is None:
            self.gateways.append(index)
            self.handed_out |= entry.released
        else:
            self.keyholders.append(index)
            self.released |= seats.released(owner, entry.epochs)


def united(signatures: Iterable[Signature]) -> Compared:
    """Return what the journals have, if these are the consumer's."""
    claimed = by_keyholder = handed_out = False
    released = 0
    for signature in signatures:
        claimed |= bool(signature.gateways)
        by_keyholder |= bool(signature.keyholders)
        handed_out |= signature.handed_out
        released |= signature.released
    return Compared(claimed, by_keyholder, handed_out, released=released)


class _Task(msgspec.Struct, frozen=True, gc=False):
    """An access's signatures to check: as a rule one, and all journals have the same."""

    event: Accessed
    digest: bytes
    signatures: tuple[Signature, ...]
    call: Call


_Checked = tuple[_Task, list[str]]
"""An access, and for each of its signatures what is wrong with it, empty for nothing."""


class SignatureChecks:
    """Goes along with a replay, call by call."""

    def __init__(
        self,
        domain: Domain,
        journals: Sequence[Journal],
        uses: Uses,
        owners: Sequence[bytes | None],
    ) -> None:
        """Start the threads; `owners` are those of the journals, as far as they are known by now."""
        self.checked = 0
        """Accesses that have a signature that is the consumer's."""
        self._prefix = b"\x19\x01" + domain_separator(domain)
        self._names = [journal.name for journal in journals]
        self._compares = not all(journal.of_keyholder for journal in journals)
        self._owners = owners
        self._uses = uses
        self._tasks: list[_Task] = []
        self._pool = ThreadPoolExecutor(os.cpu_count())
        self._running: list[Future[list[_Checked]]] = []

    def add(
        self, event: Accessed, id_: bytes, signatures: tuple[Signature, ...], call: Call
    ) -> None:
        self._tasks.append(_Task(event, keccak256(self._prefix + id_), signatures, call))

    def go_on(self) -> Iterator[Finding]:
        """Begin to check signatures if enough wait; between two calls of `record`."""
        if len(self._tasks) >= _AT_ONCE:
            yield from self._check()

    def finish(self) -> Iterator[Finding]:
        yield from self._check()
        while self._running:
            yield from self._collect(self._running.pop(0))

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def _check(self) -> Iterator[Finding]:
        for start in range(0, len(self._tasks), _AT_ONCE):
            group = self._tasks[start : start + _AT_ONCE]
            self._running.append(self._pool.submit(_check_all, group))
        self._tasks = []
        while len(self._running) > _WAITING:
            yield from self._collect(self._running.pop(0))

    def _collect(self, done: Future[list[_Checked]]) -> Iterator[Finding]:
        for task, problems in done.result():
            if not all(problems):
                self.checked += 1
            right, blamed = [], False
            for signature, problem in zip(task.signatures, problems, strict=True):
                if not problem:
                    right.append(signature)
                    continue
                for finding in self._wrong(task, signature, problem):
                    blamed |= finding.party is not None
                    yield finding
            if any(problems):
                yield from self._put_right(task, right, blamed=blamed)
            yield from self._dropped(task, right)

    def _wrong(self, task: _Task, signature: Signature, problem: str) -> Iterator[Finding]:
        """Only a recorder's own gateway answers for bytes that are no signature: others may lie about it."""
        recorder = task.call.recorder
        for index in (*signature.gateways, *signature.keyholders):
            owns = index in signature.gateways and self._owners[index] == recorder
            yield finding_at(
                task.event,
                Kind.WRONG_SIGNATURE,
                problem,
                sequence=task.event.sequence,
                party=recorder if owns else None,
                source=self._names[index],
            )

    def _put_right(self, task: _Task, right: list[Signature], *, blamed: bool) -> Iterator[Finding]:
        event = task.event
        # A second record of one request is as good as the first, whose line is checked by itself.
        given_back = event.sequence in self._uses.given_back
        reported = not right and not blamed and not given_back
        self._uses.correct(
            event.sequence, msgspec.structs.replace(united(right), reported=reported)
        )
        if reported:
            yield unsigned(event, task.call)

    def _dropped(self, task: _Task, right: list[Signature]) -> Iterator[Finding]:
        holders = [index for signature in right for index in signature.keyholders]
        claimed = any(signature.gateways for signature in right)
        repeats = task.event.outcome is Outcome.DUPLICATE_REQUEST
        if holders and self._compares and not claimed and not repeats:
            yield finding_at(
                task.event,
                Kind.MISSING_ENTRY,
                "a keyholder released it, and no gateway's journal has it with a signature",
                sequence=task.event.sequence,
                party=task.call.recorder,
                source=self._names[min(holders)],
            )


def unsigned(event: Accessed, call: Call) -> Finding:
    """Return the finding that no journal has a signature of an access."""
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


def _check_all(tasks: Sequence[_Task]) -> list[_Checked]:
    return [(task, [_problem(task, each.data) for each in task.signatures]) for task in tasks]


def _problem(task: _Task, signature: bytes) -> str:
    try:
        verify_signature(task.digest, signature, task.event.consumer)
    except SigningError as error:
        return str(error)
    return ""


class JournalComparison:
    """Goes along with a replay, access by access; memory is flat."""

    def __init__(
        self,
        domain: Domain,
        journals: Sequence[Journal],
        releases: ReleaseJudge,
        state: State,
        uses: Uses,
        seats: Seats,
    ) -> None:
        """Open the journals: without any nothing is compared.

        `state` and `uses` are always those after the events so far.
        """
        self._state = state
        self._judge = releases
        self.names = tuple(journal.name for journal in journals)
        self.releases = 0
        self.compared = NOTHING
        """Of the access that came last, if all signatures are the consumer's."""
        self.statements = 0
        self.noted: dict[tuple[int, bytes], str] = {}
        """Blocks that keyholders noted, and the journal that has each first."""
        self._domain = domain
        self._journals = journals
        self._seats = seats
        self._owners = [journal.owner for journal in journals]
        self._newest: list[tuple[int, bytes] | None] = [None] * len(journals)
        self._bounds = [0] * len(journals)
        self._checks = SignatureChecks(domain, journals, uses, self._owners) if journals else None
        self._entries = merged(journals)
        self._next = next(self._entries, None)
        self._call = Call()
        self._repeated: dict[bytes, list[tuple[Accessed, Call]]] = {}
        self._unsigned: list[tuple[Accessed, Call]] = []

    @property
    def signatures(self) -> int:
        """How many accesses have a signature that is the consumer's."""
        return 0 if self._checks is None else self._checks.checked

    def accessed(self, event: Accessed) -> Iterator[Finding]:
        """Compare an access with its entries. Findings may come later."""
        if self._checks is None:
            return
        id_ = access_id(event)
        signatures: list[Signature] = []
        while self._next is not None and self._next[0] <= event.sequence:
            sequence, index, entry = self._taken(self._next)
            source = self.names[index]
            if isinstance(entry, JournalEnd):
                continue
            if isinstance(entry, JournalFault):
                yield _fault(entry, source)
                continue
            if sequence < event.sequence or entry.access != id_:
                yield from _without_record(entry, source)
                continue
            yield from self._matched(event, entry, source)
            self._claim(signatures, entry, index)
        self.compared = united(signatures)
        if event.outcome is Outcome.DUPLICATE_REQUEST:
            # A journal keeps one entry for a request that was recorded twice: at the first.
            self._repeated.setdefault(id_, []).append((event, self._call))
        elif signatures:
            self._checks.add(event, id_, tuple(signatures), self._call)
        else:
            self.compared = Compared(reported=True)
            self._unsigned.append((event, self._call))

    def _claim(self, signatures: list[Signature], entry: ReleaseEntry, index: int) -> None:
        if entry.signature is None:
            return
        known = next((each for each in signatures if each.data == entry.signature), None)
        if known is None:
            known = Signature(entry.signature)
            signatures.append(known)
        known.add(entry, index, self._owners[index], self._seats)

    def _taken(self, place: Place) -> Place:
        """Go on to the next entry, and remember which block this one notes."""
        self._next = next(self._entries, None)
        _, index, entry = place
        noted = None
        if isinstance(entry, JournalEnd):
            noted = (entry.block, entry.block_hash)
            self._owners[index] = self._owners[index] or entry.owner
        elif isinstance(entry, ReleaseEntry) and entry.judged is not None:
            noted = (entry.judged.block, entry.judged.block_hash)
        if noted is not None:
            if self._journals[index].of_keyholder:
                self.noted.setdefault(noted, self.names[index])
            self._newest[index] = max(noted, self._newest[index] or noted)
        return place

    def pass_block(self, block: Block) -> None:
        """Go past a block with events: a journal that notes it or a later one was written after it."""
        for index, newest in enumerate(self._newest):
            if newest is not None and newest[0] >= block.number:
                self._bounds[index] = block.timestamp

    def noted_numbers(self) -> list[int]:
        """Return the numbers of the blocks up to which the journals were written."""
        return [newest[0] for newest in self._newest if newest is not None]

    def reached(self, blocks: Mapping[int, Block] | None) -> Reached:
        """Return up to when the journals tell.

        Args:
            blocks: Those of `noted_numbers` that the node has. None without a node: then a block's time
                is that of the last one with events, at least.
        """
        keyholders: dict[bytes, int] = {}
        gateways: dict[bytes, int] = {}
        for index, journal in enumerate(self._journals):
            owner, newest, time = self._owners[index], self._newest[index], self._bounds[index]
            if owner is None or newest is None:
                continue
            if blocks is not None:
                block = blocks.get(newest[0])
                time = block.timestamp if block is not None and block.hash == newest[1] else 0
            times = keyholders if journal.of_keyholder else gateways
            times[owner] = max(time, times.get(owner, 0))
        return Reached(keyholders, gateways)

    def recorded(self, recorder: bytes | None) -> Iterator[Finding]:
        """End a call: findings about its accesses can name the recorder now."""
        self._call.recorder = recorder
        self._call = Call()
        for event, call in self._unsigned:
            yield unsigned(event, call)
        self._unsigned.clear()
        if self._checks is not None:
            yield from self._checks.go_on()

    def finish(self) -> Iterator[Finding]:
        """End the trail: entries that are left belong to no access."""
        yield from self.recorded(None)
        while self._next is not None:
            _, index, entry = self._taken(self._next)
            if isinstance(entry, JournalFault):
                yield _fault(entry, self.names[index])
            elif isinstance(entry, ReleaseEntry):
                yield from _without_record(entry, self.names[index])
        if self._checks is None:
            return
        self._find_repeated(self._checks)
        for waiting in self._repeated.values():
            for event, call in waiting:
                yield unsigned(event, call)
        yield from self._checks.finish()
        self._checks.close()

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
            each.was_used and each.is_stated is None for each in self._state.authorizations.values()
        )

    def _find_repeated(self, checks: SignatureChecks) -> None:
        """Take the signatures of requests that were recorded again from wherever a journal has them."""
        if not self._repeated:
            return
        claimed: dict[bytes, list[Signature]] = {}
        for _, index, entry in merged(self._journals):
            if isinstance(entry, ReleaseEntry) and entry.access in self._repeated:
                self._claim(claimed.setdefault(entry.access, []), entry, index)
        for id_, signatures in claimed.items():
            for event, call in self._repeated.pop(id_) if signatures else ():
                checks.add(event, id_, tuple(signatures), call)


def _without_record(entry: ReleaseEntry, source: str) -> Iterator[Finding]:
    kind = Kind.RELEASE_WITHOUT_RECORD if entry.released else Kind.ENTRY_WITHOUT_RECORD
    problem = f"access {to_hex(entry.access)} is not recorded under this number"
    yield Finding(
        kind, problem, transaction=entry.transaction, sequence=entry.sequence, source=source
    )


def _fault(fault: JournalFault, source: str) -> Finding:
    return Finding(Kind.JOURNAL_FAULT, fault.problem, source=source)
