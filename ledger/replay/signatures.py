"""The consumers' signatures that journals have, checked in groups by several threads.

A line counts only after its signature was checked. Until then it is taken at its word, and corrected
in `Uses` if the signature is wrong. Equal bytes are checked once, whoever has them.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import msgspec

from ledger.enumerations import Outcome
from ledger.errors import SigningError
from ledger.events import Accessed
from ledger.hexes import to_hex
from ledger.keccak import keccak256
from ledger.replay.entries import Journal, ReleaseEntry
from ledger.replay.report import Finding, Kind, finding_at
from ledger.replay.seats import Seats
from ledger.replay.uses import Compared, Uses
from ledger.signing import verify_signature
from ledger.typed_data import Domain, domain_separator

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
        """Take an access's signatures."""
        self._tasks.append(_Task(event, keccak256(self._prefix + id_), signatures, call))

    def go_on(self) -> Iterator[Finding]:
        """Begin to check signatures if enough wait; between two calls of `record`."""
        if len(self._tasks) >= _AT_ONCE:
            yield from self._check()

    def finish(self) -> Iterator[Finding]:
        """Check all that waits."""
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
