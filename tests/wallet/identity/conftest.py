"""A running identity authority with the city's registers imported."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from scripts.scenario import Chain
from tests.support.database import database_url, postgres_server
from tests.support.identity import (
    ENTERPRISES,
    RESIDENTS,
    Identity,
    admitted_keys,
    handles_gateway,
    running,
)
from wallet.identity.database import open_database
from wallet.identity.register import read_register
from wallet.identity.store import Store

__all__ = ["database_url", "postgres_server"]


async def import_registers(home: Path, url: str) -> None:
    database = await open_database(url)
    for name, text in (("residents", RESIDENTS), ("enterprises", ENTERPRISES)):
        path = home / f"{name}.csv"
        await asyncio.to_thread(path.write_text, text, "utf-8")
        await Store(database).import_people(read_register(path))
    await database.close()


@asynccontextmanager
async def serving(chain: Chain, home: Path, database: str) -> AsyncIterator[Identity]:
    keys = admitted_keys(chain)
    with handles_gateway(chain, keys.address) as gateway:
        await import_registers(home, database)
        async with running(chain, home, keys, gateway, database=database) as service:
            yield service


@pytest.fixture
async def identity(chain: Chain, tmp_path: Path) -> AsyncIterator[Identity]:
    """An authority on SQLite."""
    async with serving(chain, tmp_path, f"sqlite:///{tmp_path}/identity.db") as service:
        yield service


@pytest.fixture
async def each_identity(chain: Chain, tmp_path: Path, database_url: str) -> AsyncIterator[Identity]:
    """An authority, once on each kind of database."""
    async with serving(chain, tmp_path, database_url) as service:
        yield service
