"""Keyholders for tests: their seeds after a ceremony, and their service without a socket."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from ledger.chain import contract_calls
from ledger.chain.deployment import write_deployment
from ledger.crypto.hpke import DecryptionKey
from ledger.hexstr import to_hex
from ledger.service.http_signatures import body_digest, sign_request, target_of
from scripts.scenario import Chain, Party
from wallet.keyholder.app import create_app
from wallet.keyholder.seeds import Holdings
from wallet.keyholder.settings import KeyholderSettings

HOST: Final = "127.0.0.1:8601"


def register_key(chain: Chain, party: Party) -> DecryptionKey:
    key = DecryptionKey.generate()
    chain.send(party, contract_calls.set_encryption_key(key.encryption_key.to_bytes()))
    return key


def settings_for(chain: Chain, home: Path) -> KeyholderSettings:
    home.mkdir(parents=True, exist_ok=True)
    deployment = home / "deployment.json"
    write_deployment(chain.deployment, deployment)
    return KeyholderSettings(
        home=home,
        deployment=deployment,
        node=chain.node.url,
        poll_interval=0.05,
        identity_authorities=(to_hex(chain.parties.identity_authority.address),),
    )


@dataclass(frozen=True)
class Client:
    """A party that talks to a keyholder."""

    http: httpx.AsyncClient
    chain: Chain

    async def post_signed(
        self, path: str, body: bytes, party: Party, *, host: str = HOST, age: int = 0
    ) -> httpx.Response:
        target = target_of("POST", f"http://{host}{path}")
        headers = sign_request(
            target,
            body_digest(body),
            party.private_key,
            chain_id=self.chain.deployment.chain_id,
            created=self.now() - age,
        )
        return await self.http.post(path, content=body, headers=headers.pairs())

    def now(self) -> int:
        return int(time.time())


@asynccontextmanager
async def running(
    chain: Chain,
    holdings: Holdings,
    home: Path,
    settings: KeyholderSettings | None = None,
    *,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[Client]:
    app = create_app(settings or settings_for(chain, home), holdings, clock)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as http:
            yield Client(http, chain)


async def ready(clients: Sequence[Client]) -> None:
    for client in clients:
        while True:
            if (await client.http.get("/readyz")).status_code == httpx.codes.OK:
                break
            await asyncio.sleep(0.01)
