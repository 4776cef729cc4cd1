"""What the parties' services log, and what they say when they cannot start."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI

from ledger.service import server
from ledger.service.app import make_app, serve_app
from scripts.processes import free_port
from tests.support.logs import lines_of, logs_in
from wallet.errors import WalletError

SECRET = "370102199001011234"


def service(failure: Exception | None = None) -> FastAPI:
    """A service of which everything fails that may."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if failure is not None:
            raise failure
        yield

    app = make_app("Service", lifespan=lifespan, readiness=lambda: None, problems={})

    @app.get("/fails")
    async def fails() -> None:
        int(SECRET + "x")

    return app


async def test_of_a_defect_the_log_has_type_and_place() -> None:
    transport = httpx.ASGITransport(service())
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        with logs_in(io.StringIO()) as text:
            answer = await client.get("/fails")
    assert answer.status_code == 500
    assert SECRET not in answer.text + text.getvalue()
    (line,) = lines_of(text)
    assert (line["event"], line["level"]) == ("internal_error", "error")
    assert line["error"].startswith("ValueError at fails:")


def test_what_keeps_a_service_from_starting_is_handed_on_and_not_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        server, "_settle_collector", lambda: None
    )  # this process goes on with other tests
    cause = WalletError(f"the register holds {SECRET} twice")
    with logs_in(io.StringIO()) as text, pytest.raises(WalletError) as raised:
        serve_app(service(cause), "127.0.0.1", free_port())
    assert raised.value is cause
    assert {line["event"] for line in lines_of(text)} == {"library"}
    assert SECRET not in text.getvalue()
