"""A running identity authority with the city's registers imported."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.chain import Chain
from tests.support.identity import (
    ENTERPRISES,
    RESIDENTS,
    Identity,
    admitted_keys,
    handles_gateway,
    running,
    settings_for,
)
from wallet.identity.database import open_database
from wallet.identity.importing import read_register
from wallet.identity.store import Store


async def import_registers(home: Path, url: str) -> None:
    database = await open_database(url)
    for name, text in (("residents", RESIDENTS), ("enterprises", ENTERPRISES)):
        path = home / f"{name}.csv"
        await asyncio.to_thread(path.write_text, text, "utf-8")
        await Store(database).import_people(read_register(path))
    await database.close()


@pytest.fixture
async def identity(chain: Chain, tmp_path: Path) -> AsyncIterator[Identity]:
    keys = admitted_keys(chain)
    with handles_gateway(chain, keys.address) as gateway:
        settings = settings_for(chain, tmp_path / "identity", gateway.url)
        await import_registers(settings.home, settings.database_url)
        async with running(chain, tmp_path / "identity", keys, gateway) as service:
            yield service
