"""Handles, asks, the inbox, and waiting for an answer."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Path, Request
from sse_starlette import EventSourceResponse

from gateway.access_services import AccessServices
from gateway.errors import ForbiddenError, MalformedBodyError, RoleMissingError
from gateway.inbox import Ask, GrantedAsk, ask_of
from gateway.routes.access_models import (
    AskAnswer,
    AskCreated,
    AskTaken,
    HandleAnswer,
    HandleWanted,
    InboxAnswer,
    InboxEntry,
    RefusalTaken,
)
from gateway.routes.edge import (
    access_services,
    body_schema,
    party_account,
    party_in,
    read_signed,
    subjects_of,
)
from gateway.showing import Shower
from gateway.store.inbox import StoredAsk
from gateway.topics import ask_topic, inbox_topic
from ledger.enumerations import Roles
from ledger.exchange import SignedLink
from ledger.hexes import from_hex, to_hex
from ledger.typed_data import record_to_object

router = APIRouter(prefix="/v1", tags=["inbox"])

_LOOK_AGAIN: Final = 5.0
"""Seconds after which a stream looks again by itself: another gateway may have taken the answer."""
_FINAL: Final = frozenset(("granted", "refused", "expired"))

AskPath = Annotated[str, Path(alias="request", pattern="^[0-9a-f]{32}$")]


@router.post("/handles", status_code=201, openapi_extra=body_schema(HandleWanted))
async def give_handle(request: Request) -> HandleAnswer:
    """Give a handle to a subject's inbox: to the identity authority, or to the subject itself."""
    services = access_services(request)
    signer, wanted = await read_signed(request, HandleWanted)
    subject = from_hex(wanted.subject)
    if await party_in(request, signer, Roles.IDENTITY_AUTHORITY) is None:
        own = await services.shared.index.subjects_of(signer)
        if subject not in {one.id for one in own}:
            raise ForbiddenError("a handle is given to the identity authority and to the subject")
    given = await services.inbox.give_handle(subject)
    return HandleAnswer(handle=to_hex(given.handle), expires_at=given.expires_at)


@router.post("/requests", status_code=201, openapi_extra=body_schema(AskTaken))
async def ask(request: Request) -> AskCreated:
    """Ask the person that a handle leads to. The same ask again is the same request."""
    services = access_services(request)
    signer, taken = await read_signed(request, AskTaken)
    if await party_in(request, signer, Roles.CONSUMER) is None:
        raise RoleMissingError("consumer")
    try:
        wanted = msgspec.convert(taken.ask, Ask)
    except msgspec.ValidationError as error:
        raise MalformedBodyError(f"the ask: {error}") from error
    kept = await services.inbox.ask(signer, from_hex(taken.handle), wanted)
    services.topics.touch(inbox_topic(kept.subject))
    return AskCreated(request=kept.id)


@router.get("/requests/{request}")
async def get_request(ask_id: AskPath, http: Request) -> AskAnswer:
    """Tell the consumer how its ask stands."""
    services = access_services(http)
    consumer = await party_account(http)
    return await _shown(services, await services.inbox.state(consumer, ask_id))


@router.get("/requests/{request}/events", response_class=EventSourceResponse)
async def follow_request(ask_id: AskPath, http: Request) -> EventSourceResponse:
    """Wait for the answer: an event `state` now and at each change, until it is final."""
    services = access_services(http)
    consumer = await party_account(http)
    await services.inbox.state(consumer, ask_id)

    async def events() -> AsyncIterator[dict[str, Any]]:
        told = ""
        while told not in _FINAL:
            found = await services.inbox.state(consumer, ask_id)
            if found.state != told:
                told = found.state
                shown = await _shown(services, found)
                yield {"event": "state", "data": shown.model_dump_json()}
            else:
                await services.topics.wait(_LOOK_AGAIN, ask_topic(ask_id))

    return EventSourceResponse(events())


@router.get("/inbox")
async def get_inbox(request: Request) -> InboxAnswer:
    """Show a person what waits for an answer, for all of its ids that this signer signs for."""
    services = access_services(request)
    subjects = await subjects_of(request)
    found = await services.inbox.waiting(subjects)
    return InboxAnswer(requests=[_entry(services, one) for one in found])


@router.get("/inbox/events", response_class=EventSourceResponse)
async def follow_inbox(request: Request) -> EventSourceResponse:
    """Wait for asks: an event `requests` now and at each change."""
    services = access_services(request)
    subjects = await subjects_of(request)

    async def events() -> AsyncIterator[dict[str, Any]]:
        told: tuple[str, ...] | None = None
        while True:
            found = await services.inbox.waiting(subjects)
            ids = tuple(one.id for one in found)
            if ids != told:
                told = ids
                shown = InboxAnswer(requests=[_entry(services, one) for one in found])
                yield {"event": "requests", "data": shown.model_dump_json()}
            await services.topics.wait(_LOOK_AGAIN, *map(inbox_topic, subjects))

    return EventSourceResponse(events())


@router.post("/inbox/{request}/refusal", openapi_extra=body_schema(RefusalTaken))
async def refuse(ask_id: AskPath, http: Request) -> AskAnswer:
    """Refuse an ask. The consumer sees that and the reason, if one is given."""
    services = access_services(http)
    signer, taken = await read_signed(http, RefusalTaken)
    subjects = await subjects_of(http, signer)
    kept = await services.inbox.refuse(subjects, ask_id, taken.reason)
    services.topics.touch(ask_topic(ask_id))
    return await _shown(services, GrantedAsk(kept, kept.state, None))


async def _shown(services: AccessServices, found: GrantedAsk) -> AskAnswer:
    kept, granted = found.ask, found.authorization
    answer = AskAnswer(
        request=kept.id,
        state=found.state,
        reason=kept.reason,
        created_at=kept.created_at,
        expires_at=kept.expires_at,
    )
    if kept.authorization is None or granted is None:
        return answer
    link = await _link(services, granted.record.subject, granted.record.dataset)
    approval = granted.approval
    names = await (await services.index()).names_at_grant([kept.authorization])
    return answer.model_copy(
        update={
            "subject": to_hex(kept.subject),
            "authorization_id": to_hex(kept.authorization),
            "authorization": record_to_object(granted.record),
            "approval": None
            if approval is None
            else {"signer": to_hex(approval.signer), "signature": to_hex(approval.signature)},
            "consumer_name": names.get(kept.authorization),
            "link": None if link is None else record_to_object(link.link),
            "link_signature": None if link is None else to_hex(link.signature),
            "transaction": None if granted.transaction is None else to_hex(granted.transaction),
        }
    )


async def _link(services: AccessServices, subject: bytes, dataset: bytes) -> SignedLink | None:
    kept = (await services.links.find([(subject, dataset)])).get((subject, dataset))
    return None if kept is None else kept.signed


def _entry(services: AccessServices, kept: StoredAsk) -> InboxEntry:
    shower = Shower(services.shared.index.snapshot)
    return InboxEntry(
        request=kept.id,
        subject=to_hex(kept.subject),
        consumer=to_hex(kept.consumer),
        consumer_name=shower.party_name(kept.consumer),
        ask=json.loads(msgspec.json.encode(ask_of(kept))),
        created_at=kept.created_at,
        expires_at=kept.expires_at,
    )
