"""A gateway in the test's own process, behind a real socket, on a real chain.

It reads and serves; it has no recorder's key, so it records nothing. Its app, services and database are at hand.
"""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from gateway.app import create_app
from gateway.services import Services
from gateway.settings import AccessSettings, Settings
from ledger.chain import contract_calls
from ledger.chain.deployment import write_deployment
from ledger.chain.events.identifiers import dataset_id
from ledger.crypto.merkle import TreeHead
from ledger.hexstr import to_hex
from ledger.service.http_signatures import RequestTarget, body_digest, sign_request
from ledger.service.server import server_config
from scripts.scenario import Chain, Party

NDJSON = "application/x-ndjson"
JSON = "application/json"


@dataclass
class Signing:
    """How a request is signed; the defaults are right."""

    by: bytes
    """Private key."""
    chain_id: int
    authority: str
    created: int | None = None
    lifetime: int = 60
    nonce: str | None = None
    change: Mapping[str, str] = field(default_factory=dict)
    """Parts of the target that are signed otherwise than sent, or headers sent otherwise than signed."""


@dataclass
class GatewayServer:
    app: FastAPI
    settings: Settings
    chain: Chain
    http: httpx.AsyncClient
    server: uvicorn.Server

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.settings.port}"

    @property
    def services(self) -> Services:
        found: Services = self.app.state.services
        return found

    def signing(self, party: Party) -> Signing:
        return Signing(party.private_key, self.chain.deployment.chain_id, self.authority)

    def signed_headers(
        self, signing: Signing, method: str, path: str, body: bytes = b""
    ) -> dict[str, str]:
        """Headers of a signed request; `signing.change` bends one of its parts."""
        bare, _, query = path.partition("?")
        parts = {"method": method, "authority": signing.authority, "path": bare, "query": query}
        parts.update({key: one for key, one in signing.change.items() if key in parts})
        headers = sign_request(
            RequestTarget(**parts),
            body_digest(body),
            signing.by,
            chain_id=signing.chain_id,
            created=int(time.time()) if signing.created is None else signing.created,
            lifetime=signing.lifetime,
            nonce=signing.nonce,
        )
        sent = {name.lower(): value for name, value in headers.pairs()}
        sent.update({key: one for key, one in signing.change.items() if key not in parts})
        return sent

    async def send(
        self,
        party: Party | Signing | None,
        method: str,
        path: str,
        value: Any = None,
        *,
        body: bytes | None = None,
        media_type: str = JSON,
    ) -> httpx.Response:
        """Send a request, signed by a party unless it is None."""
        content = body if body is not None else b"" if value is None else json.dumps(value).encode()
        headers = {"content-type": media_type} if content else {}
        if party is not None:
            signing = party if isinstance(party, Signing) else self.signing(party)
            headers |= self.signed_headers(signing, method, path, content)
        return await self.http.request(method, path, content=content or None, headers=headers)

    async def raw(self, data: bytes, *, then_wait: bool = True) -> bytes:
        """Send bytes as they are, and return what comes back until the gateway closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.settings.port)
        writer.write(data)
        await writer.drain()
        answer = await reader.read() if then_wait else b""
        writer.close()
        return answer

    async def has(self, number: int) -> None:
        async with asyncio.timeout(60):
            await self.services.index.wait_for(number)

    async def new_dataset(
        self, *, provider: Party | None = None, personal: bool = True, fields: int = 12
    ) -> bytes:
        """Register a dataset on chain; return its id when the gateway knows it."""
        names = tuple(f"field {at}" for at in range(fields))
        dataset = await asyncio.to_thread(
            self.chain.register_dataset, provider, personal=personal, fields=names
        )
        await self.has(await asyncio.to_thread(self.chain.wait_for_block))
        return dataset

    async def put_on_chain(self, dataset: bytes, head: TreeHead, base: int = 0) -> None:
        call = contract_calls.publish(dataset, head.root, head.size, base)
        await asyncio.to_thread(self.chain.send, self.chain.parties.provider, call)

    async def upload(self, dataset: bytes, lines: Sequence[bytes], base: int = 0) -> str:
        """Upload lines as a provider would; return the upload's id."""
        provider = self.chain.parties.provider
        begun = await self.send(
            provider, "POST", f"/v1/datasets/{to_hex(dataset)}/uploads", {"base": base}
        )
        upload: str = begun.json()["upload"]
        path = f"/v1/uploads/{upload}/lines?from=0"
        sent = await self.send(provider, "PUT", path, body=b"".join(lines), media_type=NDJSON)
        assert sent.status_code == 200, sent.text
        return upload


@asynccontextmanager
async def serve_gateway(
    chain: Chain, home: Path, database_url: str, *, follows: bool = True, **settings: Any
) -> AsyncIterator[GatewayServer]:
    """Serve a gateway on a free port until the context ends.

    Args:
        chain: Of its deployment, and of its node unless `settings` name another one.
        home: Of its files.
        database_url: Of its database.
        follows: Whether it can follow its node, so that it is waited for.
        settings: By name.
    """
    deployment = home / "deployment.json"
    write_deployment(chain.deployment, deployment)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    values: dict[str, Any] = {
        "port": listening.getsockname()[1],
        "database_url": database_url,
        "database_timeout": 5.0,
        "deployment": deployment,
        "node_url": chain.node.url,
        "poll_interval": 0.01,
        **settings,
    }
    made = Settings(**values)
    app = create_app(made, AccessSettings(journal=home / "journal", supervision=False))
    server = uvicorn.Server(server_config(app, made.server_limits))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        async with asyncio.timeout(60):
            while not server.started:
                if serving.done():
                    serving.result()
                await asyncio.sleep(0.01)
        base = f"http://127.0.0.1:{made.port}"
        async with httpx.AsyncClient(base_url=base, timeout=30, trust_env=False) as http:
            gateway = GatewayServer(app, made, chain, http, server)
            if follows:  # what others did on a shared chain is behind it
                await gateway.has(await asyncio.to_thread(chain.block_number))
            yield gateway
    finally:
        server.should_exit = True
        await serving
        listening.close()


__all__ = ["JSON", "NDJSON", "GatewayServer", "Signing", "dataset_id", "serve_gateway"]
