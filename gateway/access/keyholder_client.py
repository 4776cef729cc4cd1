"""One keyholder as the gateway asks it, over HTTP. What it says is taken only as its own and as far as it may be right.

Its URL is a setting, its address the roster has. That the one is the other's shows in signatures: of whatever parts it
hands out, and over a fresh nonce before it counts as ready, at least once a minute and after each new connection. Else
whoever takes the URL over without a fault would count as ready, and uses be recorded that nobody serves. It costs
0.4 ms where it is asked, over loopback with both sides on these cores.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.errors import KeyholderError
from ledger.api import Refusal, SealedParts
from ledger.api.keyholder import decode_answers
from ledger.chain.http_client import HttpAsker, HttpClient, HttpError
from ledger.crypto.released_parts import holder_digest, verify_signer
from ledger.crypto.signatures import SIGNATURE_LENGTH, verify_signature
from ledger.encoding import SIZE
from ledger.errors import LedgerError
from ledger.hexstr import from_hex, to_hex
from ledger.jsonio import UNREADABLE
from ledger.typed_data import Domain

_OK: Final = 200
_MAX_ANSWER: Final = 64 * 1024 * 1024
_MAX_FRAME: Final = 8 * 1024
"""Bytes of an answer beside sealed parts: a signature with its way to the root, or a refusal."""
_CONNECTIONS: Final = 16
_IDLE: Final = 4.0
"""Seconds for which an unused connection is kept; a keyholder closes it after five."""
_SOON: Final = 1.5
_FRESH: Final = 0.05
"""Seconds for which an answer shows that a keyholder is ready: a use that is recorded while too few are is
somebody's use for nothing. Under load releases show it, otherwise each access asks."""
_PROVEN: Final = 60.0
"""Seconds for which a signature shows whose a URL is, as long as no connection is opened meanwhile."""
_TURN: Final = 8
"""Signatures after which others may run."""


class _Description(msgspec.Struct):
    signature: str


_descriptions: Final = msgspec.json.Decoder(_Description)


class KeyholderClient:
    """One keyholder. Belongs to the event loop in which it was first used."""

    def __init__(self, address: bytes, http: HttpAsker, domain: Domain) -> None:
        """`address`: as the roster has it. `domain`: of access requests, as it signs for this access log."""
        self.address = address
        self._http = http
        self._domain = domain
        self._proven_at = float("-inf")
        self._proven_on = 0
        """Connections that were open by then."""
        self.failed_at = float("-inf")
        self.ready_at = float("-inf")
        """When it last showed that it can release."""

    async def confirm(self) -> None:
        """Ask whether this keyholder can release at this moment.

        Raises:
            KeyholderError: It cannot, does not answer soon, or is another one than it should be.
        """
        try:
            async with asyncio.timeout(_SOON):
                await self._send("GET", "/readyz", b"")
                if not self._is_proven():  # after it: that question may have opened a connection
                    await self._identify()
        except TimeoutError as error:
            raise KeyholderError("a keyholder does not answer soon") from error
        self.ready_at = time.monotonic()

    def is_fresh(self) -> bool:
        """Whether it has just shown that it can release, and nothing went wrong since."""
        return self.ready_at > max(self.failed_at, time.monotonic() - _FRESH)

    async def release(self, body: bytes, most: Sequence[int]) -> tuple[SealedParts | Refusal, ...]:
        """Ask for the parts of tasks (`ledger.api.encode_tasks`).

        Args:
            body: The tasks.
            most: For each, how many bytes its sealed parts have at most (`ledger.crypto.secret_sharing.most_sealed`).

        Raises:
            KeyholderError: It does not answer, or not as it should; or somebody else answers in its place.
        """
        answer = await self._send("POST", "/v1/releases", body)
        try:
            answers = await self._verified(answer, most)
        except LedgerError as error:
            self._failed()
            raise KeyholderError(f"a keyholder's answer: {error}") from error
        except KeyholderError:
            self._failed()
            raise
        if any(isinstance(one, SealedParts) for one in answers):
            self._prove()
        if self._is_proven():  # refusals are not signed
            self.ready_at = time.monotonic()
        return answers

    async def close(self) -> None:
        await self._http.close()

    async def _verified(
        self, answer: bytes, most: Sequence[int]
    ) -> tuple[SealedParts | Refusal, ...]:
        """Check size and signer of what came; what is in it only the consumer can see."""
        if len(answer) > sum(most) * 4 // 3 + len(most) * _MAX_FRAME:
            raise KeyholderError(f"a keyholder's answer has {len(answer)} bytes")
        answers = decode_answers(answer, len(most))
        for place, (one, size) in enumerate(zip(answers, most, strict=True)):
            if isinstance(one, SealedParts):
                if len(one.sealed) > size:
                    raise KeyholderError(f"a keyholder's parts have {len(one.sealed)} bytes")
                verify_signer(one.signed, self.address, self._domain)
            if place % _TURN == _TURN - 1:
                await asyncio.sleep(0)
        return answers

    async def _identify(self) -> None:
        """Check that it has this address's key. All else that it says of itself is left unread."""
        nonce = os.urandom(SIZE)
        body = await self._send("GET", f"/v1/holder?nonce={to_hex(nonce)}", b"")
        try:
            signature = from_hex(_descriptions.decode(body).signature, SIGNATURE_LENGTH)
            verify_signature(holder_digest(nonce, self._domain), signature, self.address)
        except (*UNREADABLE, LedgerError) as error:
            self._failed()
            raise KeyholderError(
                f"somebody else answers in place of {to_hex(self.address)}"
            ) from error
        self._prove()

    def _prove(self) -> None:
        self._proven_at, self._proven_on = time.monotonic(), self._http.opened

    def _is_proven(self) -> bool:
        recent = time.monotonic() - self._proven_at < _PROVEN
        return recent and self._proven_on == self._http.opened

    def _failed(self) -> None:
        self.failed_at = time.monotonic()
        self._proven_at = float("-inf")

    async def _send(self, method: str, path: str, body: bytes) -> bytes:
        try:
            answer = await self._http.ask(method, path, body)
        except HttpError as error:
            self._failed()
            raise KeyholderError("a keyholder does not answer") from error
        if answer.status != _OK:
            self._failed()
            raise KeyholderError(f"a keyholder answers with status {answer.status}")
        return answer.body


def keyholder_at(address: bytes, url: str, domain: Domain, *, timeout: float) -> KeyholderClient:
    http = HttpClient(url, timeout=timeout, connections=_CONNECTIONS, most=_MAX_ANSWER, idle=_IDLE)
    return KeyholderClient(address, http, domain)
