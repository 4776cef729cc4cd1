"""The identity authority's app."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import httpx
from fastapi import FastAPI

from ledger.chain.deployment import read_deployment
from ledger.chain.reverts import RevertError
from ledger.chain.rpc import AsyncRpc
from ledger.errors import LedgerError
from wallet.errors import WalletError
from wallet.identity.database import open_database
from wallet.identity.errors import ChainUnavailableError
from wallet.identity.keys import AuthorityKeys
from wallet.identity.routes import router
from wallet.identity.services import Services, put_together
from wallet.identity.settings import IdentitySettings
from wallet.service.app import make_app
from wallet.service.problems import INTERNAL, MALFORMED, ProblemKind

PROBLEMS: Final = {
    LedgerError: MALFORMED,
    RevertError: ProblemKind("refused-on-chain", 409, "The contract refuses"),
    WalletError: INTERNAL,  # beside `IdentityError`, which names its kind
}


def create_app(
    settings: IdentitySettings, keys: AuthorityKeys, clock: Callable[[], float] = time.time
) -> FastAPI:
    """Return the service.

    Args:
        settings: Where everything is.
        keys: As opened with the keystore's password.
        clock: The present, seconds since 1970.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        deployment = read_deployment(settings.deployment)
        database = await open_database(settings.database_url)
        try:
            async with (
                AsyncRpc(settings.node) as rpc,
                httpx.AsyncClient(base_url=settings.gateway, trust_env=False) as http,
            ):
                parts = put_together(settings, keys, deployment, database, rpc, http, clock)
                app.state.services = parts
                works = [
                    asyncio.create_task(work.run())
                    for work in (parts.watcher, parts.outbox, parts.registrar, parts.recoveries)
                ]
                try:
                    yield
                finally:
                    for work in works:
                        work.cancel()
                    await asyncio.gather(*works, return_exceptions=True)
        finally:
            await database.close()

    app = make_app(
        "Quancheng identity authority",
        lifespan=lifespan,
        readiness=lambda: _check_ready(app.state.services),
        problems=PROBLEMS,
    )
    app.include_router(router)
    return app


def _check_ready(parts: Services) -> None:
    parts.watcher.require()
    if parts.registrar.problem:
        raise ChainUnavailableError(parts.registrar.problem)
