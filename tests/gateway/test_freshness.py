"""A gateway whose index is seconds behind does not deny what is on chain already."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from ledger import contracts
from ledger.enumerations import Roles
from ledger.hexes import to_hex
from tests.gateway.test_authentication import problem
from tests.support.chain import Chain, Party
from tests.support.gateway_server import GatewayServer, serve_gateway


@pytest.fixture
async def slow(chain: Chain, tmp_path: Path) -> AsyncIterator[GatewayServer]:
    url = f"sqlite+aiosqlite:///{tmp_path}/gateway.db"
    async with serve_gateway(chain, tmp_path, url, poll_interval=1.5) as serving:
        await serving.has(chain.wait_for_block())  # and now it sleeps
        yield serving


async def test_a_dataset_registered_a_moment_ago_can_be_uploaded_to(slow: GatewayServer) -> None:
    dataset = await asyncio.to_thread(slow.chain.register_dataset)
    uploads = f"/v1/datasets/{to_hex(dataset)}/uploads"
    answer = await slow.send(slow.chain.parties.provider, "POST", uploads, {"base": 0})
    assert answer.status_code == httpx.codes.CREATED, answer.text


async def test_a_subject_registered_a_moment_ago_has_an_inbox(slow: GatewayServer) -> None:
    subject = await asyncio.to_thread(slow.chain.register_subject)
    party = Party("somebody", Roles(0))
    signing = slow.signing(party)
    signing.by = subject.private_key
    answer = await slow.send(signing, "GET", "/v1/inbox")
    assert (answer.status_code, answer.json()) == (200, {"requests": []})


async def test_a_party_admitted_a_moment_ago_is_shown(slow: GatewayServer) -> None:
    party = Party("Newcomer", Roles.REGULATOR)
    call = contracts.admit(party.address, party.roles, party.name)
    await asyncio.to_thread(slow.chain.send, slow.chain.parties.authority, call)
    assert (await slow.send(party, "GET", "/v1/alerts")).status_code == httpx.codes.OK
    shown = await slow.send(None, "GET", f"/v1/parties/{to_hex(party.address)}")
    assert shown.json()["name"] == party.name


async def test_what_is_not_on_chain_is_still_unknown(slow: GatewayServer) -> None:
    answer = await slow.send(None, "GET", f"/v1/datasets/0x{'ab' * 32}")
    assert problem(answer)[0] == httpx.codes.NOT_FOUND
