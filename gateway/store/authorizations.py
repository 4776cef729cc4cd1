"""The signed authorizations with their statements, of which the chain has only hashes."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import select, update

from gateway.store.database import Database
from gateway.store.tables import authorizations as table
from ledger.chain.contract_calls import Approval
from ledger.typed_data import Authorization, decode_record, encode_record


class StoredAuthorization(msgspec.Struct, frozen=True):
    """An authorization as its subject signed it.

    Attributes:
        id: Struct hash of the record.
        record: With the statement.
        approval: Who signed, and the signature; None where the consumer brought the record.
        transaction: That brought it on chain; None while that is not known here.
        stored_at: Seconds since 1970.
    """

    id: bytes
    record: Authorization
    approval: Approval | None
    transaction: bytes | None
    stored_at: int


class AuthorizationStore:
    """Where they are kept. Every write is durable when it returns, and idempotent."""

    def __init__(self, database: Database) -> None:
        insert = database.upsert(table)
        self._database = database
        self._put: Final = insert.on_conflict_do_update(
            index_elements=["authorization"],
            set_={name: insert.excluded[name] for name in ("signer", "signature", "stored_at")},
            where=table.c.transaction.is_(None),
        )
        self._bring: Final = insert.on_conflict_do_nothing(index_elements=["authorization"])

    async def put(self, authorization: StoredAuthorization) -> None:
        """Keep one. The one that is on chain is never replaced by another signature."""
        await self._database.run(self._put, _row(authorization))

    async def bring(self, authorization: bytes, record: Authorization, now: int) -> None:
        """Keep the record of one that was relayed elsewhere; one that is here stays as it is."""
        kept = StoredAuthorization(authorization, record, None, None, now)
        await self._database.run(self._bring, _row(kept))

    async def note_transaction(self, authorization: bytes, transaction: bytes) -> None:
        step = (
            update(table)
            .where(table.c.authorization == authorization)
            .values(transaction=transaction)
        )
        await self._database.run(step)

    async def get(self, authorization: bytes) -> StoredAuthorization | None:
        statement = select(*_COLUMNS).where(table.c.authorization == authorization)
        row = await self._database.one(statement)
        return None if row is None else _stored(*row)

    async def find(self, authorizations: Sequence[bytes]) -> Mapping[bytes, StoredAuthorization]:
        """Return those of these ids that were relayed here."""
        if not authorizations:
            return {}
        statement = select(*_COLUMNS).where(table.c.authorization.in_(authorizations))
        rows = await self._database.all(statement)
        return {row[0]: _stored(*row) for row in rows}


_NAMES: Final = ("authorization", "record", "signer", "signature", "transaction", "stored_at")
_COLUMNS: Final = [table.c[name] for name in _NAMES]


def _row(kept: StoredAuthorization) -> dict[str, object]:
    approval = kept.approval
    return {
        "authorization": kept.id,
        "subject": kept.record.subject,
        "record": encode_record(kept.record),
        "signer": None if approval is None else approval.signer,
        "signature": None if approval is None else approval.signature,
        "transaction": kept.transaction,
        "stored_at": kept.stored_at,
    }


def _stored(
    authorization: bytes,
    record: bytes,
    signer: bytes | None,
    signature: bytes | None,
    transaction: bytes | None,
    stored_at: int,
) -> StoredAuthorization:
    return StoredAuthorization(
        authorization,
        decode_record(Authorization, record),
        None if signer is None or signature is None else Approval(signer, signature),
        transaction,
        stored_at,
    )
