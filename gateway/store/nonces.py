"""Which signed requests were seen: RFC 9421 leaves the memory of nonces to the receiver."""

from typing import Final

from sqlalchemy import delete

from gateway.errors import UnauthenticatedError
from gateway.store.database import Database
from gateway.store.tables import request_nonces


class NonceMemory:
    """Remembers (address, nonce) until it expires."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert: Final = database.upsert(request_nonces).on_conflict_do_nothing()

    async def remember(self, address: bytes, nonce: str, expires_at: int) -> None:
        """Remember a request; durable when this returns, so that a restart forgets none.

        Of several concurrent calls with the same address and nonce exactly one returns.

        Raises:
            UnauthenticatedError: It was remembered before.
            StoreUnavailableError: It is not remembered for sure: refuse the request.
        """
        values = {"address": address, "nonce": nonce, "expires_at": expires_at}
        if await self._database.run(self._insert, values) != 1:
            raise UnauthenticatedError(
                "this signed request was received before: sign it anew", "replayed"
            )

    async def forget(self, now: int) -> int:
        """Forget what expired before `now`; return how many. May be repeated at any time."""
        return await self._database.run(
            delete(request_nonces).where(request_nonces.c.expires_at < now)
        )
