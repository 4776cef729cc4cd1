"""What a provider sees: who used its datasets, and who applies for them."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from gateway.api.dependencies import (
    access_page,
    dataset_of,
    party_account,
    require_role,
    services_of,
)
from gateway.api.presenters import Presenter
from gateway.errors import ForbiddenError
from ledger.api.supervision import AccessesAnswer, ApplicationsAnswer
from ledger.index.queries import Selection
from ledger.model import Roles

router = APIRouter(prefix="/v1", tags=["providers"])


@router.get("/datasets/{dataset}/accesses")
async def get_accesses(
    dataset: Annotated[str, Path(pattern="^0x[0-9a-f]{64}$")],
    request: Request,
    cursor: Annotated[int | None, Query(ge=0, lt=2**62)] = None,
) -> AccessesAnswer:
    """Show a provider the accesses to its dataset, the newest first."""
    services = services_of(request)
    provider = await party_account(request)
    await services.freshness.catch_up()
    found = await dataset_of(request, dataset)
    if found.provider != provider:
        raise ForbiddenError("the dataset is another provider's", "not-the-provider")
    await require_role(request, provider, Roles.PROVIDER)
    return await access_page(services, Selection(dataset=found.id), cursor)


@router.get("/applications")
async def get_applications(request: Request) -> ApplicationsAnswer:
    """Show applications: a provider those for its datasets, a consumer its own, also when it was withdrawn."""
    services = services_of(request)
    index, party = services.index, await party_account(request)
    await services.freshness.catch_up()
    provides = any(dataset.provider == party for dataset in index.snapshot.datasets.values())
    if provides:
        await require_role(request, party, Roles.PROVIDER)
    found = await (
        index.applications(provider=party) if provides else index.applications(consumer=party)
    )
    shower = Presenter(index.snapshot)
    return ApplicationsAnswer(tuple(map(shower.application, found)))
