"""A gateway whose index is seconds behind does not deny what is on chain already."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from ledger.chain import contract_calls
from ledger.chain.events.identifiers import application_id
from ledger.hexstr import to_hex
from ledger.model import Roles
from scripts.scenario import Chain, Party
from tests.gateway.test_authentication import problem
from tests.support.gateway_server import GatewayServer, serve_gateway


@pytest.fixture
async def slow(chain: Chain, tmp_path: Path) -> AsyncIterator[GatewayServer]:
    url = f"sqlite:///{tmp_path}/gateway.db"
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
    call = contract_calls.admit(party.address, party.roles, party.name)
    await asyncio.to_thread(slow.chain.send, slow.chain.parties.authority, call)
    assert (await slow.send(party, "GET", "/v1/alerts")).status_code == httpx.codes.OK
    shown = await slow.send(None, "GET", f"/v1/parties/{to_hex(party.address)}")
    assert shown.json()["name"] == party.name


async def test_an_application_made_a_moment_ago_is_in_the_list(slow: GatewayServer) -> None:
    chain, parties = slow.chain, slow.chain.parties
    dataset, purpose = await asyncio.to_thread(
        lambda: (chain.register_dataset(), chain.register_purpose())
    )
    nonce = secrets.token_bytes(32)
    applying = contract_calls.apply_for(dataset, purpose, 1, "We need it.", nonce)
    await asyncio.to_thread(
        chain.send, parties.authority, contract_calls.bind_fields(purpose, dataset, 1)
    )
    await slow.has(await asyncio.to_thread(chain.wait_for_block))
    await asyncio.to_thread(chain.send, parties.bank, applying)
    wanted = to_hex(application_id(parties.bank.address, dataset, purpose, 1, nonce))
    for who in (parties.provider, parties.bank):
        shown = (await slow.send(who, "GET", "/v1/applications")).json()["applications"]
        assert wanted in {one["application"] for one in shown}, who.name


async def test_an_access_recorded_a_moment_ago_is_in_the_providers_list(
    slow: GatewayServer,
) -> None:
    chain = slow.chain
    terms = await asyncio.to_thread(chain.personal_terms)
    (basis,) = await asyncio.to_thread(chain.granted, 1, terms)
    await slow.has(await asyncio.to_thread(chain.wait_for_block))
    request = chain.request(chain.parties.bank, basis)
    (recorded,) = await asyncio.to_thread(chain.record, [request])
    path = f"/v1/datasets/{to_hex(terms.dataset)}/accesses"
    shown = (await slow.send(chain.parties.provider, "GET", path)).json()["accesses"]
    assert [one["sequence"] for one in shown] == [recorded.sequence]


async def test_what_is_not_on_chain_is_still_unknown(slow: GatewayServer) -> None:
    answer = await slow.send(None, "GET", f"/v1/datasets/0x{'ab' * 32}")
    assert problem(answer)[0] == httpx.codes.NOT_FOUND
