"""One access from the signed request to its answer: verify, record, release.

Nothing is released for what is not recorded, and everything that is validly signed is recorded, denied
or not. The same request again gives the same access: here while it is under way, from the journal
later, and from the chain, which knows every nonce, if all else was lost.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from gateway.access.batching import Grouper
from gateway.access.content import Bases, ReleaseContents
from gateway.access.keyholders import Keyholders
from gateway.access.preflight import Preflight
from gateway.access.release import Encoded, ReleaseOrder, Releaser
from gateway.consent.statements import Statements
from gateway.errors import (
    BUSY,
    BodyError,
    GatewayError,
    ProblemError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
)
from gateway.store.releases import JournalEntry, ReleaseJournal
from ledger.api import KeyedSubmission, RecordedAccess, Submission
from ledger.crypto.released_parts import verify_answer_key
from ledger.crypto.signatures import verify_signature
from ledger.errors import LedgerError, SigningError
from ledger.hexstr import to_hex
from ledger.index.index import Index
from ledger.index.rows import AccessEntry, BasisEntry
from ledger.model import Outcome
from ledger.service.rate_limit import RateLimit
from ledger.typed_data import Domain, digest_of, struct_hash

_LATEST_DEADLINE: Final = 2**40 - 1
_VERIFIED_AT_ONCE: Final = 50
_LOOKED_UP_AT_ONCE: Final = 500
_JOURNALED_AT_ONCE: Final = 1000


class AccessRecorder(Protocol):
    """The recorder, as far as accesses need it (`ledger.recorder`)."""

    async def check(self, consumer: bytes) -> None:
        """Return if a consumer's requests can be recorded.

        Raises:
            ForbiddenError: The consumer has not named the recorder.
            UnavailableError: Nothing can be recorded now, or the chain cannot be asked.
        """
        ...

    async def record(self, submission: Submission, access: bytes) -> RecordedAccess:
        """Record an access, once, and return it when its block is final.

        The request and its signature are on disk before anything is sent. A caller that is
        cancelled does not stop it.

        Raises:
            UnavailableError: It is not recorded now; the same request may be sent again.
            ForbiddenError: The consumer took its naming back meanwhile; nothing was recorded.
            ThrottledError: Too many are waiting, of all or of this consumer.
        """
        ...


IsParty = Callable[[bytes], bool]
"""Whether an address was ever admitted in any role, as far as the index knows."""


class Verified(msgspec.Struct, frozen=True):
    """A submission whose signature holds, and to whose key it can be answered."""

    submission: KeyedSubmission
    access: bytes
    """Struct hash of the request: the access's id."""
    digest: bytes
    """What the consumer signed."""


class Answer(msgspec.Struct, frozen=True):
    """The outcome of one request: recorded or not, released or with a problem."""

    verified: Verified | None
    """None when the signature does not hold."""
    recorded: RecordedAccess | None
    release: Encoded | None
    problem: GatewayError | None


def verify_submission(submission: KeyedSubmission, domain: Domain) -> Verified:
    """Return the submission if its consumer signed it for this deployment and this key.

    What keyholders would refuse is refused here, before it is recorded and a use is spent.

    Raises:
        UnauthenticatedError: It is signed by somebody else, for another chain or contract, or not
            at all.
        BodyError: The deadline is later than the contract can keep, or no field is asked for.
        ProblemError: The nonce commits to another key, or nothing can be sealed to this one.
    """
    request = submission.request
    if request.deadline > _LATEST_DEADLINE:
        raise BodyError("AccessRequest.deadline: is later than the contract can keep")
    if not request.fields:
        raise BodyError("AccessRequest.fields: no field is asked for")
    access = struct_hash(request)
    digest = digest_of(access, domain)
    try:
        verify_signature(digest, submission.signature, request.consumer)
    except SigningError as error:
        raise UnauthenticatedError(
            "the access request is not signed by its consumer for this deployment",
            "wrong-signature",
        ) from error
    try:
        verify_answer_key(domain, request.consumer, request.nonce, submission.key)
    except LedgerError as error:
        raise ProblemError(str(error), "answer-key") from error
    return Verified(submission, access, digest)


class Accesses:
    """Answers access requests. Safe for concurrent use in one event loop."""

    def __init__(
        self,
        *,
        domain: Domain,
        recorder: AccessRecorder,
        is_party: IsParty,
        bases: Bases,
        statements: Statements,
        materials: ReleaseContents,
        preflight: Preflight,
        releaser: Releaser,
        keyholders: Keyholders,
        journal: ReleaseJournal,
        newest_block: Callable[[], int],
        throttle: RateLimit,
        most_waiting: int = 20_000,
        moving: Index | None = None,
    ) -> None:
        """`moving`: the index, on a chain that can forget final blocks and gets them back; else None."""
        self._domain = domain
        self._recorder = recorder
        self._is_party = is_party
        self._bases = bases
        self._statements = statements
        self._materials = materials
        self._preflight = preflight
        self._releaser = releaser
        self._keyholders = keyholders
        self._newest_block = newest_block
        self._throttle = throttle
        self._most_waiting = most_waiting
        self._journal = journal
        self._moving = moving
        self._running: dict[bytes, asyncio.Task[Answer]] = {}
        self._find: Grouper[Verified, JournalEntry | None] = Grouper(
            self._find_all,
            most=_LOOKED_UP_AT_ONCE,
            owner=lambda verified: verified.submission.request.consumer,
        )
        self._note: Grouper[JournalEntry, None] = Grouper(
            self._note_all,
            most=_JOURNALED_AT_ONCE,
            owner=lambda entry: entry.submission.request.consumer,
        )

    @property
    def waiting(self) -> int:
        return len(self._running)

    async def answer(self, submission: KeyedSubmission) -> Answer:
        """Answer one request. Errors are in the answer, but for one.

        A caller that is cancelled, because its client is gone, does not stop what was begun.

        Raises:
            ThrottledError: The consumer asks for too many, or too many are under way.
        """
        (verified,) = await self._take_in((submission,))
        if isinstance(verified, GatewayError):
            return Answer(None, None, None, verified)
        return await asyncio.shield(self._begin(verified))

    async def answer_all(self, submissions: Sequence[KeyedSubmission]) -> list[Answer]:
        """Answer several requests, in their order.

        Raises:
            ThrottledError: A consumer asks for too many, or too many are under way; none of these
                was begun.
        """
        begun = [
            one if isinstance(one, GatewayError) else self._begin(one)
            for one in await self._take_in(submissions)
        ]
        running = [one for one in begun if isinstance(one, asyncio.Task)]
        if running:
            await asyncio.wait(running)  # they go on when this is cancelled
        return [
            one.result() if isinstance(one, asyncio.Task) else Answer(None, None, None, one)
            for one in begun
        ]

    async def _take_in(
        self, submissions: Sequence[KeyedSubmission]
    ) -> list[Verified | GatewayError]:
        self._check_room(len(submissions))
        verified: list[Verified | GatewayError] = []
        for number, submission in enumerate(submissions, 1):
            try:
                verified.append(verify_submission(submission, self._domain))
            except GatewayError as error:
                verified.append(error)
            if number % _VERIFIED_AT_ONCE == 0:  # a thousand signatures take a tenth of a second
                await asyncio.sleep(0)
        # Only who signed pays: nobody can empty another one's bucket.
        signed = [one.submission.request.consumer for one in verified if isinstance(one, Verified)]
        for consumer, count in Counter(signed).items():
            self._throttle.take(consumer, count)
        return verified

    async def close(self) -> None:
        while self._running:
            await asyncio.wait(self._running.values())
        await self._find.close()
        await self._preflight.close()
        await self._releaser.close()
        await self._note.close()

    def _check_room(self, count: int) -> None:
        if len(self._running) + count > self._most_waiting:
            raise ThrottledError(1, BUSY)

    def _begin(self, verified: Verified) -> asyncio.Task[Answer]:
        running = self._running.get(verified.access)
        if running is None:
            self._check_room(1)
            running = asyncio.get_running_loop().create_task(self._answer(verified))
            self._running[verified.access] = running
            running.add_done_callback(lambda _: self._running.pop(verified.access, None))
        return running

    async def _answer(self, verified: Verified) -> Answer:
        recorded: RecordedAccess | None = None
        try:
            entry = await self._find(verified)
            if entry is None:
                await self._check(verified)
                recorded = await self._recorder.record(verified.submission, verified.access)
                entry = JournalEntry(verified.submission, recorded, None)
            else:
                recorded = entry.recorded
            if recorded.outcome != Outcome.ALLOWED:
                await self._note(entry)
                return Answer(verified, recorded, None, None)
            return await self._release(verified, entry)
        except GatewayError as error:
            return Answer(verified, recorded, None, error)

    async def _release(self, verified: Verified, entry: JournalEntry) -> Answer:
        order = ReleaseOrder(verified.submission, entry.recorded, entry.released)
        try:
            await self._require_consent(verified)
            release = await self._releaser.release(order)
        except GatewayError as error:
            await self._note(entry)  # what is recorded is in the journal, released or not
            return Answer(verified, entry.recorded, None, error)
        return Answer(verified, entry.recorded, release, None)

    async def _check(self, verified: Verified) -> None:
        """Turn away, before anything is recorded, what could not be answered at all."""
        request = verified.submission.request
        if not self._is_party(request.consumer):
            raise UnauthenticatedError(
                f"{to_hex(request.consumer)} was never admitted", "unknown-party"
            )
        self._releaser.require()
        await self._recorder.check(request.consumer)
        basis = await self._find_basis(request.basis)
        if basis is None:  # it may have been put on chain a moment ago
            await self._statements.catch_up()
            basis = await self._find_basis(request.basis)
        epochs: frozenset[int] = frozenset()
        if basis is not None:  # an unknown one is for the chain to deny
            await self._require_consent(verified)
            await self._materials.require_link(basis)
            found = await self._preflight.require(
                request.consumer, basis, request.item, self._newest_block()
            )
            epochs = found if self._keyholders.have_changed else epochs
        problem = (await self._keyholders.confirm(epochs)).problem
        if problem is not None:
            raise UnavailableError(problem, "cannot-record")

    async def _find_basis(self, basis: bytes) -> BasisEntry | None:
        return (await self._bases.find([basis])).get(basis)

    async def _require_consent(self, verified: Verified) -> None:
        """Check that what a person signed is here; also of what is recorded already, as by another gateway."""
        consent = verified.submission.consent
        basis = await self._find_basis(verified.submission.request.basis)
        if basis is None or basis.subject is None:
            return
        await self._statements.require(basis.id, None if consent is None else consent.authorization)
        if consent is not None and consent.link is not None:
            await self._materials.require_link(basis, consent.link)

    async def _find_all(self, wanted: Sequence[Verified]) -> list[JournalEntry | None]:
        found = await self._journal.find([one.access for one in wanted])
        if found and self._moving is not None:
            # One that the index has under another number, or not yet, stays as it is: keyholders refuse
            # its place, and the request is sent again.
            numbers = [entry.recorded.sequence for entry in found.values()]
            known = {one.sequence: one for one in await self._moving.accesses_numbered(numbers)}
            found = {
                access: _moved(entry, known.get(entry.recorded.sequence))
                for access, entry in found.items()
            }
        return [found.get(one.access) for one in wanted]

    async def _note_all(self, entries: Sequence[JournalEntry]) -> list[None]:
        await self._journal.write(entries)
        return [None] * len(entries)


def _moved(entry: JournalEntry, now: AccessEntry | None) -> JournalEntry:
    request = entry.submission.request
    # A consumer's nonce is taken once, so that the two tell which access it is.
    if now is None or (now.consumer, now.nonce) != (request.consumer, request.nonce):
        return entry
    recorded = msgspec.structs.replace(
        entry.recorded,
        outcome=int(now.outcome),
        block_number=now.place.block_number,
        block_hash=now.place.block_hash,
        timestamp=now.place.timestamp,
        transaction=now.place.transaction,
        log_index=now.log_index,
    )
    return msgspec.structs.replace(entry, recorded=recorded)
