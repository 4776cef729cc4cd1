"""Sessions, the challenges that were used to begin them, and which signed requests were seen."""

from hashlib import sha256
from typing import Final

import msgspec
from sqlalchemy import Connection, delete, insert, select

from gateway.errors import UnauthenticatedError
from gateway.store.database import Database
from gateway.store.tables import challenge_keys, request_nonces, sessions, used_challenges
from ledger.service.challenges import ProvenChallenge


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


_ONLY: Final = 1


class NewSession(msgspec.Struct, frozen=True):
    token: str
    signer: bytes
    expires_at: int


class LiveSession(msgspec.Struct, frozen=True):
    signer: bytes
    expires_at: int


class SessionStore:
    """Where sessions are kept; gateways that share it know each other's."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database
        self._use: Final = database.upsert(used_challenges).on_conflict_do_nothing()
        self._draw: Final = database.upsert(challenge_keys).on_conflict_do_nothing()

    async def challenge_key(self, drawn: bytes) -> bytes:
        """Return the key of challenges: `drawn`, unless a gateway on this database has one already."""

        def draw(connection: Connection) -> bytes:
            connection.execute(self._draw, {"id": _ONLY, "key": drawn})
            return bytes(connection.execute(select(challenge_keys.c.key)).scalar_one())

        return await self._database.write(draw)

    async def begin(self, challenge: ProvenChallenge, session: NewSession) -> bool:
        """Keep a session, by the hash of its token, if no other one began with the same challenge.

        Durable when this returns, the use of the challenge together with the session. Of several calls with
        the same challenge exactly one returns True.
        """
        row = {
            "token_hash": _hash(session.token),
            "signer": session.signer,
            "expires_at": session.expires_at,
        }

        def begin(connection: Connection) -> bool:
            used = connection.execute(self._use, msgspec.structs.asdict(challenge))
            if used.rowcount == 1:
                connection.execute(insert(sessions), row)
            return used.rowcount == 1

        return await self._database.write(begin)

    async def find(self, token: str, now: int) -> LiveSession | None:
        """Return the session of a token, if it is not over."""
        statement = select(sessions.c.signer, sessions.c.expires_at).where(
            sessions.c.token_hash == _hash(token), sessions.c.expires_at > now
        )
        row = await self._database.one(statement)
        return None if row is None else LiveSession(bytes(row.signer), row.expires_at)

    async def forget(self, now: int) -> None:
        def forget(connection: Connection) -> None:
            for table in (used_challenges, sessions):
                connection.execute(delete(table).where(table.c.expires_at < now))

        await self._database.write(forget)


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()
