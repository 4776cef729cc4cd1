"""Keyholders that answer in memory, with faults to switch on: the real ones' HTTP surface, no secrets."""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import httpx

from ledger.api import Refusal, SealedParts
from ledger.api.keyholder import encode_answers
from ledger.chain.http_client import HttpAnswer
from ledger.crypto.released_parts import PartsStatement, holder_digest, sign_statements
from ledger.crypto.secret_sharing import Roster
from ledger.crypto.signatures import address_of, sign
from ledger.hexstr import from_hex, keccak256, to_hex
from ledger.typed_data import Domain

REFUSAL = Refusal("urn:quancheng:problem:wrong-proof", "Wrong proof", 422, "the proof is wrong")
WANTED = Refusal("urn:quancheng:problem:statement-wanted", "The signed record is wanted", 409, "")


DOMAIN = Domain(31_337, b"\x05" * 20)
"""Of access requests."""


def account_of(number: int) -> bytes:
    return keccak256(b"fake keyholder %d" % number)


ROSTER = Roster(1, 2, tuple(address_of(account_of(number)) for number in (1, 2, 3)))


class FakeKeyholder:
    """A keyholder's HTTP surface, with faults to switch on."""

    def __init__(self, number: int) -> None:
        self.account = account_of(number)
        self.address = address_of(self.account)
        self.asked: list[int] = []
        self.down = False
        self.mute = False
        """Ready, and yet it releases nothing."""
        self.silent = False
        """It takes questions and answers none."""
        self.refusal: Refusal | None = None
        """What it says to everything."""
        self.delay = 0.0
        self.gate: asyncio.Barrier | None = None
        """Answers when as many have come here as it takes."""
        self.refused: list[object] = []
        self.tasks: list[Any] = []
        self.garbled = False
        self.threshold = 2
        """How many it says that it takes."""
        self.wants_statements = False
        """Like a real one, it wants to see each authorization's record once."""
        self.seen: dict[str, object] = {}
        """Those records, by the authorization's id."""
        self.epoch = 1
        """Which epoch it says that it has seeds of."""
        self.signs_with = self.account
        """Whose key it has."""
        self.seals = b""
        """What it adds to what it seals."""

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        body = b""
        while (message := await receive()).get("type") == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        status, answer = 200, b""
        if self.down or (self.mute and scope["path"] == "/v1/releases"):
            status = 503
        elif self.silent:
            await asyncio.sleep(3600)
        elif scope["path"] == "/readyz":
            answer = b"{}"
        elif scope["path"] == "/v1/holder":
            answer = self._holder(scope["query_string"])
        else:
            answer = await self._release(body)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": answer})

    def _holder(self, query: bytes) -> bytes:
        holders = ["0x" + (bytes([n]) * 20).hex() for n in (1, 2, 3)]
        epoch = {
            "epoch": self.epoch,
            "threshold": self.threshold,
            "members": holders,
            "complete": True,
        }
        nonce = from_hex(query.decode().removeprefix("nonce="))
        signature = sign(holder_digest(nonce, DOMAIN), self.signs_with)
        description = {"address": to_hex(self.address), "signature": to_hex(signature)}
        return json.dumps({**description, "epochs": [epoch]}).encode()

    async def _release(self, body: bytes) -> bytes:
        tasks = json.loads(body)["accesses"]
        self.asked.append(len(tasks))
        await asyncio.sleep(self.delay)
        if self.gate is not None:
            await self.gate.wait()
        if self.garbled:
            return b"{}"
        self.tasks += tasks
        # Of nothing: what is sealed no gateway can read.
        (signed,) = sign_statements([PartsStatement(bytes(32), ())], self.signs_with, DOMAIN)
        answers: list[SealedParts | Refusal] = [
            self.refusal
            or (
                REFUSAL
                if task in self.refused
                else self._wanted(task)
                or SealedParts(self.address + _mark(task) + self.seals, signed)
            )
            for task in tasks
        ]
        return encode_answers(answers)

    def _wanted(self, task: object) -> Refusal | None:
        if not self.wants_statements or not isinstance(task, dict):
            return None
        basis = task["request"]["basis"]
        if "authorization" in task:
            assert basis not in self.seen
            self.seen[basis] = task["authorization"]
        return None if basis in self.seen else WANTED


class InMemory:
    """`HttpAsker` to an ASGI application of this process."""

    def __init__(self, app: FakeKeyholder) -> None:
        transport = httpx.ASGITransport(app=app)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://keyholder")
        self.opened = 1

    async def ask(self, method: str, path: str, body: bytes = b"") -> HttpAnswer:
        response = await self._http.request(method, path, content=body)
        return HttpAnswer(response.status_code, response.content)

    async def close(self) -> None:
        await self._http.aclose()


def _mark(task: object) -> bytes:
    return bytes([task]) if isinstance(task, int) else b""
