"""`POST /v1/accesses` without the framework: routing, dependencies and middleware cost as much as all the rest.

What is answered here is answered by the same function as the route in `gateway.routes.accesses`, which
stays for the documentation and for whoever mounts the app elsewhere.
"""

import time
from typing import Final

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from gateway.errors import GatewayError
from gateway.failing import note_failure
from gateway.problems import INTERNAL, kind_of, problem_of, problem_response
from gateway.routes.accesses import respond
from gateway.services import Services

PATH: Final = "/v1/accesses"


class HotPath:
    """The gateway's ASGI application: one route of its own, everything else by FastAPI."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        services: Services = self.app.state.services
        with services.metrics.in_flight.track_inprogress():
            await _serve(services, scope, receive, send)


async def _serve(services: Services, scope: Scope, receive: Receive, send: Send) -> None:
    began = time.perf_counter()
    metrics = services.metrics
    try:
        response = await respond(services, receive)
    except GatewayError as error:
        metrics.problems.labels(kind_of(error).slug).inc()
        response = problem_response(problem_of(error))
    except Exception as error:  # noqa: BLE001  nobody else catches it
        metrics.problems.labels(INTERNAL.slug).inc()
        response = problem_response(note_failure(error, PATH))
    await response(scope, receive, send)
    seconds = time.perf_counter() - began
    metrics.requests.labels("POST", PATH, str(response.status_code)).observe(seconds)
