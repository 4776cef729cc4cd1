"""Bringing on chain what people and parties signed. Answers come when the block is final."""

import asyncio
from contextlib import suppress
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request

from gateway.api.dependencies import body_schema, read_model, services_of
from gateway.consent.relays import Act, Grant, Relayed
from gateway.notifications import ask_topic
from gateway.services import Services
from ledger.api import SignedLink
from ledger.api.relay import (
    Approval,
    AuthorizationToRelay,
    ConfirmationToRelay,
    FreezeToRelay,
    GuardianToRelay,
    RawTransaction,
    RelayedAnswer,
    RevocationToRelay,
    RotationToRelay,
    TransactionTerms,
    VetoToRelay,
)
from ledger.chain import contract_calls
from ledger.hexstr import from_hex, to_hex
from ledger.typed_data import struct_hash

router = APIRouter(prefix="/v1", tags=["relays"])

_TIMEOUT: Final = 2.0
"""Seconds to wait for the index after a relay."""


@router.post("/authorizations", openapi_extra=body_schema(AuthorizationToRelay))
async def authorize(request: Request) -> RelayedAnswer:
    """Bring a signed authorization on chain. What is on chain already is answered alike."""
    services = services_of(request)
    taken = await read_model(request, AuthorizationToRelay)
    record, link = taken.authorization, SignedLink(taken.link, taken.link_signature)
    grant = Grant(record, _approval(taken.approval), link, taken.request)
    done = await services.relays.authorize(grant)
    if taken.request is not None:
        services.topics.notify(ask_topic(taken.request))
    return await _answer(services, done, struct_hash(record))


@router.post("/revocations", openapi_extra=body_schema(RevocationToRelay))
async def revoke(request: Request) -> RelayedAnswer:
    """Bring a signed revocation on chain: from the next block on the authorization opens nothing."""
    taken = await read_model(request, RevocationToRelay)
    record = taken.revocation
    return await _act(request, record, taken.approval, record.authorization)


@router.post("/confirmations", openapi_extra=body_schema(ConfirmationToRelay))
async def confirm(request: Request) -> RelayedAnswer:
    """Bring on chain that a new key stands by an authorization of the old one."""
    taken = await read_model(request, ConfirmationToRelay)
    record = taken.confirmation
    return await _act(request, record, taken.approval, record.authorization)


@router.post("/freezes", openapi_extra=body_schema(FreezeToRelay))
async def freeze(request: Request) -> RelayedAnswer:
    """Bring a signed freeze, or its end, on chain."""
    taken = await read_model(request, FreezeToRelay)
    return await _act(request, taken.freeze, taken.approval)


@router.post("/rotations", openapi_extra=body_schema(RotationToRelay))
async def rotate(request: Request) -> RelayedAnswer:
    """Bring a signed change of a subject's signer on chain."""
    taken = await read_model(request, RotationToRelay)
    return await _act(request, taken.rotation, taken.approval)


@router.post("/vetoes", openapi_extra=body_schema(VetoToRelay))
async def veto(request: Request) -> RelayedAnswer:
    """Bring the old key's veto against a recovery on chain."""
    taken = await read_model(request, VetoToRelay)
    return await _act(request, taken.veto, taken.approval)


@router.post("/guardians", openapi_extra=body_schema(GuardianToRelay))
async def appoint(request: Request) -> RelayedAnswer:
    """Bring the appointment or dismissal of a guardian on chain."""
    taken = await read_model(request, GuardianToRelay)
    return await _act(request, taken.appointment, taken.approval)


@router.post("/transactions", openapi_extra=body_schema(RawTransaction))
async def transact(request: Request) -> RelayedAnswer:
    """Relay a party's own transaction, only to the five contracts."""
    services = services_of(request)
    taken = await read_model(request, RawTransaction)
    return await _answer(services, await services.relays.transact(taken.raw))


@router.get("/transactions/{address}")
async def get_terms(
    address: Annotated[str, Path(pattern="^0x[0-9a-f]{40}$")], request: Request
) -> TransactionTerms:
    """Tell a party without a node what it needs to sign its next transaction."""
    return await services_of(request).relays.outlook(from_hex(address))


async def _act(
    request: Request, record: Act, approval: Approval, authorization: bytes | None = None
) -> RelayedAnswer:
    services: Services = services_of(request)
    done = await services.relays.act(record, _approval(approval))
    return await _answer(services, done, authorization)


def _approval(approval: Approval) -> contract_calls.Approval:
    return contract_calls.Approval(approval.signer, approval.signature)


async def _answer(
    services: Services, done: Relayed, authorization: bytes | None = None
) -> RelayedAnswer:
    """Answer when the index has it too, so that whoever asks next sees what it wrote."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_TIMEOUT):
            await services.index.wait_for(done.block_number)
    return RelayedAnswer(
        transaction=to_hex(done.transaction),
        block_number=done.block_number,
        block_hash=to_hex(done.block_hash),
        id=None if authorization is None else to_hex(authorization),
    )
