"""Who counts as ready is the keyholder of the roster, however cleanly somebody else takes its URL over."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn

from gateway.access.keyholder_client import KeyholderClient, keyholder_at
from gateway.errors import KeyholderError
from ledger.crypto.signatures import address_of
from tests.support.fake_keyholder import DOMAIN, REFUSAL, FakeKeyholder, InMemory, account_of

MOST = [1 << 20]
TASKS = b'{"accesses":[0]}'


@asynccontextmanager
async def listening(keyholder: FakeKeyholder, port: int = 0) -> AsyncIterator[int]:
    """Serve a keyholder on a port; when it ends it closes its connections as a service does."""
    with socket.socket(proto=socket.IPPROTO_TCP) as opened:  # else asyncio lets small packets wait
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(("127.0.0.1", port))
        opened.listen()
        config = uvicorn.Config(keyholder, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[opened]))
        try:
            yield opened.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


@pytest.fixture
def impostor() -> FakeKeyholder:
    """Says that it is keyholder 1, whose key it does not have."""
    made = FakeKeyholder(1)
    made.signs_with = account_of(9)
    return made


async def test_whoever_takes_a_url_over_between_two_looks_does_not_count_as_ready(
    impostor: FakeKeyholder,
) -> None:
    keyholder = FakeKeyholder(1)
    async with listening(keyholder) as port:
        client = keyholder_at(keyholder.address, f"http://127.0.0.1:{port}", DOMAIN, timeout=5)
        await client.confirm()
        assert client.is_fresh()
    async with listening(impostor, port):
        with pytest.raises(KeyholderError, match="somebody else"):
            await client.confirm()
        assert not client.is_fresh()
    async with listening(keyholder, port):
        await client.confirm()
        await client.close()


async def test_whoever_takes_a_connection_over_does_not_count_as_ready_for_longer_than_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keyholder = FakeKeyholder(1)
    client = KeyholderClient(keyholder.address, InMemory(keyholder), DOMAIN)
    await client.confirm()
    keyholder.signs_with = account_of(9)
    await client.confirm()  # the limit: nothing shows it within the minute
    monkeypatch.setattr("gateway.access.keyholder_client._PROVEN", 0.0)
    with pytest.raises(KeyholderError, match="somebody else"):
        await client.confirm()


async def test_refusals_of_whoever_it_is_show_nobody_to_be_ready(impostor: FakeKeyholder) -> None:
    impostor.refusal = REFUSAL
    client = KeyholderClient(impostor.address, InMemory(impostor), DOMAIN)
    assert len(await client.release(TASKS, MOST)) == 1
    assert not client.is_fresh()
    with pytest.raises(KeyholderError, match="somebody else"):
        await client.confirm()


async def test_a_release_shows_whose_a_url_is_as_a_nonce_does() -> None:
    keyholder = FakeKeyholder(1)
    client = KeyholderClient(keyholder.address, InMemory(keyholder), DOMAIN)
    await client.release(TASKS, MOST)
    assert client.is_fresh()
    keyholder.signs_with = account_of(9)
    await client.confirm()  # asks for no nonce: the release was signed


async def test_the_keyholders_own_refusals_show_that_it_is_ready() -> None:
    keyholder = FakeKeyholder(1)
    assert keyholder.address == address_of(keyholder.account)
    client = KeyholderClient(keyholder.address, InMemory(keyholder), DOMAIN)
    await client.confirm()
    client.ready_at = float("-inf")
    keyholder.refusal = REFUSAL
    await client.release(TASKS, MOST)
    assert client.is_fresh()
