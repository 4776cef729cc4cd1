"""What a regulator sees: the whole way of one thing, alerts, everything as it happens, the journal."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from sse_starlette import EventSourceResponse

from gateway.errors import BodyError
from gateway.feed import FeedPlace, follow
from gateway.journal_export import JournalLines, encode_journal_end
from gateway.routes.access_models import AlertsAnswer, TraceAnswer
from gateway.routes.edge import party_account, principal_of, require_role, services_of
from gateway.routes.streams import Listener
from gateway.services import Services
from gateway.showing import Shower, show_event
from gateway.store.releases import JournalEntry
from ledger.hexstr import from_hex
from ledger.index.queries import Selection
from ledger.index.rows import AuthorizationEntry
from ledger.model import Roles

router = APIRouter(prefix="/v1", tags=["regulator"])

_PAGE: Final = 100
_LINES_AT_ONCE: Final = 200
_MOST_LINES: Final = 10_000

HashQuery = Annotated[str | None, Query(pattern="^0x[0-9a-f]{64}$")]
AddressQuery = Annotated[str | None, Query(pattern="^0x[0-9a-f]{40}$")]
NumberQuery = Annotated[int | None, Query(ge=0, lt=2**62)]


@router.get("/trace")
async def trace(
    request: Request,
    subject: HashQuery = None,
    authorization: HashQuery = None,
    consumer: AddressQuery = None,
    dataset: HashQuery = None,
    case: HashQuery = None,
    before_access: NumberQuery = None,
    before_event: NumberQuery = None,
) -> TraceAnswer:
    """Show the whole way of one subject, authorization, consumer, dataset or case (its reference)."""
    services = await _for_regulator(request)
    given = [one for one in (subject, authorization, consumer, dataset, case) if one is not None]
    if len(given) != 1:
        raise BodyError("trace exactly one of subject, authorization, consumer, dataset, case")
    granted = await _authorizations(services, subject, authorization, consumer, case)
    selections = [
        Selection(
            subjects=None if subject is None else (from_hex(subject),),
            party=None if consumer is None else from_hex(consumer),
            dataset=None if dataset is None else from_hex(dataset),
            basis=None if authorization is None else from_hex(authorization),
        )
    ]
    if case is not None:
        selections = [Selection(basis=entry.id) for entry in granted]
    return await _traced(services, selections, granted, before_access, before_event)


@router.get("/alerts")
async def get_alerts(request: Request, after: NumberQuery = None) -> AlertsAnswer:
    """List what supervision found, in order, after an id."""
    services = await _for_regulator(request)
    shower = Shower(services.index.snapshot)
    found = await services.alerts.list(after or 0, _PAGE)
    return AlertsAnswer(alerts=[shower.alert(one) for one in found])


@router.get("/feed", response_class=EventSourceResponse)
async def feed(
    request: Request,
    after: NumberQuery = None,
    after_event: NumberQuery = None,
    after_alert: NumberQuery = None,
) -> EventSourceResponse:
    """Follow everything: `accesses`, `events` (all others of the chain) and `alerts`, each a JSON list.

    From now on, or after a sequence number, an event's key, an alert's id. It ends with the role, with the
    session, and after a session's length at the latest: connect again.
    """
    services, may, listener = await _listening(request)
    place = FeedPlace(
        services.index.head.sequence if after is None else after,
        await _last_event(services) if after_event is None else after_event,
        await services.alerts.last() if after_alert is None else after_alert,
    )
    return EventSourceResponse(follow(services, place, may, listener.wait))


@router.get("/journal", response_class=StreamingResponse)
async def journal(
    request: Request, first: Annotated[int, Query(alias="from", ge=0, lt=2**62)] = 0
) -> StreamingResponse:
    """Export the journal of releases as NDJSON, from a sequence number on: no payloads, no keys.

    With the statements that persons signed, once each: they hold the consumers' case numbers.
    At most 10,000 lines; ask again from the number after the last one's until a line of kind `end` or
    nothing comes. That line says up to which block the accesses of which recorder are there.
    """
    services, may, _ = await _listening(request)
    end = services.journal_end()  # before it is read: what is recorded meanwhile may be missing

    async def lines() -> AsyncIterator[bytes]:
        writer = JournalLines(services.authorizations)
        gathered: list[JournalEntry] = []
        count = 0
        async for entry in services.journal.read(first):
            gathered.append(entry)
            count += 1
            if len(gathered) == _LINES_AT_ONCE:
                if not may():  # whoever reads slowly; without a line of the end, who may asks again
                    return
                yield await writer.encode(gathered)
                gathered.clear()
            if count == _MOST_LINES:
                break
        yield await writer.encode(gathered)
        if count < _MOST_LINES and end is not None:
            yield encode_journal_end(*end)

    return StreamingResponse(lines(), media_type="application/x-ndjson")


async def _for_regulator(request: Request) -> Services:
    await require_role(request, await party_account(request), Roles.REGULATOR)
    return services_of(request)


async def _listening(request: Request) -> tuple[Services, Callable[[], bool], Listener]:
    """Return what a regulator's stream works with, and how it asks whether it still may tell."""
    services, principal = services_of(request), await principal_of(request)
    regulator = await require_role(request, principal.account, Roles.REGULATOR)
    listener, index = Listener(request, principal), services.index

    def may() -> bool:
        active = index.snapshot.party(regulator, Roles.REGULATOR) is not None
        return active and not listener.is_over

    return services, may, listener


async def _authorizations(
    services: Services,
    subject: str | None,
    authorization: str | None,
    consumer: str | None,
    case: str | None,
) -> list[AuthorizationEntry]:
    index = await services.fresh_index()
    if authorization is not None:
        found = await index.authorization(from_hex(authorization))
        return [] if found is None else [found]
    if subject is None and consumer is None and case is None:
        return []
    pairs = await index.authorizations(
        subjects=None if subject is None else (from_hex(subject),),
        consumer=None if consumer is None else from_hex(consumer),
        case_reference=None if case is None else from_hex(case),
        limit=_PAGE,
    )
    return [entry for _, entry in pairs]


async def _traced(
    services: Services,
    selections: list[Selection],
    granted: list[AuthorizationEntry],
    before_access: int | None,
    before_event: int | None,
) -> TraceAnswer:
    index = await services.fresh_index()
    accesses = [
        entry
        for selection in selections
        for entry in await index.accesses(selection, before=before_access, limit=_PAGE)
    ]
    events = [
        entry
        for selection in selections
        for entry in await index.events(selection, before=before_event, limit=_PAGE)
    ]
    accesses.sort(key=lambda entry: -entry.sequence)
    events.sort(key=lambda entry: -entry.key)
    signed = await services.authorizations.find([entry.id for entry in granted])
    releases = await services.release_states(accesses[:_PAGE])
    shower = Shower(index.snapshot)
    return TraceAnswer(
        accesses=[shower.access(entry, releases) for entry in accesses[:_PAGE]],
        events=[show_event(entry) for entry in events[:_PAGE]],
        authorizations=[shower.authorization(one, signed.get(one.id)) for one in granted],
        next_access=accesses[_PAGE - 1].sequence if len(accesses) >= _PAGE else None,
        next_event=events[_PAGE - 1].key if len(events) >= _PAGE else None,
    )


async def _last_event(services: Services) -> int:
    newest = await services.index.events(Selection(), limit=1)
    return newest[0].key if newest else 0
