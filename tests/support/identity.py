"""An identity authority for tests, on a real chain, with a gateway of which only the handles are there."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from ledger.chain import contract_calls
from ledger.chain.deployment import write_deployment
from ledger.crypto import signatures
from ledger.crypto.signatures import personal_digest
from ledger.hexstr import from_hex, keccak256, to_hex
from ledger.model import Roles
from ledger.service.http_signatures import (
    RequestTarget,
    body_digest,
    received_headers,
    sign_request,
    target_of,
    verify_request,
)
from scripts.scenario import Chain, Party
from tests.support.http_servers import http_server
from wallet.identity.app import create_app
from wallet.identity.keys import AuthorityKeys, OwnerKey
from wallet.identity.services import Services
from wallet.identity.settings import IdentitySettings
from wallet.passkey import SoftwarePasskey

HOST: Final = "127.0.0.1:8600"
OFFICER: Final = Party("Officer", Roles(0))
ZHANG: Final = {"kind": "resident", "id_number": "11010519491231002X", "name": "张三"}
LI: Final = {"kind": "resident", "id_number": "440524188001010014", "name": "李四"}
FIRM: Final = {"kind": "enterprise", "id_number": "91350100M000100Y43", "name": "泉城远达有限公司"}

RESIDENTS: Final = (
    "name,resident_id,phone,birth_date,address\n"
    "张三,11010519491231002X,13800000000,1949-12-31,泉城市\n"
    "李四,440524188001010014,13900000000,1880-01-01,泉城市\n"
)
ENTERPRISES: Final = (
    "name,credit_code,legal_representative_id\n"
    "泉城远达有限公司,91350100M000100Y43,11010519491231002X\n"
)


@dataclass
class HandlesGateway:
    """The gateway's `POST /v1/handles` and nothing else; remembers which handle leads where."""

    chain_id: int
    authority: bytes
    given: dict[str, str] = field(default_factory=dict)
    """Subject by handle."""
    broken: bool = False
    url: str = ""

    def answer(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        target = RequestTarget("POST", request.headers["host"], request.path)
        verified = verify_request(
            target,
            body,
            received_headers(request.headers.items()),
            chain_id=self.chain_id,
            now=int(time.time()),
        )
        if self.broken or verified.address != self.authority:
            return 403, b"{}"
        handle = to_hex(secrets.token_bytes(32))
        self.given[handle] = msgspec.json.decode(body, type=dict[str, str])["subject"]
        answer = {"handle": handle, "expires_at": int(time.time()) + 600}
        return 201, msgspec.json.encode(answer)


@contextmanager
def handles_gateway(chain: Chain, authority: bytes) -> Iterator[HandlesGateway]:
    gateway = HandlesGateway(chain.deployment.chain_id, authority)
    with http_server(gateway.answer) as gateway.url:
        yield gateway


@dataclass(frozen=True)
class Key:
    """A signer of a person: an account."""

    private_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    @property
    def signer(self) -> bytes:
        return signatures.address_of(self.private_key)

    def proven(self, text: str, keep_for: str = "any") -> dict[str, str]:
        signature = signatures.sign(personal_digest(text.encode()), self.private_key)
        return {
            "signer": to_hex(self.signer),
            "signature": to_hex(signature),
            "keep_for": keep_for,
        }


@dataclass
class Identity:
    """The running service as its callers see it."""

    http: httpx.AsyncClient
    chain: Chain
    keys: AuthorityKeys
    gateway: HandlesGateway
    home: Path
    settings: IdentitySettings
    services: Services

    @property
    def lines(self) -> str:
        return f"chain {self.chain.deployment.chain_id}\nauthority {to_hex(self.keys.address)}"

    def enrolment_text(self, code: str) -> str:
        return f"Quancheng enrolment\n{self.lines}\ncode {code}"

    async def signed(
        self, method: str, path: str, key: bytes, body: object = None, *, raw: bytes | None = None
    ) -> httpx.Response:
        content = raw if raw is not None else b"" if body is None else msgspec.json.encode(body)
        headers = sign_request(
            target_of(method, f"http://{HOST}{path}"),
            body_digest(content),
            key,
            chain_id=self.chain.deployment.chain_id,
            created=int(time.time()),
        )
        return await self.http.request(method, path, content=content, headers=headers.pairs())

    async def code_for(self, person: dict[str, str]) -> str:
        body = {**person, "identification": "identity card"}
        answer = await self.signed("POST", "/v1/codes", OFFICER.private_key, body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["code"])

    async def enrol(
        self, person: dict[str, str], keys: Sequence[Key], keep_for: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """Enrol somebody; return the subjects."""
        code = await self.code_for(person)
        kept = [*keep_for, *["any"] * (len(keys) - len(keep_for))]
        text = self.enrolment_text(code)
        signers = [key.proven(text, keep) for key, keep in zip(keys, kept, strict=True)]
        body = {**person, "code": code, "signers": signers}
        answer = await self.http.post("/v1/enrolments", json=body)
        assert answer.status_code == 201, answer.text
        found: list[dict[str, Any]] = answer.json()["subjects"]
        return found

    async def resolve(
        self, consumer: Party, person: dict[str, str], purpose: bytes, case: str = "loan-1"
    ) -> httpx.Response:
        body = {**person, "purpose": to_hex(purpose), "case_number": case}
        return await self.signed("POST", "/v1/resolutions", consumer.private_key, body)

    def led_to(self, answer: httpx.Response) -> bytes:
        """The subject behind a handle, which only the gateway knows."""
        assert answer.status_code == 200, answer.text
        return from_hex(self.gateway.given[answer.json()["handle"]])


def admitted_keys(chain: Chain) -> AuthorityKeys:
    """Keys of an authority of its own on the chain that all tests share."""
    account = keccak256(b"identity authority of one test" + secrets.token_bytes(8))
    address = signatures.address_of(account)
    call = contract_calls.admit(address, Roles.IDENTITY_AUTHORITY, f"Identity {to_hex(address)}")
    chain.send(chain.parties.authority, call)
    return AuthorityKeys(account, OwnerKey(keccak256(b"owner secret")))


def settings_for(chain: Chain, home: Path, gateway: str, **others: Any) -> IdentitySettings:
    home.mkdir(parents=True, exist_ok=True)
    write_deployment(chain.deployment, home / "deployment.json")
    usual: dict[str, Any] = {
        "home": home,
        "deployment": home / "deployment.json",
        "node": chain.node.url,
        "gateway": gateway,
        "officers": (to_hex(OFFICER.address),),
        "batch_seconds": 0.01,
        "recovery_spread": 0.0,
        "poll_interval": 0.05,
    }
    return IdentitySettings(**{**usual, **others})


@asynccontextmanager
async def running(
    chain: Chain, home: Path, keys: AuthorityKeys, gateway: HandlesGateway, **others: Any
) -> AsyncIterator[Identity]:
    """Run the service in this event loop, and wait until it is ready."""
    settings = settings_for(chain, home, gateway.url, **others)
    app = create_app(settings, keys)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as http:
            while True:
                if (await http.get("/readyz")).status_code == httpx.codes.OK:
                    break
                await asyncio.sleep(0.01)
            yield Identity(http, chain, keys, gateway, home, settings, app.state.services)


__all__ = [
    "ENTERPRISES",
    "FIRM",
    "HOST",
    "LI",
    "OFFICER",
    "RESIDENTS",
    "ZHANG",
    "HandlesGateway",
    "Identity",
    "Key",
    "SoftwarePasskey",
    "admitted_keys",
    "handles_gateway",
    "running",
    "settings_for",
]
