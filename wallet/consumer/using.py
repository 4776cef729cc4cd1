"""Using a basis: sign requests, send them until they are answered, open and check the answers."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from ledger.errors import LedgerError
from ledger.exchange import MOST_ACCESSES, AccessResult
from ledger.exchange.accesses import decode_result
from ledger.sealing import EncryptionKey, OpeningKey
from ledger.typed_data import AccessRequest
from wallet.client.accesses import NO_CONSENTS, Answered, submit, use
from wallet.client.errors import Check, ClientError, ErrorKind, VerificationError
from wallet.client.memory import Memory
from wallet.client.party import PartyKey
from wallet.client.patience import USUAL, Patience
from wallet.client.receipts import Receipt, make_receipt
from wallet.client.requests import Asked, KeptRequest, RequestBook
from wallet.client.supervision import show_wrong_parts
from wallet.client.transactions import Ledger
from wallet.client.verification import Basis, Opened, learn_subjects, open_result

USUAL_LIFETIME: Final = 300
"""Seconds within which a request must be recorded."""

_UNOPENED: Final = (Check.KEYS, Check.VALUES)
"""Checks that fail where keyholders' parts are wrong."""


class Used(msgspec.Struct, frozen=True):
    """One use: what was opened and checked, and the receipt of it."""

    request: KeptRequest
    opened: Opened
    receipt: Receipt


def prepare(
    ledger: Ledger,
    key: PartyKey | None,
    recipient: EncryptionKey,
    book: RequestBook,
    basis: bytes,
    fields: int,
    *,
    item: bytes = bytes(32),
    count: int = 1,
    lifetime: int = USUAL_LIFETIME,
    another_use: bool = False,
) -> tuple[KeptRequest, ...]:
    """Sign requests for a basis and keep them; they are not sent yet.

    Args:
        ledger: the contracts.
        key: the consumer's.
        recipient: the consumer's registered encryption key: the keys of answers are kept sealed to it.
        book: where signed requests are kept.
        basis: authorization, agreement, order or dataset, 32 bytes.
        fields: bitmap over the dataset's schema.
        item: root of the one record wanted; zeros for all.
        count: how many uses.
        lifetime: seconds within which they must be recorded.
        another_use: whether to use the basis again although an earlier use of it was lost.

    Raises:
        ClientError (ANOTHER_USE): an earlier use was recorded, counted and never handed out.
    """
    if key is None:
        raise ClientError("requests must be signed: name the consumer's key", ErrorKind.NO_KEY)
    lost = book.lost_uses(key.address, basis)
    if lost and not another_use:
        numbers = ", ".join(str(one.id) for one in lost)
        raise ClientError(
            f"request {numbers} on this basis was recorded and never handed out: another one counts again",
            ErrorKind.ANOTHER_USE,
        )
    if lost:
        book.accept_lost(key.address, basis)
    asked = Asked(basis, fields, int(time.time()) + lifetime, item)
    deployment = ledger.deployment
    return book.sign(
        key,
        recipient,
        deployment.domain_of(AccessRequest),
        (asked,) * count,
        release_window=deployment.release_window,
    )


async def access(
    ledger: Ledger,
    opening: OpeningKey,
    book: RequestBook,
    request: KeptRequest,
    basis: Basis | None = None,
    patience: Patience = USUAL,
) -> Used:
    """Send a signed request until it is answered; open and check the answer.

    Whoever has stored what was opened says so (`RequestBook.note_stored`): then its key is destroyed. Until
    then, and while keyholders release it, it can be opened again (`open_kept`).

    Where parts of a keyholder do not open it, it is asked for again, which brings those of others: any k that are
    right open it, and `Opened.faults` says whose were not, as far as it can be told, and supervision is shown it.

    Raises:
        DeniedError: it was denied, on chain.
        ProblemError: nothing is released; the problem says why.
        VerificationError: something is not what it is said to be.
        ClientError: it could not be sent; it stays in the book.
    """
    known = basis or Basis()
    consents = {request.submission.request.basis: known.consent} if known.consent else NO_CONSENTS
    (answered,) = await use(book, (request,), patience, consents)
    return await open_answer(ledger, opening, book, answered, basis)


async def open_answer(
    ledger: Ledger,
    opening: OpeningKey,
    book: RequestBook,
    answered: Answered,
    basis: Basis | None = None,
) -> Used:
    """Open and check an answer; see `access`.

    Args:
        ledger: the contracts.
        opening: the consumer's registered key.
        book: has the key of the answer.
        answered: as it came.
        basis: what is known of the basis.
    """
    bases = {} if basis is None else {answered.request.submission.request.basis: basis}
    (found,) = await open_answers(ledger, opening, book, (answered,), bases)
    if isinstance(found, ClientError):
        raise found
    return found


async def open_answers(
    ledger: Ledger,
    opening: OpeningKey,
    book: RequestBook,
    answers: Sequence[Answered],
    bases: Mapping[bytes, Basis] | None = None,
) -> tuple[Used | ClientError, ...]:
    """Open and check many answers; the node is asked once for what they share.

    Args:
        ledger: the contracts.
        opening: the consumer's registered key.
        book: has the keys of the answers.
        answers: as they came.
        bases: what is known of the bases, by id.

    Returns:
        For each what was opened, or why nothing was: denied, not released, not what it is said to be.
    """
    task = _Opening(ledger, opening, book, bases or {})
    results = [answered.result for answered in answers]
    found: dict[int, Used | ClientError] = {}
    waiting = list(range(len(answers)))
    # n-k may be wrong, and each time a gateway may begin with another one of them.
    for again in range(1 + _may_be_wrong(ledger)):
        if again:
            more = await _more_parts([answers[place].request for place in waiting])
            for place, result in zip(waiting, more, strict=True):
                results[place] = _with_parts(results[place], result)
        await task.learn([(answers[place].request, results[place]) for place in waiting])
        for place in waiting:
            found[place] = await task.open(answers[place].request, results[place])
        waiting = [place for place in waiting if _needs_more(found[place])]
        if not waiting:
            break
    opened = [found[place] for place in range(len(answers))]
    await _show_wrong_parts([one.opened for one in opened if isinstance(one, Used)])
    return tuple(opened)


async def _show_wrong_parts(opened: Sequence[Opened]) -> None:
    """Show supervision which keyholders were wrong, each once; what was opened is there without that as well."""
    proofs = {proof.holder: (one.access, proof) for one in opened for proof in one.faults.proofs}
    for access_id, proof in proofs.values():
        with suppress(ClientError):
            await show_wrong_parts(access_id, proof)


class _Opening:
    """What opening many answers shares."""

    def __init__(
        self,
        ledger: Ledger,
        opening: OpeningKey,
        book: RequestBook,
        bases: Mapping[bytes, Basis],
    ) -> None:
        self._ledger = ledger
        self._opening = opening
        self._book = book
        self._bases = bases
        self._memory = Memory()

    async def learn(self, answers: Sequence[tuple[KeptRequest, AccessResult]]) -> None:
        """Ask the node for what many share; an answer whose part could not be asked for says so itself."""
        with suppress(ClientError):
            pairs = [(result, self._known(request)) for request, result in answers]
            await learn_subjects(self._ledger, self._memory, pairs)

    async def open(self, request: KeptRequest, result: AccessResult) -> Used | ClientError:
        """Return what was opened, or why nothing was."""
        try:
            return await self._open(request, result)
        except ClientError as error:
            return error

    async def _open(self, request: KeptRequest, result: AccessResult) -> Used:
        ledger, memory, release = self._ledger, self._memory, result.release
        known = self._known(request)
        key = self._opening
        if release is not None:
            key = self._book.opening_key(request.id, key)
        opened = await open_result(ledger, key, request.submission, result, known, memory)
        if release is None:  # `open_result` has raised
            raise ClientError("nothing was released", ErrorKind.NOT_FOUND_HERE)
        schema = await memory.schema(ledger, release.dataset)
        receipt = make_receipt(ledger, request.submission, release, opened, schema.names, known)
        return Used(request, opened, receipt)

    def _known(self, request: KeptRequest) -> Basis:
        return self._bases.get(request.submission.request.basis) or Basis()


def _needs_more(found: Used | ClientError) -> bool:
    """Whether it is not opened, and may be with the parts of other keyholders."""
    return isinstance(found, VerificationError) and found.check in _UNOPENED


def _may_be_wrong(ledger: Ledger) -> int:
    """Return how many keyholders may be wrong."""
    rosters = ledger.deployment.rosters
    return max((len(one.members) - one.threshold for one in rosters), default=0)


async def _more_parts(requests: Sequence[KeptRequest]) -> tuple[AccessResult | None, ...]:
    """Ask for accesses again, as a keyholder may have sent wrong parts; None where nothing came."""
    found: list[AccessResult | None] = []
    for start in range(0, len(requests), MOST_ACCESSES):
        some = requests[start : start + MOST_ACCESSES]
        try:
            texts = await submit(some)
        except ClientError:
            found += [None] * len(some)
        else:
            found += [_decoded(text) for text in texts]
    return tuple(found)


def _decoded(text: bytes) -> AccessResult | None:
    try:
        return decode_result(text)
    except LedgerError:
        return None


def _with_parts(result: AccessResult, again: AccessResult | None) -> AccessResult:
    """Return the newer of two answers, with the parts of both."""
    if again is None or result.release is None or again.release is None:
        return result
    had, new = result.release, again.release
    keys = {held.holder: held for held in (*had.keys, *new.keys)}
    release = msgspec.structs.replace(new, keys=tuple(keys.values()))
    return msgspec.structs.replace(again, release=release)


async def open_kept(
    ledger: Ledger,
    opening: OpeningKey,
    book: RequestBook,
    request: KeptRequest,
    basis: Basis | None = None,
) -> Used:
    """Open an answer that came earlier.

    Raises:
        ClientError: it was stored, or came too long ago.
        ClientError (NOT_FOUND_HERE): none has come.
        DeniedError, ProblemError, VerificationError: as `access`.
    """
    if request.answer is None:
        raise ClientError(f"request {request.id} has no answer yet", ErrorKind.NOT_FOUND_HERE)
    answered = Answered(request, decode_result(request.answer))
    return await open_answer(ledger, opening, book, answered, basis)
