"""What the gateway's tests share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scripts.scenario import Chain
from tests.support.database import database, database_url, postgres_server
from tests.support.gateway_server import GatewayServer, serve_gateway

__all__ = ["database", "database_url", "postgres_server"]


@pytest.fixture
async def gateway(chain: Chain, tmp_path: Path) -> AsyncIterator[GatewayServer]:
    url = f"sqlite:///{tmp_path}/gateway.db"
    async with serve_gateway(chain, tmp_path, url) as serving:
        yield serving


@pytest.fixture
async def each_gateway(
    chain: Chain, tmp_path: Path, database_url: str
) -> AsyncIterator[GatewayServer]:
    """A gateway, once on each kind of database."""
    async with serve_gateway(chain, tmp_path, database_url) as serving:
        yield serving
