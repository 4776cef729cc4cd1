"""Handles, asks, the inbox, and waiting for an answer."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request
from sse_starlette import EventSourceResponse

from gateway.api.dependencies import (
    Listener,
    body_schema,
    encode,
    party_account,
    principal_of,
    read_signed,
    require_role,
    services_of,
    subjects_of,
)
from gateway.api.presenters import Presenter, show_approval
from gateway.consent.inbox import GrantedAsk
from gateway.notifications import ask_topic, inbox_topic
from gateway.services import Services
from gateway.store.inbox import StoredAsk
from ledger.api import SignedLink
from ledger.api.consent import (
    AskAnswer,
    AskCreated,
    AskTaken,
    HandleAnswer,
    HandleWanted,
    InboxAnswer,
    InboxEntry,
    RefusalTaken,
)
from ledger.hexstr import to_hex
from ledger.index.rows import AuthorizationEntry
from ledger.model import Roles
from ledger.typed_data import Authorization, record_to_object

router = APIRouter(prefix="/v1", tags=["inbox"])

_FINAL: Final = frozenset(("granted", "refused", "expired"))

AskPath = Annotated[str, Path(alias="request", pattern="^[0-9a-f]{32}$")]


@router.post("/handles", status_code=201, openapi_extra=body_schema(HandleWanted))
async def give_handle(request: Request) -> HandleAnswer:
    """Give a handle to a subject's inbox: to its identity authority, or to the subject itself."""
    services = services_of(request)
    signer, wanted = await read_signed(request, HandleWanted)
    return await services.inbox.give_handle(signer, wanted.subject)


@router.post("/requests", status_code=201, openapi_extra=body_schema(AskTaken))
async def ask(request: Request) -> AskCreated:
    """Ask the person that a handle leads to. The same ask again is the same request."""
    services = services_of(request)
    signer, taken = await read_signed(request, AskTaken)
    await require_role(request, signer, Roles.CONSUMER)
    kept = await services.inbox.ask(signer, taken.handle, taken.ask)
    services.topics.notify(inbox_topic(kept.subject))
    return AskCreated(request=kept.id)


@router.get("/requests/{request}")
async def get_request(ask_id: AskPath, http: Request) -> AskAnswer:
    """Tell the consumer how its ask stands."""
    services = services_of(http)
    consumer = await party_account(http)
    return await _shown(services, await services.inbox.state(consumer, ask_id))


@router.get("/requests/{request}/events", response_class=EventSourceResponse)
async def follow_request(ask_id: AskPath, http: Request) -> EventSourceResponse:
    """Wait for the answer: an event `state` now and at each change, until it is final.

    It ends with the session, and after a session's length at the latest: connect again.
    """
    services, principal = services_of(http), await principal_of(http)
    consumer, listener = principal.account, Listener(http, principal)
    await services.inbox.state(consumer, ask_id)

    async def events() -> AsyncIterator[dict[str, Any]]:
        told = ""
        while told not in _FINAL and not listener.is_over:
            found = await services.inbox.state(consumer, ask_id)
            if found.state != told:
                told = found.state
                shown = await _shown(services, found)
                yield {"event": "state", "data": encode(shown)}
            else:
                await listener.wait(ask_topic(ask_id))

    return EventSourceResponse(events())


@router.get("/inbox")
async def get_inbox(request: Request) -> InboxAnswer:
    """Show a person what waits for an answer, for all of its ids that this signer signs for."""
    services = services_of(request)
    subjects = await subjects_of(request)
    found = await services.inbox.waiting(subjects)
    return InboxAnswer(tuple(_entry(services, kept) for kept in found))


@router.get("/inbox/events", response_class=EventSourceResponse)
async def follow_inbox(request: Request) -> EventSourceResponse:
    """Wait for asks: an event `requests` now and at each change.

    It ends when the signer signs for nobody any more, with the session, and after a session's length at the
    latest: connect again.
    """
    services, principal = services_of(request), await principal_of(request)
    listener, index = Listener(request, principal), services.index
    await subjects_of(request, principal.signer)

    async def events() -> AsyncIterator[dict[str, Any]]:
        told: tuple[str, ...] | None = None
        while not listener.is_over:
            # Anew each time: a thief of the phone must not go on reading after a rotation or recovery.
            subjects = await index.subjects_of(principal.signer)
            if not subjects:
                return
            found = await services.inbox.waiting(subjects)
            ids = tuple(one.id for one in found)
            if ids != told:
                told = ids
                shown = InboxAnswer(tuple(_entry(services, kept) for kept in found))
                yield {"event": "requests", "data": encode(shown)}
            await listener.wait(*(inbox_topic(subject.id) for subject in subjects))

    return EventSourceResponse(events())


@router.post("/inbox/{request}/refusal", openapi_extra=body_schema(RefusalTaken))
async def refuse(ask_id: AskPath, http: Request) -> AskAnswer:
    """Refuse an ask. The consumer sees that and the reason, if one is given."""
    services = services_of(http)
    signer, taken = await read_signed(http, RefusalTaken)
    subjects = await subjects_of(http, signer)
    kept = await services.inbox.refuse(subjects, ask_id, taken.reason)
    services.topics.notify(ask_topic(ask_id))
    return await _shown(services, GrantedAsk(kept, kept.state, None))


async def _shown(services: Services, found: GrantedAsk) -> AskAnswer:
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
    link = await _link(services, kept.authorization, granted.record)
    names = await (await services.fresh_index()).names_at_grant([kept.authorization])
    return replace(
        answer,
        subject=to_hex(kept.subject),
        authorization_id=to_hex(kept.authorization),
        authorization=record_to_object(granted.record),
        approval=show_approval(granted.approval),
        consumer_name=names.get(kept.authorization),
        link=None if link is None else record_to_object(link.link),
        link_signature=None if link is None else to_hex(link.signature),
        transaction=None if granted.transaction is None else to_hex(granted.transaction),
    )


async def _link(
    services: Services, authorization: bytes, record: Authorization
) -> SignedLink | None:
    """Return the link, renewed as it may be, while there is something that a consumer needs it for."""
    index = await services.fresh_index()
    found = await index.authorization(authorization)
    if found is None:  # another gateway may have brought it on chain a moment ago
        await services.freshness.catch_up()
        found = await index.authorization(authorization)
    consumer = index.snapshot.party(record.consumer, Roles.CONSUMER)
    if found is None or consumer is None or _is_over(found, index.head.timestamp):
        return None
    tie = (record.subject, record.dataset)
    kept = (await services.links.find([tie])).get(tie)
    return None if kept is None else kept.signed


def _is_over(authorization: AuthorizationEntry, now: int) -> bool:
    used_up = authorization.uses >= authorization.max_uses
    return (
        authorization.revoked or authorization.halted or used_up or authorization.expires_at <= now
    )


def _entry(services: Services, kept: StoredAsk) -> InboxEntry:
    shower = Presenter(services.index.snapshot)
    return InboxEntry(
        request=kept.id,
        subject=to_hex(kept.subject),
        consumer=to_hex(kept.consumer),
        consumer_name=shower.party_name(kept.consumer),
        ask=json.loads(kept.body),
        created_at=kept.created_at,
        expires_at=kept.expires_at,
    )
