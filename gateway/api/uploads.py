"""How a provider hands over the ciphertext of a publication, and has a record erased."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from hashlib import sha256
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response

from gateway.api.dependencies import (
    body_schema,
    dataset_of,
    party_account,
    read_signed,
    require_role,
    services_of,
)
from gateway.auth import verify_digest
from gateway.errors import ConflictError, ForbiddenError, UnauthenticatedError, UnknownError
from gateway.publishing.ingest import UploadRules
from gateway.services import Services
from gateway.store.uploads import Upload
from ledger.api.forms import answer_of
from ledger.api.uploads import (
    ErasureWanted,
    PublishWanted,
    Sealed,
    Served,
    UploadBegun,
    UploadShown,
    UploadWanted,
)
from ledger.crypto.merkle import TreeHead
from ledger.hexstr import to_hex
from ledger.index.index import Index
from ledger.index.rows import DatasetEntry, ErasureEntry, PublicationEntry
from ledger.model import Roles
from ledger.service.errors import BodyError, BodyFault
from ledger.service.request_body import stream_body

router = APIRouter(prefix="/v1", tags=["uploads"])

_NDJSON: Final = "application/x-ndjson"
_TIMEOUT: Final = 5.0
"""Seconds to wait until the index has what the provider has just put on chain."""

FoundT = TypeVar("FoundT")

DatasetPath = Annotated[str, Path(pattern="^0x[0-9a-f]{64}$")]
UploadPath = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
_LINES: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {_NDJSON: {"schema": {"type": "string"}}}}
}


@router.post(
    "/datasets/{dataset}/uploads", status_code=201, openapi_extra=body_schema(UploadWanted)
)
async def begin(dataset: DatasetPath, request: Request) -> UploadBegun:
    """Begin an upload."""
    services = services_of(request)
    signer, wanted = await read_signed(request, UploadWanted)
    found = _provided(await dataset_of(request, dataset), signer)
    await require_role(request, signer, Roles.PROVIDER)
    upload = await services.publishing.open(found.id, signer, wanted.base)
    return UploadBegun(upload=upload.id, received=upload.received)


@router.get("/uploads/{upload}")
async def get_upload(upload: UploadPath, request: Request) -> UploadShown:
    """Tell how far an upload is."""
    found = await _upload_of(request, upload, await party_account(request))
    return answer_of(UploadShown, found, upload=found.id)


@router.put("/uploads/{upload}/lines", openapi_extra=_LINES)
async def receive(
    upload: UploadPath,
    request: Request,
    first: Annotated[int, Query(alias="from", ge=0, lt=2**32)] = 0,
) -> UploadBegun:
    """Take lines, from the one where the upload stands. What was stored stays when the rest fails."""
    services = services_of(request)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _NDJSON:
        raise BodyError(f"send {_NDJSON}", BodyFault.MEDIA_TYPE)
    head = await services.authenticator.verify_head(request, has_body=True)
    found = await _upload_of(request, upload, head.address)
    await services.authenticator.remember(head)
    dataset = _provided(await dataset_of(request, to_hex(found.dataset)), head.address)
    rules = UploadRules(
        len(dataset.fields),
        dataset.personal,
        is_delta=found.base > 0,
        epochs=frozenset([roster.epoch for roster in services.deployment.rosters]),
    )
    hashed = sha256()

    async def body() -> AsyncIterator[bytes]:
        settings = services.settings
        async for piece in stream_body(request, settings.lines_limit, settings.body_timeout):
            hashed.update(piece)
            yield piece

    received = await services.publishing.receive(found, rules, first, body())
    try:
        verify_digest(head, hashed.digest())
    except UnauthenticatedError:
        await services.publishing.take_back(received, first)
        raise
    services.metrics.lines.inc(received.received - first)
    return UploadBegun(upload=received.id, received=received.received)


@router.post("/uploads/{upload}/seal")
async def seal(upload: UploadPath, request: Request) -> Sealed:
    """End an upload: put the whole version together and tell its root and count."""
    found = await _upload_of(request, upload, await party_account(request))
    sealed = await services_of(request).publishing.seal(found)
    if sealed.head is None:
        raise UnknownError("sealed upload")
    return Sealed(root=to_hex(sealed.head.root), count=sealed.head.size)


@router.post("/uploads/{upload}/publish", openapi_extra=body_schema(PublishWanted))
async def publish(upload: UploadPath, request: Request) -> Served:
    """Serve a sealed upload as a version that is on chain, if root and count are the same."""
    services = services_of(request)
    signer, wanted = await read_signed(request, PublishWanted)
    found = await _upload_of(request, upload, signer)
    published = await _publication(services, found.dataset, wanted.version)
    head = TreeHead(published.count, published.root)
    block = services.index.head.number
    served = await services.publishing.publish(found, wanted.version, head, block)
    return answer_of(Served, served)


@router.delete("/uploads/{upload}", status_code=204, response_class=Response)
async def drop(upload: UploadPath, request: Request) -> Response:
    """Give an upload up."""
    found = await _upload_of(request, upload, await party_account(request))
    await services_of(request).publishing.delete(found)
    return Response(status_code=204)


@router.post(
    "/datasets/{dataset}/erasures",
    status_code=204,
    response_class=Response,
    openapi_extra=body_schema(ErasureWanted),
)
async def erase_record(dataset: DatasetPath, request: Request) -> Response:
    """Destroy salt and ciphertexts of a record whose tombstone is on chain.

    Also for a provider that was withdrawn since: it can set no tombstone any more, and what it set is owed to
    the person.
    """
    services = services_of(request)
    signer, wanted = await read_signed(request, ErasureWanted)
    found = _provided(await dataset_of(request, dataset), signer)
    tombstone = await _tombstone(services, found, wanted.transaction)
    await services.publishing.erase(tombstone)
    return Response(status_code=204)


def _provided(dataset: DatasetEntry, provider: bytes) -> DatasetEntry:
    if dataset.provider != provider:
        raise ForbiddenError("the dataset is another provider's", "not-the-provider")
    return dataset


async def _upload_of(request: Request, upload: str, provider: bytes) -> Upload:
    found = await services_of(request).publishing.get(upload)
    if found.provider != provider:
        raise ForbiddenError("the upload is another provider's", "not-the-provider")
    await require_role(request, provider, Roles.PROVIDER)
    return found


async def _publication(services: Services, dataset: bytes, version: int) -> PublicationEntry:
    found = await _soon(services.index, lambda index: index.publication(dataset, version))
    if found is None:
        raise ConflictError(f"version {version} is not on chain", "publication-unknown")
    return found


async def _tombstone(services: Services, dataset: DatasetEntry, transaction: bytes) -> ErasureEntry:
    found = await _soon(services.index, lambda index: index.erasures(transaction))
    if not found:
        raise UnknownError("tombstone on chain")
    if found[0].dataset != dataset.id:
        raise UnknownError("tombstone of this dataset")
    return found[0]


async def _soon(index: Index, look: Callable[[Index], Awaitable[FoundT]]) -> FoundT | None:
    """Return what the index has now, or within a few seconds; None for nothing."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_TIMEOUT):
            head = index.head
            while not (found := await look(index)):
                head = await index.wait_for_change(head)
            return found
    return None
