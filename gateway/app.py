"""The ASGI application and its process: routes, one handler for each way to fail, one middleware, a lifespan."""

import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api import (
    accesses,
    consumers,
    health,
    inbox,
    keyholder_reports,
    providers,
    public,
    regulator,
    relays,
    sessions,
    subjects,
    uploads,
)
from gateway.errors import GatewayError
from gateway.problems import (
    INTERNAL,
    MALFORMED,
    MEDIA_TYPE,
    NOT_ALLOWED,
    NOT_FOUND,
    Problem,
    note_failure,
    problem_of,
    problem_response,
)
from gateway.services import Services, open_services
from gateway.settings import AccessSettings, Settings
from ledger.errors import LedgerError
from ledger.plain_text import print_problem
from ledger.service.logs import configure_logs, get_logger
from ledger.service.server import listen, serve

_PROBLEM_SCHEMA: Final[dict[str, Any]] = {
    "description": "A problem (RFC 9457)",
    "content": {
        MEDIA_TYPE: {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail"],
                "properties": {
                    "type": {"type": "string", "format": "uri"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                },
            }
        }
    },
}
_ACCESSES: Final = "/v1/accesses"
_STATUSES: Final = (401, 403, 404, 405, 408, 409, 410, 412, 413, 415, 422, 429, 503)

_log = get_logger()


def create_app(settings: Settings, access_settings: AccessSettings) -> FastAPI:
    """Return the gateway. Nothing is opened before its lifespan begins."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            opening = open_services(settings, access_settings)
            try:
                services = await stack.enter_async_context(opening)
            except (GatewayError, LedgerError) as error:
                app.state.failure = error  # for whoever runs the app: servers do not hand it on
                raise
            app.state.services = services
            _log.info("started", sequence=services.index.head.sequence)
            yield
        _log.info("stopped")

    app = FastAPI(
        title="Quancheng gateway",
        version=_version(),
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        responses=dict.fromkeys(_STATUSES, _PROBLEM_SCHEMA),
    )
    for module in (
        *(health, public, sessions, uploads, accesses, inbox, relays),
        *(subjects, consumers, providers, regulator, keyholder_reports),
    ):
        app.include_router(module.router)
    app.add_exception_handler(GatewayError, _on_gateway_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_middleware(Observer)
    return app


class Observer:
    """Counts and times requests, and answers accesses without the framework.

    Routing, dependencies and the rest of the framework cost as much as an access itself. The route in
    `gateway.api.accesses` stays for the documentation; both are the same function.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        services: Services = scope["app"].state.services
        with services.metrics.in_flight.track_inprogress():
            await self._observe(services, scope, receive, send)

    async def _observe(
        self, services: Services, scope: Scope, receive: Receive, send: Send
    ) -> None:
        status = 0

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.perf_counter()
        try:
            if _is_access(scope):
                try:
                    response = await accesses.respond(services, receive)
                except GatewayError as error:
                    response = _refusal(services, error, _route(scope))
                await response(scope, receive, note)
            else:
                await self._app(scope, receive, note)
        except Exception as error:  # noqa: BLE001  nobody else catches it
            problem = note_failure(error, _route(scope))
            services.metrics.problems.labels(INTERNAL.slug).inc()
            if not status:
                await problem_response(problem)(scope, receive, note)
        finally:
            seconds = time.perf_counter() - began
            labels = scope["method"], _route(scope), str(status)
            services.metrics.requests.labels(*labels).observe(seconds)
            _log.debug(
                "request",
                method=labels[0],
                route=labels[1],
                status=labels[2],
                milliseconds=round(seconds * 1000, 1),
            )


def _refusal(services: Services, error: GatewayError, route: str) -> Response:
    problem = problem_of(error)
    if problem.kind is INTERNAL:
        problem = note_failure(error, route)
    services.metrics.problems.labels(problem.kind.slug).inc()
    return problem_response(problem)


async def _on_gateway_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, GatewayError):
        raise error
    return _refusal(request.app.state.services, error, _route(request.scope))


async def _on_invalid(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    told = "; ".join(
        f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:5]
    )
    return problem_response(Problem(MALFORMED, told, {}))


async def _on_http_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == NOT_ALLOWED.status:
        response = problem_response(Problem(NOT_ALLOWED, "the route has no such method", {}))
        response.headers.update(error.headers or {})
        return response
    return problem_response(Problem(NOT_FOUND, "there is no such route", {}))


def _is_access(scope: Scope) -> bool:
    return bool(scope["path"] == _ACCESSES and scope["method"] == "POST")


def _route(scope: Scope) -> str:
    if _is_access(scope):
        return _ACCESSES
    route = scope.get("route")
    return str(getattr(route, "path", "none"))


def _version() -> str:
    try:
        return version("quancheng")
    except PackageNotFoundError:
        return "0"


def main() -> int:
    """Serve until SIGTERM; return the exit status."""
    try:
        settings, access_settings = Settings.read(), AccessSettings.read()
        configure_logs(settings.log_level)
        listening = listen(settings.host, settings.port)
    except (GatewayError, OSError) as error:
        print_problem(str(error))
        return 1
    host, port = listening.getsockname()[:2]
    settings = settings.model_copy(update={"port": port})
    get_logger().info("listening", address=f"http://{host}:{port}")
    sys.setswitchinterval(settings.switch_interval)
    app = create_app(settings, access_settings)
    try:
        return serve(
            app,
            listening,
            settings.server_limits,
            lambda: getattr(app.state, "failure", None),
        )
    except (GatewayError, LedgerError) as error:
        print_problem(str(error))
        return 1
