"""What anyone may know: catalogue, datasets, purposes, parties, deployment, some numbers."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from gateway.api.dependencies import dataset_of, services_of
from gateway.api.presenters import Presenter
from gateway.errors import UnknownError
from gateway.services import Services
from ledger.api.catalogue import (
    DatasetShown,
    PartiesAnswer,
    PartyShown,
    PublicationShown,
    PurposesAnswer,
    PurposeShown,
    StatsAnswer,
    TextShown,
)
from ledger.api.forms import answer_of
from ledger.chain.deployment import encode_deployment
from ledger.hexstr import from_hex, to_hex
from ledger.index.rows import DatasetEntry, PartyEntry, Snapshot
from ledger.model import CLASSES, Roles
from ledger.plain_text import iso_moment

router = APIRouter(prefix="/v1", tags=["public"])

_CLASSES = {number: name for name, number in CLASSES.items()}


@router.get("/catalogue", response_class=Response)
async def get_catalogue(request: Request) -> Response:
    """Give the catalogue as DCAT 3 in JSON-LD."""
    snapshot = services_of(request).index.snapshot
    document = {
        "@context": {
            "dcat": "http://www.w3.org/ns/dcat#",
            "dct": "http://purl.org/dc/terms/",
            "foaf": "http://xmlns.com/foaf/0.1/",
            "qc": "urn:quancheng:",
        },
        "@type": "dcat:Catalog",
        "dct:title": "泉城公共数据目录 / Quancheng catalogue",
        "dcat:dataset": [
            _dcat(dataset, snapshot)
            for dataset in snapshot.datasets.values()
            if not dataset.withdrawn
        ],
    }
    body = json.dumps(document, ensure_ascii=False).encode()
    return Response(body, media_type="application/ld+json")


@router.get("/datasets/{dataset}")
async def get_dataset(
    dataset: Annotated[str, Path(pattern="^0x[0-9a-f]{64}$")], request: Request
) -> DatasetShown:
    """Show a dataset."""
    return await _shown(services_of(request), await dataset_of(request, dataset))


@router.get("/purposes")
async def get_purposes(request: Request) -> PurposesAnswer:
    """Show all purposes."""
    snapshot = services_of(request).index.snapshot
    purposes = [
        answer_of(
            PurposeShown,
            purpose,
            purpose=to_hex(purpose.id),
            texts=[TextShown(*text) for text in purpose.texts],
            fields={to_hex(dataset): str(mask) for dataset, mask in purpose.fields.items()},
        )
        for purpose in snapshot.purposes.values()
    ]
    return PurposesAnswer(tuple(purposes))


@router.get("/parties")
async def get_parties(request: Request) -> PartiesAnswer:
    """Show all parties."""
    parties = services_of(request).index.snapshot.parties.values()
    return PartiesAnswer(tuple(map(_party, parties)))


@router.get("/parties/{address}")
async def get_party(
    address: Annotated[str, Path(pattern="^0x[0-9a-f]{40}$")], request: Request
) -> PartyShown:
    """Show a party."""
    services = services_of(request)
    party = from_hex(address)
    found = await services.freshness.find(lambda: services.index.snapshot.parties.get(party))
    if found is None:
        raise UnknownError("party")
    return _party(found)


@router.get("/deployment", response_class=Response)
async def get_deployment(request: Request) -> Response:
    """Give the deployment file, to be checked against a node of one's own."""
    body = encode_deployment(services_of(request).deployment)
    return Response(body, media_type="application/json")


@router.get("/stats")
async def get_stats(request: Request) -> StatsAnswer:
    """Give some numbers."""
    index = services_of(request).index
    return answer_of(StatsAnswer, await index.stats(), block_number=index.head.number)


async def _shown(services: Services, found: DatasetEntry) -> DatasetShown:
    snapshot = services.index.snapshot
    published = None
    if found.version:
        newest = await services.index.publication(found.id, found.version)
        if newest is not None:
            published = answer_of(PublicationShown, newest, published_at=newest.place.timestamp)
    return answer_of(
        DatasetShown,
        found,
        dataset=to_hex(found.id),
        sharing=_CLASSES[found.sharing],
        open=_CLASSES[found.open],
        provider_name=Presenter(snapshot).party_name(found.provider),
        publication=published,
        served=await services.publications.newest_version(found.id),
    )


def _party(party: PartyEntry) -> PartyShown:
    roles = [str(role.name).title().replace("_", "") for role in Roles if role in party.roles]
    return answer_of(PartyShown, party, roles=roles)


def _dcat(dataset: DatasetEntry, snapshot: Snapshot) -> dict[str, Any]:
    issued, modified = dataset.registered_at, dataset.published_at or dataset.registered_at
    return {
        "@type": "dcat:Dataset",
        "@id": f"urn:quancheng:dataset:{to_hex(dataset.id)}",
        "dct:identifier": to_hex(dataset.id),
        "dct:title": dataset.title,
        "dct:publisher": {
            "@type": "foaf:Agent",
            "foaf:name": Presenter(snapshot).party_name(dataset.provider),
            "dct:identifier": to_hex(dataset.provider),
        },
        "dct:issued": iso_moment(issued),
        "dct:modified": iso_moment(modified),
        "dcat:version": str(dataset.version),
        "qc:code": dataset.code,
        "qc:fields": list(dataset.fields),
        "qc:sharingClass": _CLASSES[dataset.sharing],
        "qc:openClass": _CLASSES[dataset.open],
        "qc:grade": dataset.grade,
        "qc:personal": dataset.personal,
        "qc:updateCycle": dataset.update_cycle,
    }
