"""Handles from the gateway: what leads to a person's inbox without saying whose it is."""

import time
from collections.abc import Callable
from typing import Final

import httpx
import msgspec

from ledger.decode_errors import UNREADABLE
from ledger.hexes import to_hex
from ledger.http_signatures import body_digest, sign_request, target_of
from wallet.identity.errors import GatewayUnavailableError

_TIMEOUT: Final = 5.0
_CREATED: Final = 201


class Handle(msgspec.Struct, frozen=True):
    """An opaque handle, and until when it leads anywhere (seconds since 1970)."""

    handle: str
    expires_at: int


_answers = msgspec.json.Decoder(Handle)


class Gateway:
    """Asks the gateway for handles, signed by the identity authority.

    Args:
        http: To the gateway, with its base address.
        chain_id: The deployment's.
        private_key: The authority's account.
        clock: The present, seconds since 1970.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        chain_id: int,
        private_key: bytes,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._http = http
        self._chain_id = chain_id
        self._private_key = private_key
        self._clock = clock

    async def handle_for(self, subject: bytes) -> Handle:
        """Get a handle to a subject's inbox.

        Raises:
            GatewayUnavailableError: The gateway cannot be reached, or gives none.
        """
        body = msgspec.json.encode({"subject": to_hex(subject)})
        url = self._http.base_url.join("/v1/handles")
        signed = sign_request(
            target_of("POST", str(url)),
            body_digest(body),
            self._private_key,
            chain_id=self._chain_id,
            created=int(self._clock()),
        )
        headers = [("Content-Type", "application/json"), *signed.pairs()]
        try:
            answer = await self._http.post(url, content=body, headers=headers, timeout=_TIMEOUT)
            if answer.status_code != _CREATED:
                raise GatewayUnavailableError(f"the gateway answered {answer.status_code}")
            return _answers.decode(answer.content)
        except (httpx.HTTPError, *UNREADABLE) as error:
            raise GatewayUnavailableError("the gateway gives no handle now") from error
