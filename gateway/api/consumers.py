"""What a consumer must hear: which of its authorizations ended, halted or go on."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from sse_starlette import EventSourceResponse

from gateway.api.dependencies import Listener, encode, services_of
from gateway.api.presenters import show_log, show_revocation
from gateway.notifications import CHAIN
from gateway.services import Services
from ledger.api.supervision import RevocationLogs, RevocationsAnswer, RevocationShown

router = APIRouter(prefix="/v1", tags=["consumers"])

_PAGE: Final = 500
_ENDING: Final = frozenset(
    (
        *("Revoked", "Confirmed", "SubjectFrozen", "SubjectUnfrozen"),
        *("SubjectClosed", "SubjectOpened"),
        *("RecoveryStarted", "RecoveryVetoed", "RecoveryCompleted"),
    )
)

Since = Annotated[int, Query(ge=0, lt=2**62)]


@router.get("/revocations")
async def get_revocations(
    request: Request, since: Since = 0, cursor: Since = 0
) -> RevocationsAnswer:
    """List what ended or halted authorizations, from a block on. All of it is public on chain."""
    return await _page(services_of(request), since, cursor)


@router.get("/revocations/logs")
async def get_revocation_logs(request: Request, since: Since = 0) -> RevocationLogs:
    """Return every log of `Authorizations` in some blocks, from one on; empty when there is none yet.

    Of these a consumer makes the list of revocations by itself: each log has its number and the contract a
    running hash over all of them, so that one which is left out, added or changed shows.
    """
    part = await services_of(request).revocation_logs(since)
    return RevocationLogs(
        logs=tuple(map(show_log, part.logs)),
        first_block=part.first,
        last_block=part.last,
    )


@router.get("/revocations/events", response_class=EventSourceResponse)
async def follow_revocations(
    request: Request, since: Since = 0, cursor: Since = 0
) -> EventSourceResponse:
    """Hear of them as they happen: an event `revocations` for each page that is not empty.

    It ends after a session's length: connect again, from the last page's `next` on.
    """
    services, listener = services_of(request), Listener(request)

    async def events() -> AsyncIterator[dict[str, Any]]:
        after = cursor
        while not listener.is_over:
            head = services.index.head
            page = await _page(services, since, after)
            if page.revocations:
                yield {"event": "revocations", "data": encode(page)}
            if page.next == after and services.index.head == head:
                await listener.wait(CHAIN)
            after = page.next

    return EventSourceResponse(events())


async def _page(services: Services, since: int, after: int) -> RevocationsAnswer:
    index = services.index
    number = index.head.number
    found: list[RevocationShown] = []
    while not found:
        events = await index.events_after(after, _PAGE)
        if not events:
            break
        after = events[-1].key
        found = [
            show_revocation(event)
            for event in events
            if event.name in _ENDING and event.place.block_number >= since
        ]
    return RevocationsAnswer(revocations=tuple(found), block_number=number, next=after)
