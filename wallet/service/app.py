"""The shell of a service: problems for every error, health, readiness, and serving to the end."""

import argparse
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from pydantic_settings import BaseSettings
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ledger.errors import LedgerError
from ledger.plain_text import print_problem
from ledger.service.logs import describe, get_logger
from ledger.service.server import ServerLimits, listen, serve
from wallet.service.problems import (
    INTERNAL,
    UNAVAILABLE,
    ProblemKind,
    install_problems,
    problem_response,
)

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
    try:
        return commands[options.command or "serve"](settings(), options) or 0
    except ValidationError as error:
        # Names of settings and what is wrong with them; values may be secrets.
        prefix = settings.model_config.get("env_prefix", "")
        for each in error.errors():
            name = "_".join(map(str, each["loc"])).upper()
            print_problem(f"{program}: {prefix}{name}: {each['msg']}")
    except (LedgerError, OSError, refusal) as error:
        print_problem(f"{program}: {error}")
    return 1
