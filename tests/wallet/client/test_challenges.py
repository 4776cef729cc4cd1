"""A wallet signs a service's own challenge and nothing else that a service hands it."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from ledger.chain import contract_calls
from ledger.hexstr import to_hex
from scripts.scenario import Chain
from tests.support.errors import of_kind
from tests.support.gateway_server import GatewayServer, serve_gateway
from tests.support.identity import (
    HOST,
    ZHANG,
    Identity,
    admitted_keys,
    handles_gateway,
    running,
)
from tests.wallet.identity.conftest import import_registers
from wallet.citizen.enrolment import NewId, enrol_person
from wallet.client.calls import Service
from wallet.client.consent_requests import my_inbox
from wallet.client.errors import ClientError, ErrorKind
from wallet.client.identity import Person, PersonKind, my_subjects
from wallet.client.party import ChainAccess, PartyKey
from wallet.client.signers import (
    AccountSigner,
    PasskeySigner,
    SubjectSigner,
    asking,
    begin_session,
)
from wallet.client.transports import AsyncClient, Endpoints
from wallet.passkey import SoftwarePasskey

PHONE = "wallet.example"
PERSON = Person(PersonKind.RESIDENT, ZHANG["id_number"], ZHANG["name"])

Lie = Callable[[httpx.Request], Any]


class Lying(httpx.AsyncBaseTransport):
    """The network: services answer for themselves unless a lie stands for a path of theirs."""

    def __init__(self, services: dict[str, httpx.AsyncClient]) -> None:
        self._services = services
        self.lies: dict[str, Lie] = {}
        self.signed: list[str] = []
        """Bodies of what came to open a session."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.netloc.decode()
        lie = self.lies.get(host + request.url.path)
        if lie is not None:
            return httpx.Response(201, json=await lie(request), request=request)
        if request.url.path == "/v1/sessions":
            self.signed.append(request.content.decode())
        return await self.ask(host, request)

    async def ask(self, host: str, request: httpx.Request) -> httpx.Response:
        headers = {k: v for k, v in request.headers.items() if k != "host"} | {"host": host}
        return await self._services[host].request(
            request.method, request.url.raw_path.decode(), content=request.content, headers=headers
        )

    def hand_on(self, what: str, host: str) -> Lie:
        """Answer with what another service says."""

        async def lie(request: httpx.Request) -> Any:
            answer = await self._services[host].post(
                what, content=request.content, headers={"content-type": "application/json"}
            )
            return answer.json()

        return lie


class Town:
    """A gateway, an identity authority, and somebody's wallet between them."""

    def __init__(self, gateway: GatewayServer, identity: Identity) -> None:
        self.gateway, self.identity = gateway, identity
        self.network = Lying({gateway.authority: gateway.http, HOST: identity.http})
        endpoints = Endpoints(
            f"http://{gateway.authority}", f"http://{HOST}", gateway.chain.node.url
        )
        self.ledger = ChainAccess(gateway.chain.deployment, own_node=True)
        self.client = AsyncClient(
            endpoints, chain_id=self.ledger.deployment.chain_id, transport=self.network
        )

    def signers(self, ledger: ChainAccess | None = None) -> tuple[SubjectSigner, SubjectSigner]:
        """An account of nobody else's and a passkey, neither enrolled."""
        account, passkey = PartyKey(secrets.token_bytes(32)), SoftwarePasskey.generate(PHONE)
        return AccountSigner(account), PasskeySigner(passkey, ledger or self.ledger)

    async def enrolled(
        self, ledger: ChainAccess | None = None
    ) -> tuple[SubjectSigner, SubjectSigner]:
        """Both of them, each with an id: the identity authority knows nobody else."""
        both = self.signers(ledger)
        code = await self.identity.code_for(ZHANG)
        ids = [NewId(one) for one in both]
        await self.client.run(enrol_person(self.ledger, PERSON, code, ids))
        return both


CHALLENGE = "/v1/sessions/challenge"


@asynccontextmanager
async def town_on(chain: Chain, home: Path) -> AsyncIterator[Town]:
    keys = admitted_keys(chain)
    database = f"sqlite:///{home}/identity.db"
    await import_registers(home, database)
    with handles_gateway(chain, keys.address) as handles:
        async with (
            running(chain, home, keys, handles, database=database) as identity,
            serve_gateway(chain, home, f"sqlite:///{home}/gateway.db") as gateway,
        ):
            await gateway.has(chain.wait_for_block())
            found = Town(gateway, identity)
            async with found.client:
                yield found


@pytest.fixture
async def town(chain: Chain, tmp_path: Path) -> AsyncIterator[Town]:
    async with town_on(chain, tmp_path) as found:
        yield found


async def test_both_kinds_of_signer_open_sessions_at_both_services_that_tell_the_truth(
    town: Town,
) -> None:
    for signer in await town.enrolled():
        for service in Service:
            await town.client.run(begin_session(town.ledger, signer, service))


async def test_a_gateway_that_hands_on_the_authoritys_challenge_gets_nothing_signed(
    town: Town,
) -> None:
    place = town.gateway.authority + CHALLENGE
    town.network.lies[place] = town.network.hand_on(CHALLENGE, HOST)
    for signer in town.signers():
        with pytest.raises(
            ClientError, match="hands over a text to sign", check=of_kind(ErrorKind.FOREIGN_TEXT)
        ):
            await town.client.run(begin_session(town.ledger, signer, Service.GATEWAY))
    with pytest.raises(ClientError, check=of_kind(ErrorKind.FOREIGN_TEXT)):
        await town.client.run(asking(town.signers()[1], my_inbox()))
    assert town.network.signed == []


async def test_an_authority_that_hands_on_the_gateways_challenge_gets_nothing_signed(
    town: Town,
) -> None:
    town.network.lies[HOST + CHALLENGE] = town.network.hand_on(CHALLENGE, town.gateway.authority)
    for signer in town.signers():
        with pytest.raises(
            ClientError, match="hands over a text to sign", check=of_kind(ErrorKind.FOREIGN_TEXT)
        ):
            await town.client.run(begin_session(town.ledger, signer, Service.IDENTITY))
    with pytest.raises(ClientError, check=of_kind(ErrorKind.FOREIGN_TEXT)):
        await town.client.run(asking(town.signers()[1], my_subjects()))
    assert town.network.signed == []


async def test_a_challenge_of_nobody_who_is_an_authority_is_not_signed(town: Town) -> None:
    chain, identity = town.gateway.chain, town.identity
    call = contract_calls.withdraw(identity.keys.address)
    chain.send(chain.parties.authority, call)
    with pytest.raises(
        ClientError, match="no identity authority on chain", check=of_kind(ErrorKind.FOREIGN_TEXT)
    ):
        await town.client.run(begin_session(town.ledger, town.signers()[1], Service.IDENTITY))
    assert town.network.signed == []


async def test_without_a_node_of_ones_own_the_gateway_says_who_is_an_authority(town: Town) -> None:
    ledger = ChainAccess(town.ledger.deployment, own_node=False)
    _, passkey = await town.enrolled(ledger)
    await town.gateway.has(town.gateway.chain.wait_for_block())
    await town.client.run(begin_session(ledger, passkey, Service.IDENTITY))
    chain = town.gateway.chain
    chain.send(chain.parties.authority, contract_calls.withdraw(town.identity.keys.address))
    await town.gateway.has(chain.wait_for_block())
    with pytest.raises(
        ClientError, match="no identity authority on chain", check=of_kind(ErrorKind.FOREIGN_TEXT)
    ):
        await town.client.run(begin_session(ledger, passkey, Service.IDENTITY))


@pytest.mark.parametrize(
    "told",
    [
        {"address": "0x" + "11" * 20},
        {"chain_id": 1},
        {"address": "0x" + "11" * 20 + "\nsubject 0x" + "22" * 32},
        {"address": ""},
    ],
)
async def test_nobody_proves_a_signer_to_whom_the_chain_does_not_know(
    town: Town, told: dict[str, Any]
) -> None:
    honest = {
        "address": to_hex(town.identity.keys.address),
        "chain_id": town.ledger.deployment.chain_id,
    }

    async def lie(_: httpx.Request) -> Any:
        return honest | told

    town.network.lies[f"{HOST}/v1/authority"] = lie
    ids = [NewId(town.signers()[0])]
    with pytest.raises(ClientError, check=of_kind(ErrorKind.FOREIGN_TEXT)):
        await town.client.run(enrol_person(town.ledger, PERSON, "7KQ2-M0RT-XA94-9HEB", ids))
