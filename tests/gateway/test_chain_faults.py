"""A chain that is away, another one, or not the one it was: the gateway says which, and believes none of it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from ledger.chain.embedded import Node
from ledger.hexstr import to_hex
from scripts.scenario import Chain
from tests.support.gateway_server import GatewayServer, serve_gateway


async def chain_problem(gateway: GatewayServer, told: str) -> None:
    """Wait until readiness says this of the chain (the empty text: that all is well)."""
    checks: dict[str, str | None] = {}
    try:
        async with asyncio.timeout(30):
            while True:
                answer = await gateway.send(None, "GET", "/readyz")
                assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE  # no recorder's key
                checks = answer.json()["checks"]
                found = checks["chain"]
                if told in found if found and told else found is None and not told:
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"it says {checks}")


async def shows(gateway: GatewayServer, dataset: bytes) -> bool:
    answer = await gateway.send(None, "GET", f"/v1/datasets/{to_hex(dataset)}")
    return answer.status_code == httpx.codes.OK


async def test_a_node_that_is_away_is_told_and_found_again(
    own_chain: Chain, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    async with serve_gateway(own_chain, tmp_path, url, node_timeout=1.0) as gateway:
        dataset = await gateway.new_dataset()
        await chain_problem(gateway, "")
        await asyncio.to_thread(own_chain.node.stop)
        await chain_problem(gateway, "node")
        assert await shows(gateway, dataset), "what is known stays"
        await asyncio.to_thread(own_chain.node.start)
        await chain_problem(gateway, "")
        assert await shows(gateway, await gateway.new_dataset())


async def test_a_node_of_another_chain_is_refused(
    chain: Chain, make_chain: Callable[[], Chain], tmp_path: Path
) -> None:
    """Same chain id, same contracts, another genesis: it is not enough to look alike."""
    url = f"sqlite:///{tmp_path}/gateway.db"
    other = make_chain()
    while other.deployment.genesis_hash == chain.deployment.genesis_hash:
        other = make_chain()  # both began in the same second
    other.register_dataset()
    settings = {"node_url": other.node.url}
    async with serve_gateway(chain, tmp_path, url, follows=False, **settings) as gateway:
        await chain_problem(gateway, "began with")
        assert gateway.services.index.snapshot.datasets == {}
        assert gateway.services.index.head.number < chain.deployment.block_number


async def test_a_node_of_another_chain_id_is_refused(chain: Chain, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    settings = replace(
        chain.node.settings,
        data=tmp_path / "other",
        port=0,
        chain_id=chain.node.settings.chain_id + 1,
    )
    with Node(settings) as node:
        async with serve_gateway(chain, tmp_path, url, follows=False, node_url=node.url) as gateway:
            await chain_problem(gateway, "chain")
            assert gateway.services.index.head.number < chain.deployment.block_number


async def test_a_chain_that_began_anew_is_not_followed(own_chain: Chain, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    async with serve_gateway(own_chain, tmp_path, url, node_timeout=1.0) as gateway:
        dataset = await gateway.new_dataset()
        head = gateway.services.index.head
        await asyncio.to_thread(own_chain.node.stop)
        anew = replace(own_chain.node.settings, data=tmp_path / "anew", port=own_chain.node.port)
        with Node(anew):
            # Not there, or another one, as far as the new chain has come by now.
            await chain_problem(gateway, " final")
            assert gateway.services.index.head.number >= head.number
            assert await shows(gateway, dataset), "what was final is not forgotten"
    async with serve_gateway(own_chain, tmp_path, url, follows=False) as again:
        assert dataset in again.services.index.snapshot.datasets
