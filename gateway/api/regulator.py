"""What a regulator sees: the whole way of one thing, alerts, everything as it happens, the journal of releases."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from sse_starlette import EventSourceResponse

from gateway.api.dependencies import (
    Listener,
    encode,
    party_account,
    principal_of,
    require_role,
    services_of,
)
from gateway.api.presenters import Presenter, show_event
from gateway.errors import BodyError
from gateway.notifications import ALERTS, CHAIN
from gateway.services import Services
from gateway.store.authorizations import AuthorizationStore
from gateway.store.releases import JournalEntry
from ledger.api.journal import EndLine, JournalLine, ReleasedLine
from ledger.api.supervision import AlertsAnswer, TraceAnswer
from ledger.hexstr import from_hex, to_hex
from ledger.index.queries import Selection
from ledger.index.rows import AuthorizationEntry
from ledger.model import Roles
from ledger.typed_data import Authorization, record_to_object

_EVENTS_AT_ONCE: Final = 500


@dataclass(slots=True)
class FeedPlace:
    access: int
    """Sequence number."""
    event: int
    """Key."""
    alert: int
    """Id."""


async def follow(
    services: Services,
    place: FeedPlace,
    may: Callable[[], bool],
    wait: Callable[[str, str], Awaitable[None]],
) -> AsyncIterator[dict[str, Any]]:
    """Yield server-sent events; nothing is left out and nothing comes twice."""
    index = services.index
    while may():
        head, found = index.head, False
        async for message in _new(services, place):
            found = True
            yield message
        if not found and index.head == head:
            await wait(CHAIN, ALERTS)


async def _new(services: Services, place: FeedPlace) -> AsyncIterator[dict[str, Any]]:
    """Yield one page of each kind of which there is something new."""
    index = services.index
    if index.head.sequence > place.access:
        accesses = await index.accesses_after(place.access, _EVENTS_AT_ONCE)
        shower = Presenter(index.snapshot)
        if accesses:
            place.access = accesses[-1].sequence
            releases = await services.release_states(accesses)
            shown = [shower.access(entry, releases) for entry in accesses]
            yield _message("accesses", place.access, shown)
    events = await index.events_after(place.event, _EVENTS_AT_ONCE)
    if events:
        place.event = events[-1].key
        yield _message("events", place.event, map(show_event, events))
    alerts = await services.alerts.list(place.alert, _EVENTS_AT_ONCE)
    if alerts:
        place.alert = alerts[-1].id
        shower = Presenter(index.snapshot)
        yield _message("alerts", place.alert, map(shower.alert, alerts))


def _message(kind: str, last: int, shown: Iterable[object]) -> dict[str, Any]:
    return {"event": kind, "id": f"{kind}:{last}", "data": encode(list(shown))}


_encoder = msgspec.json.Encoder()


class JournalLines:
    def __init__(self, authorizations: AuthorizationStore) -> None:
        self._authorizations = authorizations
        self._told: set[bytes] = set()

    async def encode(self, entries: Sequence[JournalEntry]) -> bytes:
        """Return the lines of some entries.

        Raises:
            StoreUnavailableError: The database cannot be read.
        """
        new = {one.submission.request.basis for one in entries} - self._told
        found = dict(await self._authorizations.find(list(new)))
        self._told |= new
        lines = []
        for entry in entries:
            kept = found.pop(entry.submission.request.basis, None)
            lines.append(encode_journal_line(entry, None if kept is None else kept.record))
        return b"".join(lines)


def encode_journal_end(recorder: bytes, number: int, block_hash: bytes) -> bytes:
    """Write the last line, line feed included."""
    end = EndLine(to_hex(recorder), number, to_hex(block_hash))
    return _encoder.encode(end) + b"\n"


def encode_journal_line(entry: JournalEntry, authorization: Authorization | None = None) -> bytes:
    """Write one entry, line feed included, and with it the record that a person signed."""
    recorded, released = entry.recorded, entry.released
    shown = None
    if released is not None:
        shown = ReleasedLine(
            dataset=to_hex(released.dataset),
            publication=released.publication,
            records=released.records,
            holders=[to_hex(holder) for holder in released.holders],
            key=to_hex(released.key),
            at=released.released_at,
        )
    line = JournalLine(
        access=to_hex(recorded.access),
        sequence=recorded.sequence,
        outcome=recorded.outcome,
        request=record_to_object(entry.submission.request),
        signature=to_hex(entry.submission.signature),
        block_number=recorded.block_number,
        block_hash=to_hex(recorded.block_hash),
        timestamp=recorded.timestamp,
        transaction=to_hex(recorded.transaction),
        log_index=recorded.log_index,
        released=shown,
        authorization=msgspec.UNSET if authorization is None else record_to_object(authorization),
    )
    return _encoder.encode(line) + b"\n"


router = APIRouter(prefix="/v1", tags=["regulator"])

_PAGE: Final = 100
_LINES_AT_ONCE: Final = 200
_MAX_LINES: Final = 10_000

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
    shower = Presenter(services.index.snapshot)
    found = await services.alerts.list(after or 0, _PAGE)
    return AlertsAnswer(tuple(map(shower.alert, found)))


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
            if count == _MAX_LINES:
                break
        yield await writer.encode(gathered)
        if count < _MAX_LINES and end is not None:
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
    shower = Presenter(index.snapshot)
    return TraceAnswer(
        accesses=tuple(shower.access(entry, releases) for entry in accesses[:_PAGE]),
        events=tuple(map(show_event, events[:_PAGE])),
        authorizations=tuple(shower.authorization(one, signed.get(one.id)) for one in granted),
        next_access=accesses[_PAGE - 1].sequence if len(accesses) >= _PAGE else None,
        next_event=events[_PAGE - 1].key if len(events) >= _PAGE else None,
    )


async def _last_event(services: Services) -> int:
    newest = await services.index.events(Selection(), limit=1)
    return newest[0].key if newest else 0
