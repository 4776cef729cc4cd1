"""Using what was granted: sending signed requests until each has its answer.

The same signed request sent again is the same access, so sending goes on through broken connections
and busy gateways, and after a crash (`resume`). When the release window of a recorded access is over, that
is final: the request is closed, and the book remembers that its use was lost. Requests always travel as a list, also a single one:
denials and problems then come back one for each request.
"""

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from ledger.api import MAX_ACCESSES, AccessResult, Consent, Submissions
from ledger.api.access import decode_result, encode_submissions
from ledger.api.supervision import AccessesAnswer
from ledger.model import Outcome
from wallet.client.calls import Answer, HttpCall, path, pause, reader, signed_get
from wallet.client.errors import LACKING_CONSENT, RELEASE_OVER, RELEASE_STOPPED, ClientError
from wallet.client.requests import KeptRequest, RequestBook
from wallet.client.retry import USUAL, RetryPolicy

_AT_ONCE: Final = MAX_ACCESSES // 2
_CONSENTS_BYTES: Final = 1 << 21
"""Of statements in one body: a gateway takes 4 MiB, and a dataset of many fields makes long sentences."""
NO_CONSENTS: Final[Mapping[bytes, Consent]] = MappingProxyType({})
_PASSING_STATUSES: Final = frozenset((429, 502, 503, 504))


class Answered(msgspec.Struct, frozen=True):
    """A request and what came of it."""

    request: KeptRequest
    result: AccessResult


class _Results(msgspec.Struct):
    results: list[msgspec.Raw]


def submit(
    requests: Sequence[KeptRequest], consents: Mapping[bytes, Consent] = NO_CONSENTS
) -> HttpCall[tuple[bytes, ...]]:
    """Send signed requests, up to `MAX_ACCESSES`; the answer has one JSON text for each.

    Args:
        requests: from the book.
        consents: what persons signed, by the id of the basis: for a gateway that lacks it.
    """

    def read(answer: Answer) -> tuple[bytes, ...]:
        results = msgspec.json.decode(answer.body, type=_Results).results
        if len(results) != len(requests):
            raise ClientError(f"{len(results)} answers to {len(requests)} requests")
        return tuple(bytes(result) for result in results)

    submitted = [
        msgspec.structs.replace(
            request.submission, consent=consents.get(request.submission.request.basis)
        )
        for request in requests
    ]
    submissions = Submissions(tuple(submitted), single=False)
    return HttpCall("POST", "/v1/accesses", read, body=encode_submissions(submissions))


def ask_access(access: bytes) -> HttpCall[AccessResult]:
    """Ask for an access that was recorded; the consumer that made it."""
    return signed_get(path("/v1/accesses/{}", access), lambda got: decode_result(got.body))


def my_accesses(cursor: str | None = None) -> HttpCall[AccessesAnswer]:
    """Ask for the consumer's own accesses, the newest first."""
    return signed_get(path("/v1/accesses", cursor=cursor), reader(AccessesAnswer))


async def use(
    book: RequestBook,
    requests: Sequence[KeptRequest],
    patience: RetryPolicy = USUAL,
    consents: Mapping[bytes, Consent] = NO_CONSENTS,
) -> tuple[Answered, ...]:
    """Send requests until each has its final answer; answers are in the requests' order.

    Args:
        book: where the requests are kept and the answers noted.
        requests: from `RequestBook.sign` or `RequestBook.open_requests`.
        patience: how long to go on with what cannot be done now.
        consents: what persons signed, by the id of the basis; shown to a gateway that lacks it.

    Raises:
        ClientError: patience is over; what is open stays in the book.
    """
    until = time.monotonic() + patience.seconds
    wait = patience.first
    done: dict[int, Answered] = {}
    waiting = list(requests)
    while waiting:
        failure: Exception | None = None
        try:
            for start in range(0, len(waiting), _AT_ONCE):
                await _once(book, waiting[start : start + _AT_ONCE], done, consents)
        except ClientError as error:
            if not error.passes:
                raise
            failure = error
        waiting = [one for one in waiting if one.id not in done]
        if not waiting:
            break
        if time.monotonic() + wait > until:
            if failure is not None:
                raise failure
            await _last(waiting, done)
            break
        await pause(wait)
        wait = min(wait * 2, patience.longest)
    return tuple(done[request.id] for request in requests)


async def resume(
    book: RequestBook,
    consumer: bytes,
    patience: RetryPolicy = USUAL,
    consents: Mapping[bytes, Consent] = NO_CONSENTS,
) -> tuple[Answered, ...]:
    """Send again what has no answer, as after a crash; see `use`."""
    return await use(book, book.open_requests(consumer), patience, consents)


async def _once(
    book: RequestBook,
    requests: Sequence[KeptRequest],
    done: dict[int, Answered],
    consents: Mapping[bytes, Consent],
) -> None:
    """Send requests once; note those whose answer is final."""
    texts = await submit(requests)
    lacking = _take(book, requests, texts, done, consents)
    for some in _portions(lacking, consents):
        texts = await submit(some, consents)
        _take(book, some, texts, done, NO_CONSENTS)


def _portions(
    requests: Sequence[KeptRequest], consents: Mapping[bytes, Consent]
) -> list[list[KeptRequest]]:
    portions: list[list[KeptRequest]] = []
    room = 0
    for request in requests:
        statement = consents[request.submission.request.basis].authorization.statement
        room -= len(statement.encode())
        if room < 0 or not portions:
            portions.append([])
            room = _CONSENTS_BYTES - len(statement.encode())
        portions[-1].append(request)
    return portions


def _take(
    book: RequestBook,
    requests: Sequence[KeptRequest],
    texts: Sequence[bytes],
    done: dict[int, Answered],
    consents: Mapping[bytes, Consent],
) -> list[KeptRequest]:
    """Note the answers that are final; return the requests whose consent is here and not at the gateway."""
    lacking = []
    for request, text in zip(requests, texts, strict=True):
        result = decode_result(text)
        if _lacks_consent(result) and request.submission.request.basis in consents:
            lacking.append(request)
            continue
        if _is_final(result):
            book.note_answer(
                request.id, text, holds_release=result.release is not None, lost=_is_lost(result)
            )
        if _is_final(result) or _is_held(result):
            done[request.id] = Answered(request, result)
    return lacking


async def _last(requests: Sequence[KeptRequest], done: dict[int, Answered]) -> None:
    """Return what is not final for those that patience was not enough for; they stay open."""
    texts = await submit(requests)
    for request, text in zip(requests, texts, strict=True):
        done[request.id] = Answered(request, decode_result(text))


def _is_final(result: AccessResult) -> bool:
    """Whether sending the request again could bring nothing else."""
    recorded = result.recorded
    if recorded is not None and recorded.outcome != Outcome.ALLOWED:
        return True
    if result.release is not None:
        return True
    problem = result.problem
    return problem is not None and not (problem.status in _PASSING_STATUSES or _is_held(result))


def _is_held(result: AccessResult) -> bool:
    """Whether the access is recorded and may yet be handed out, but hardly soon.

    An act on chain stands against it, which may be taken back; or the gateway lacks what the person signed.
    """
    problem = result.problem
    if problem is None:
        return False
    return problem.type == RELEASE_STOPPED or (
        result.recorded is not None and problem.type in LACKING_CONSENT
    )


def _lacks_consent(result: AccessResult) -> bool:
    """Whether the gateway lacks what the person signed."""
    return result.problem is not None and result.problem.type in LACKING_CONSENT


def _is_lost(result: AccessResult) -> bool:
    """Whether a use was counted and can be handed out no more."""
    return result.problem is not None and result.problem.type == RELEASE_OVER
