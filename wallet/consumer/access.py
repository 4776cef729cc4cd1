"""Using a basis: sign requests, send them until they are answered, open and check the answers."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from ledger.api import MAX_ACCESSES, AccessResult
from ledger.api.access import decode_result
from ledger.crypto.hpke import DecryptionKey, EncryptionKey
from ledger.errors import LedgerError
from ledger.typed_data import AccessRequest
from wallet.client.accesses import NO_CONSENTS, Answered, submit, use
from wallet.client.chain_cache import ChainCache
from wallet.client.errors import Check, ClientError, ErrorKind, VerificationError
from wallet.client.party import ChainAccess, PartyKey
from wallet.client.receipts import Receipt, make_receipt
from wallet.client.requests import Asked, KeptRequest, RequestBook
from wallet.client.retry import USUAL, RetryPolicy
from wallet.client.supervision import show_wrong_parts
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
    ledger: ChainAccess,
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
        numbers = ", ".join(str(request.id) for request in lost)
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
    ledger: ChainAccess,
    opening: DecryptionKey,
    book: RequestBook,
    request: KeptRequest,
    basis: Basis | None = None,
    patience: RetryPolicy = USUAL,
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
    ledger: ChainAccess,
    opening: DecryptionKey,
    book: RequestBook,
    answered: Answered,
    basis: Basis | None = None,
) -> Used:
    """Open and check an answer; see `access`."""
    bases = {} if basis is None else {answered.request.submission.request.basis: basis}
    (used,) = await open_answers(ledger, opening, book, (answered,), bases)
    if isinstance(used, ClientError):
        raise used
    return used


async def open_answers(
    ledger: ChainAccess,
    opening: DecryptionKey,
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
    known = [
        (bases or {}).get(answered.request.submission.request.basis) or Basis()
        for answered in answers
    ]
    results = [answered.result for answered in answers]
    opened: dict[int, Used | ClientError] = {}
    waiting = list(range(len(answers)))
    memory = ChainCache()
    # n-k may be wrong, and each time a gateway may begin with another one of them.
    rosters = ledger.deployment.rosters
    wrong = max((len(roster.members) - roster.threshold for roster in rosters), default=0)
    for again in range(1 + wrong):
        if again:
            more = await _more_parts([answers[place].request for place in waiting])
            for place, result in zip(waiting, more, strict=True):
                results[place] = _with_parts(results[place], result)
        with suppress(ClientError):  # an answer whose part could not be asked for says so itself
            await learn_subjects(
                ledger, memory, [(results[place], known[place]) for place in waiting]
            )
        for place in waiting:
            request, result = answers[place].request, results[place]
            try:
                opened[place] = await _open(
                    ledger, opening, book, memory, request, result, known[place]
                )
            except ClientError as error:
                opened[place] = error
        waiting = [place for place in waiting if _needs_more(opened[place])]
        if not waiting:
            break
    used = [opened[place] for place in range(len(answers))]
    # Each keyholder once; what was opened is there without that as well.
    proofs = {
        proof.holder: (each.opened.access, proof)
        for each in used
        if isinstance(each, Used)
        for proof in each.opened.faults.proofs
    }
    for access_id, proof in proofs.values():
        with suppress(ClientError):
            await show_wrong_parts(access_id, proof)
    return tuple(used)


async def _open(
    ledger: ChainAccess,
    opening: DecryptionKey,
    book: RequestBook,
    memory: ChainCache,
    request: KeptRequest,
    result: AccessResult,
    known: Basis,
) -> Used:
    release = result.release
    key = opening if release is None else book.opening_key(request.id, opening)
    opened = await open_result(ledger, key, request.submission, result, known, memory)
    if release is None:  # `open_result` has raised
        raise ClientError("nothing was released", ErrorKind.NOT_FOUND_HERE)
    schema = await memory.schema(ledger, release.dataset)
    receipt = make_receipt(ledger, request.submission, release, opened, schema.names, known)
    return Used(request, opened, receipt)


def _needs_more(opened: Used | ClientError) -> bool:
    """Whether it is not opened, and may be with the parts of other keyholders."""
    return isinstance(opened, VerificationError) and opened.check in _UNOPENED


async def _more_parts(requests: Sequence[KeptRequest]) -> list[AccessResult | None]:
    """Ask for accesses again, as a keyholder may have sent wrong parts; None where nothing came."""
    results: list[AccessResult | None] = []
    for start in range(0, len(requests), MAX_ACCESSES):
        batch = requests[start : start + MAX_ACCESSES]
        try:
            texts = await submit(batch)
        except ClientError:
            results += [None] * len(batch)
            continue
        for text in texts:
            try:
                results.append(decode_result(text))
            except LedgerError:
                results.append(None)
    return results


def _with_parts(result: AccessResult, again: AccessResult | None) -> AccessResult:
    """Return the newer of two answers, with the parts of both."""
    if again is None or result.release is None or again.release is None:
        return result
    had, new = result.release, again.release
    keys = {held.holder: held for held in (*had.keys, *new.keys)}
    release = msgspec.structs.replace(new, keys=tuple(keys.values()))
    return msgspec.structs.replace(again, release=release)


async def open_kept(
    ledger: ChainAccess,
    opening: DecryptionKey,
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
