"""What all services' FastAPI apps have: problems for every error (RFC 9457), health, readiness, an orderly end."""

import argparse
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from pydantic_settings import BaseSettings
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ledger.errors import LedgerError
from ledger.jsonio import JsonError
from ledger.plain_text import print_problem
from ledger.service import errors
from ledger.service.http_signatures import HttpSignatureError
from ledger.service.logs import describe, get_logger
from ledger.service.server import ServerLimits, listen, serve
from ledger.service.settings import refuse_renamed

PREFIX: Final = "urn:quancheng:problem:"
MEDIA_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A type of problem; `slug` ends its URN."""

    slug: str
    status: int
    title: str


class ProblemError(errors.ServiceError):
    """A request that cannot be answered; the message is for the client to read."""

    def __init__(self, kind: ProblemKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


UNAUTHENTICATED: Final = ProblemKind("unauthenticated", 401, "Bad or missing signature")
REPLAYED: Final = ProblemKind("replayed", 401, "This signed request was here before")
FORBIDDEN: Final = ProblemKind("forbidden", 403, "Not for this party")
NOT_FOUND: Final = ProblemKind("not-found", 404, "There is no such thing")
TOO_LARGE: Final = ProblemKind("too-large", 413, "The body is too large")
MALFORMED: Final = ProblemKind("malformed", 422, "The request is malformed")
THROTTLED: Final = ProblemKind("throttled", 429, "Too many requests")
INTERNAL: Final = ProblemKind("internal-error", 500, "This is a defect of the service")
UNAVAILABLE: Final = ProblemKind("unavailable", 503, "Not able to answer now")

_COMMON: Final[Mapping[type[Exception], ProblemKind]] = {
    errors.ThrottledError: THROTTLED,
    HttpSignatureError: UNAUTHENTICATED,
    JsonError: MALFORMED,
}
_BODIES: Final[Mapping[errors.BodyFault, ProblemKind]] = {
    errors.BodyFault.TOO_LARGE: TOO_LARGE,
    errors.BodyFault.MEDIA_TYPE: ProblemKind(
        "media-type", 415, "The body is of another media type"
    ),
    errors.BodyFault.MISSING: ProblemKind("body-missing", 422, "A body is needed"),
    errors.BodyFault.TOO_SLOW: ProblemKind("too-slow", 408, "The body came too slowly"),
    errors.BodyFault.MALFORMED: MALFORMED,
}
_BY_STATUS: Final = {
    404: ProblemKind("not-found", 404, "There is nothing at this path"),
    405: ProblemKind("method-not-allowed", 405, "The path has no such method"),
}


def install_problems(app: FastAPI, table: Mapping[type[Exception], ProblemKind]) -> None:
    """Answer an app's exceptions as problems: each as the nearest of its classes in the table says."""
    kinds = {**_COMMON, **table}

    async def answer(_: Request, error: Exception) -> JSONResponse:
        return _response_to(error, kinds)

    for kind in (errors.ServiceError, LedgerError, HTTPException, RequestValidationError, *table):
        app.add_exception_handler(kind, answer)


def _response_to(error: Exception, kinds: Mapping[type[Exception], ProblemKind]) -> JSONResponse:
    if isinstance(error, ProblemError):
        return problem_response(error.kind, str(error))
    if isinstance(error, errors.BodyError):
        return problem_response(_BODIES[error.fault], str(error))
    if isinstance(error, HTTPException):
        refused = ProblemKind("refused", error.status_code, "The request is refused")
        return problem_response(_BY_STATUS.get(error.status_code, refused), str(error.detail))
    if isinstance(error, RequestValidationError):
        # Places and what is wrong there, never the values: they may be personal.
        places = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        return problem_response(MALFORMED, "; ".join(places))
    kind = next((kinds[base] for base in type(error).__mro__ if base in kinds), INTERNAL)
    if kind is INTERNAL:
        _log.error("internal_error", error=describe(error))
        return problem_response(kind, "please report it with the time of this answer")
    wait = error.retry_after if isinstance(error, errors.ThrottledError) else None
    return problem_response(kind, str(error), retry_after=wait)


def problem_response(
    kind: ProblemKind, detail: str, *, retry_after: int | None = None
) -> JSONResponse:
    content = {
        "type": PREFIX + kind.slug,
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
    }
    headers = None if retry_after is None else {"Retry-After": str(retry_after)}
    return JSONResponse(content, kind.status, headers, MEDIA_TYPE)


_log = get_logger()

SettingsT = TypeVar("SettingsT", bound=BaseSettings)


def make_app(
    title: str,
    *,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
    readiness: Callable[[], None],
    problems: Mapping[type[Exception], ProblemKind],
) -> FastAPI:
    """Return an app with /healthz and /readyz, to which the service's routes are added.

    Args:
        title: Of the service.
        lifespan: Opens and closes its parts.
        readiness: Raises one of `problems` that says why it is not ready.
        problems: From the service's exceptions to problems.
    """

    @asynccontextmanager
    async def noting_failure(app: FastAPI) -> AsyncIterator[None]:
        try:
            async with lifespan(app):
                yield
        except Exception as error:
            app.state.failure = error  # for `serve_app`: the server does not hand it on
            raise

    app = FastAPI(title=title, lifespan=noting_failure, docs_url=None, redoc_url=None)
    app.add_middleware(_NothingEscapes)
    install_problems(app, problems)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Tell that the process answers."""
        return {"status": "alive"}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        """Tell whether the service can do its work, and why not."""
        try:
            readiness()
        except tuple(problems) as error:
            return problem_response(UNAVAILABLE, str(error))
        return JSONResponse({"status": "ready"})

    return app


class _NothingEscapes:
    """Answers what no handler answers, before the server writes a trace of it to its log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            # Only type and place: the message may quote personal data or a secret.
            _log.error("internal_error", error=describe(error))
            if started:
                raise
            await problem_response(INTERNAL, "please report it")(scope, receive, send)


def serve_app(app: FastAPI, host: str, port: int) -> int:
    """Serve until SIGTERM or SIGINT; requests under way are finished. Return the exit status.

    Raises:
        Exception: The cause that kept the app from starting, or, as OSError, the server from listening.
    """
    return serve(
        app, listen(host, port), ServerLimits(), lambda: getattr(app.state, "failure", None)
    )


def run_command(
    program: str,
    settings: type[SettingsT],
    commands: Mapping[str, Callable[[SettingsT, argparse.Namespace], int | None]],
    options: argparse.Namespace,
    refusal: type[Exception],
) -> int:
    """Run the command that `options` names, `serve` if none; return the exit status.

    Args:
        program: Begins each line of what is wrong.
        settings: Read from the environment.
        commands: By name; None counts as status 0.
        options: Parsed.
        refusal: Root of the errors that are told in one line; others are defects.
    """
    prefix = settings.model_config.get("env_prefix", "")
    try:
        refuse_renamed(prefix, getattr(settings, "RENAMED", {}))
        return commands[options.command or "serve"](settings(), options) or 0
    except ValidationError as error:
        # Names of settings and what is wrong with them; values may be secrets.
        for each in error.errors():
            name = "_".join(map(str, each["loc"])).upper()
            print_problem(f"{program}: {prefix}{name}: {each['msg']}")
    except (LedgerError, OSError, refusal) as error:
        print_problem(f"{program}: {error}")
    return 1
