"""Whether the process lives, whether it can do its work, and its figures."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from gateway.api.dependencies import services_of
from gateway.metrics import CONTENT_TYPE

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The process answers."""

    status: str = "ok"


class Readiness(BaseModel):
    """Each check: null where all is well, else why not."""

    ready: bool
    checks: dict[str, str | None]
    block_number: int
    sequence: int


@router.get("/healthz")
async def get_health() -> Alive:
    """Tell that the process lives."""
    return Alive()


@router.get("/readyz", responses={503: {"model": Readiness}})
async def get_readiness(request: Request, response: Response) -> Readiness:
    """Tell whether accesses can be recorded and answered, and if not why."""
    services = services_of(request)
    checks = dict(await services.problems())
    ready = not any(checks.values())
    if not ready:
        response.status_code = 503
    head = services.index.head
    return Readiness(ready=ready, checks=checks, block_number=head.number, sequence=head.sequence)


@router.get("/metrics", response_class=Response)
async def get_metrics(request: Request) -> Response:
    """Give all figures in Prometheus' text format."""
    services = services_of(request)
    await services.measure()
    return Response(services.metrics.expose(), headers={"content-type": CONTENT_TYPE})
