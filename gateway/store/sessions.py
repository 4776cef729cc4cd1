"""Challenges that wait for an answer, and sessions that came of them."""

from hashlib import sha256
from typing import Final, Protocol

import msgspec
from sqlalchemy import delete, insert, select

from gateway.store.database import Database
from gateway.store.tables import challenges, sessions


class Challenge(msgspec.Struct, frozen=True):
    """What a signer has to sign to begin a session."""

    nonce: str
    signer: bytes
    message: str
    expires_at: int


class SessionStore(Protocol):
    """Where challenges and sessions are kept; gateways that share it know each other's."""

    async def put_challenge(self, challenge: Challenge) -> None:
        """Keep a challenge."""
        ...

    async def take_challenge(self, nonce: str) -> Challenge | None:
        """Return a challenge and forget it: of several calls at most one gets it."""
        ...

    async def put_session(self, token: str, signer: bytes, expires_at: int) -> None:
        """Keep a session, by the hash of its token."""
        ...

    async def signer_of(self, token: str, now: int) -> bytes | None:
        """Return whose session a token is, if it is not over."""
        ...

    async def forget(self, now: int) -> None:
        """Forget what is over."""
        ...


class SqlSessionStore:
    """`SessionStore` in the database."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    async def put_challenge(self, challenge: Challenge) -> None:
        """See `SessionStore`."""
        async with self._database.writing() as connection:
            await connection.execute(insert(challenges), msgspec.structs.asdict(challenge))

    async def take_challenge(self, nonce: str) -> Challenge | None:
        """See `SessionStore`."""
        columns = [challenges.c[name] for name in Challenge.__struct_fields__]
        which = challenges.c.nonce == nonce
        async with self._database.writing() as connection:
            row = (await connection.execute(select(*columns).where(which))).one_or_none()
            gone = await connection.execute(delete(challenges).where(which))
        return Challenge(*row) if row is not None and gone.rowcount == 1 else None

    async def put_session(self, token: str, signer: bytes, expires_at: int) -> None:
        """See `SessionStore`."""
        row = {"token_hash": _hash(token), "signer": signer, "expires_at": expires_at}
        async with self._database.writing() as connection:
            await connection.execute(insert(sessions), row)

    async def signer_of(self, token: str, now: int) -> bytes | None:
        """See `SessionStore`."""
        statement = select(sessions.c.signer).where(
            sessions.c.token_hash == _hash(token), sessions.c.expires_at > now
        )
        async with self._database.reading() as connection:
            found = (await connection.execute(statement)).scalar()
        return None if found is None else bytes(found)

    async def forget(self, now: int) -> None:
        """See `SessionStore`."""
        async with self._database.writing() as connection:
            await connection.execute(delete(challenges).where(challenges.c.expires_at < now))
            await connection.execute(delete(sessions).where(sessions.c.expires_at < now))


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()
