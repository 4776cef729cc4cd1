"""Handles from the gateway: each leads to a person's inbox without saying whose it is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import httpx
import msgspec

from ledger.api.consent import HandleAnswer, HandleWanted
from ledger.jsonio import UNREADABLE
from ledger.service.http_signatures import body_digest, sign_request, target_of
from wallet.identity.errors import GATEWAY_UNAVAILABLE, IdentityError

_TIMEOUT: Final = 5.0
_CREATED: Final = 201


@dataclass(frozen=True, slots=True)
class Gateway:
    """Asks the gateway for handles, signed by the identity authority.

    Attributes:
        http: To the gateway, with its base address.
        chain_id: Of the deployment.
        private_key: The authority's account.
        clock: The present, seconds since 1970.
    """

    http: httpx.AsyncClient
    chain_id: int
    private_key: bytes = field(repr=False)
    clock: Callable[[], float]

    async def handle_for(self, subject: bytes) -> HandleAnswer:
        """Get a handle to a subject's inbox.

        Raises:
            IdentityError: The gateway cannot be reached, or gives none.
        """
        body = HandleWanted(subject=subject).encode()
        url = self.http.base_url.join("/v1/handles")
        signed = sign_request(
            target_of("POST", str(url)),
            body_digest(body),
            self.private_key,
            chain_id=self.chain_id,
            created=int(self.clock()),
        )
        headers = [("Content-Type", "application/json"), *signed.pairs()]
        try:
            answer = await self.http.post(url, content=body, headers=headers, timeout=_TIMEOUT)
            if answer.status_code != _CREATED:
                detail = f"the gateway answered {answer.status_code}"
                raise IdentityError(GATEWAY_UNAVAILABLE, detail)
            return msgspec.json.decode(answer.content, type=HandleAnswer)
        except (httpx.HTTPError, *UNREADABLE) as error:
            detail = "the gateway gives no handle now"
            raise IdentityError(GATEWAY_UNAVAILABLE, detail) from error
