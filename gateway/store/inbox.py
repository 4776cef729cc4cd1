"""Handles, and the asks that wait in people's inboxes."""

from hashlib import sha256
from typing import Final

import msgspec
from sqlalchemy import Connection, and_, delete, insert, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from gateway.errors import ConflictError, UnknownError
from gateway.store.database import Database
from gateway.store.tables import asks, handles

_MAX_LISTED: Final = 200


class UsedHandle(msgspec.Struct, frozen=True):
    subject: bytes
    expires_at: int


class StoredAsk(msgspec.Struct, frozen=True):
    id: str
    consumer: bytes
    reference: str
    subject: bytes
    state: str
    """pending, granted or refused."""
    body: bytes
    reason: str
    """Of a refusal."""
    authorization: bytes | None
    created_at: int
    expires_at: int

    def state_at(self, now: int) -> str:
        """Return the state; a pending ask whose time is over is expired."""
        return "expired" if self.state == "pending" and self.expires_at <= now else self.state


class InboxStore:
    """Where handles and asks are kept. Every write is durable when it returns."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._put_handle: Final = insert(handles)
        self._put: Final = database.upsert(asks).on_conflict_do_nothing(
            index_elements=["consumer", "reference"]
        )

    async def put_handle(self, handle: bytes, subject: bytes, expires_at: int) -> None:
        """Keep a handle (only its hash)."""
        row = {"handle_hash": _hash(handle), "subject": subject, "expires_at": expires_at}
        await self._database.run(self._put_handle, row)

    async def use_handle(self, handle: bytes, consumer: bytes, now: int) -> UsedHandle:
        """Bind a handle to the consumer that uses it; return what it leads to. Idempotent for that one.

        Raises:
            UnknownError: There is no such handle, or its time is over.
            ConflictError: It is another consumer's.
        """
        own = or_(handles.c.consumer.is_(None), handles.c.consumer == consumer)
        which = and_(handles.c.handle_hash == _hash(handle), handles.c.expires_at > now)

        def bind(connection: Connection) -> UsedHandle:
            step = update(handles).where(which, own).values(consumer=consumer)
            bound = connection.execute(step).rowcount
            columns = handles.c.subject, handles.c.expires_at
            handle = connection.execute(select(*columns).where(which)).one_or_none()
            if handle is None:
                raise UnknownError("handle, or its time is over")
            if not bound:
                raise ConflictError("another consumer used this handle", "handle-used")
            return UsedHandle(bytes(handle.subject), handle.expires_at)

        return await self._database.write(bind)

    async def put(self, ask: StoredAsk) -> StoredAsk:
        """Keep an ask; return it, or the same one that was kept before under its reference.

        Raises:
            ConflictError: Another ask has that reference.
        """
        await self._database.run(self._put, msgspec.structs.asdict(ask))
        kept = await self._one(
            and_(asks.c.consumer == ask.consumer, asks.c.reference == ask.reference)
        )
        if (kept.subject, kept.body) != (ask.subject, ask.body):
            raise ConflictError(
                "another ask of this consumer has this reference number", "reference-used"
            )
        return kept

    async def get(self, ask: str) -> StoredAsk:
        """Return an ask.

        Raises:
            UnknownError: There is no such ask.
        """
        return await self._one(asks.c.id == ask)

    async def of_subjects(self, subjects: tuple[bytes, ...], now: int) -> tuple[StoredAsk, ...]:
        """Return what waits for these subjects now, the newest first; at most 200."""
        statement = (
            select(*_COLUMNS)
            .where(asks.c.subject.in_(subjects))
            .where(asks.c.state == "pending", asks.c.expires_at > now)
            .order_by(asks.c.key.desc())
            .limit(_MAX_LISTED)
        )
        rows = await self._database.all(statement)
        return tuple(StoredAsk(*row) for row in rows)

    async def grant(self, ask: str, authorization: bytes) -> None:
        """Note that an ask was granted; idempotent. What was refused before counts as granted."""
        step = (
            update(asks)
            .where(asks.c.id == ask, asks.c.state != "granted")
            .values(state="granted", authorization=authorization)
        )
        await self._database.run(step)

    async def refuse(self, ask: str, reason: str) -> StoredAsk:
        """Note a refusal; idempotent.

        Raises:
            ConflictError: It was granted.
        """
        step = (
            update(asks)
            .where(asks.c.id == ask, asks.c.state == "pending")
            .values(state="refused", reason=reason)
        )
        await self._database.run(step)
        kept = await self.get(ask)
        if kept.state != "refused":
            raise ConflictError(f"the ask is {kept.state}", "request-state")
        return kept

    async def forget(self, now: int) -> int:
        """Forget handles that expired; return how many."""
        return await self._database.run(delete(handles).where(handles.c.expires_at < now))

    async def _one(self, which: ColumnElement[bool]) -> StoredAsk:
        row = await self._database.one(select(*_COLUMNS).where(which))
        if row is None:
            raise UnknownError("request")
        return StoredAsk(*row)


_COLUMNS: Final = [asks.c[name] for name in StoredAsk.__struct_fields__]


def _hash(handle: bytes) -> bytes:
    return sha256(handle).digest()
