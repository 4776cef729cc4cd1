"""An account that is a contract signs requests and begins sessions by what its code accepts (ERC-1271)."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from ledger.chain import contract_calls
from ledger.crypto.signatures import personal_digest, sign
from ledger.hexstr import to_hex
from ledger.model import Roles
from ledger.service.http_signatures import (
    RequestTarget,
    format_parameters,
    format_signature,
    signature_base,
)
from scripts.scenario import Chain, Party
from tests.gateway.test_authentication import answer_challenge, challenge, problem
from tests.support.gateway_server import GatewayServer, serve_gateway

BURNS = bytes.fromhex("5b600056")
"""Code that jumps back for ever."""
OWNER = Party("Owner of a wallet", Roles(0))


def creation_code(owner: bytes) -> bytes:
    """Return the code that makes a wallet, whose one owner signs by secp256k1.

    `isValidSignature`: put hash, v, r, s into memory, call ecrecover, compare, answer with the selector or zero.
    """
    runtime = bytes.fromhex(
        "60043560005260a43560001a60205260643560405260843560605260206000608060006001"
        "5afa5060005173" + owner.hex() + "14631626ba7e60e01b0260005260206000f3"
    )
    return bytes.fromhex(f"60{len(runtime):02x}80600b6000396000f3") + runtime


async def make_wallet(gateway: GatewayServer) -> bytes:
    """Put a wallet on chain; return its address."""
    chain = gateway.chain
    sender = chain.sender(chain.parties.authority)
    (receipt,) = await asyncio.to_thread(sender.send_all, [(None, creation_code(OWNER.address))])
    assert receipt.contract is not None
    return receipt.contract


async def admit(gateway: GatewayServer, address: bytes, roles: Roles) -> None:
    chain = gateway.chain
    call = contract_calls.admit(address, roles, f"A party with the wallet {to_hex(address)}")
    await asyncio.to_thread(chain.send, chain.parties.authority, call)
    await gateway.has(await asyncio.to_thread(chain.wait_for_block))


async def ask(
    gateway: GatewayServer,
    account: bytes,
    by: Party,
    path: str,
    http: httpx.AsyncClient | None = None,
) -> httpx.Response:
    """Send a request in the name of an account, signed by a key."""
    covered, now = ("@method", "@authority", "@path"), int(time.time())
    parameters = format_parameters(
        covered,
        created=now,
        expires=now + 60,
        nonce=secrets.token_urlsafe(16),
        chain_id=gateway.chain.deployment.chain_id,
        address=account,
    )
    target = RequestTarget(method="GET", authority=gateway.authority, path=path, query="")
    digest = personal_digest(signature_base(target, None, covered, parameters))
    headers = format_signature(parameters, sign(digest, by.private_key), None)
    return await (http or gateway.http).get(path, headers=dict(headers.pairs()))


@asynccontextmanager
async def many_connections(gateway: GatewayServer) -> AsyncIterator[httpx.AsyncClient]:
    """Another client, all of whose requests are under way at once."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=gateway.http.base_url, timeout=60, trust_env=False, limits=limits
    ) as http:
        yield http


async def test_a_party_that_is_a_contract_signs_requests(gateway: GatewayServer) -> None:
    account = await make_wallet(gateway)
    await admit(gateway, account, Roles.REGULATOR)
    assert (await ask(gateway, account, OWNER, "/v1/alerts")).json() == {"alerts": []}
    for other in (gateway.chain.parties.regulator, gateway.chain.parties.bank):
        answer = await ask(gateway, account, other, "/v1/alerts")
        assert problem(answer) == (401, "unauthenticated")


async def test_what_is_no_wallet_accepts_nothing(gateway: GatewayServer) -> None:
    contract = gateway.chain.deployment.contracts.registry  # it has no isValidSignature
    for account in (
        contract,
        gateway.chain.parties.bank.address,
        bytes(20),
        b"\x00" * 19 + b"\x04",
    ):
        answer = await ask(gateway, account, OWNER, "/v1/alerts")
        assert problem(answer) == (401, "unauthenticated"), account.hex()


async def test_a_subject_whose_signer_is_a_contract_begins_a_session(
    gateway: GatewayServer,
) -> None:
    account = await make_wallet(gateway)
    text = await challenge(gateway, account)
    refused = await answer_challenge(gateway, text, account, gateway.chain.parties.bank.private_key)
    assert problem(refused) == (401, "challenge")
    text = await challenge(gateway, account)
    begun = await answer_challenge(gateway, text, account, OWNER.private_key)
    assert begun.status_code == httpx.codes.CREATED
    bearer = {"authorization": f"Bearer {begun.json()['token']}"}
    answer = await gateway.http.get("/v1/inbox", headers=bearer)
    assert problem(answer) == (403, "not-a-subject"), "who it is is clear"


async def test_without_the_chain_nobody_can_tell(own_chain: Chain, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    async with serve_gateway(own_chain, tmp_path, url, node_timeout=1.0) as gateway:
        account = await make_wallet(gateway)
        await asyncio.to_thread(own_chain.node.stop)
        answer = await ask(gateway, account, OWNER, "/v1/alerts")
        assert problem(answer) == (503, "chain-unavailable")


async def deploy(gateway: GatewayServer, runtime: bytes) -> bytes:
    code = bytes.fromhex(f"60{len(runtime):02x}80600b6000396000f3") + runtime
    sender = gateway.chain.sender(gateway.chain.parties.authority)
    (receipt,) = await asyncio.to_thread(sender.send_all, [(None, code)])
    assert receipt.contract is not None
    return receipt.contract


async def test_strangers_contracts_keep_no_known_one_from_being_served(
    gateway: GatewayServer,
) -> None:
    """Whoever names a contract that burns what it is given asks the node for it: bounded, and apart."""
    burner = await deploy(gateway, BURNS)
    account = await make_wallet(gateway)
    await admit(gateway, account, Roles.REGULATOR)
    async with many_connections(gateway) as http:
        asked = [
            asyncio.create_task(ask(gateway, burner, OWNER, "/v1/alerts", http)) for _ in range(300)
        ]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        for _ in range(10):
            assert (await ask(gateway, account, OWNER, "/v1/alerts")).status_code == httpx.codes.OK
        answers = [problem(one) for one in await asyncio.gather(*asked)]
    assert set(answers) == {(401, "unauthenticated"), (429, "throttled")}
    assert answers.count((401, "unauthenticated")) < 150, "the node was asked for most of them"


async def test_who_sends_in_one_contracts_name_makes_no_other_one_wait(
    gateway: GatewayServer,
) -> None:
    named = await deploy(gateway, BURNS)
    account = await make_wallet(gateway)
    for one in (named, account):
        await admit(gateway, one, Roles.REGULATOR)
    async with many_connections(gateway) as http:
        asked = [
            asyncio.create_task(ask(gateway, named, OWNER, "/v1/alerts", http)) for _ in range(300)
        ]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        assert (await ask(gateway, account, OWNER, "/v1/alerts")).status_code == httpx.codes.OK
        answers = [problem(one) for one in await asyncio.gather(*asked)]
    assert set(answers) == {(401, "unauthenticated"), (429, "throttled")}
