"""What consumers report of keyholders, each consumer once for each keyholder."""

from typing import Any, Final

import msgspec
from sqlalchemy import Select, select

from gateway.store.access_tables import keyholder_reports
from gateway.store.database import Database


class KeyholderReport(msgspec.Struct, frozen=True):
    """A consumer's word that a keyholder gave wrong parts, or what shows it.

    Attributes:
        keyholder: Its address.
        consumer: Who reports.
        access: Id of the consumer's access that it is about.
        proof: From `ledger.crypto.released_parts.encode_wrong_parts`, verified; None for a word.
        reported_at: Seconds since 1970.
    """

    keyholder: bytes
    consumer: bytes
    access: bytes
    proof: bytes | None
    reported_at: int


class KeyholderReportStore:
    """Where reports are kept. Every write is durable when it returns."""

    def __init__(self, database: Database) -> None:
        insert = database.upsert(keyholder_reports)
        changed = {name: insert.excluded[name] for name in ("access", "proof", "reported_at")}
        self._database = database
        self._put: Final = insert.on_conflict_do_update(
            index_elements=["keyholder", "consumer"],
            set_=changed,
            where=keyholder_reports.c.proof.is_(None),
        )

    async def put(self, report: KeyholderReport) -> None:
        """Keep a report. Idempotent: a consumer has one of a keyholder, and a proof is not replaced."""
        await self._database.run(self._put, msgspec.structs.asdict(report))

    async def of(self, keyholder: bytes) -> tuple[KeyholderReport, ...]:
        return await self._read(_SELECT.where(keyholder_reports.c.keyholder == keyholder))

    async def all(self) -> tuple[KeyholderReport, ...]:
        """Return every report, by keyholder and consumer: at most one of each party for each keyholder."""
        return await self._read(_SELECT)

    async def _read(self, statement: Select[Any]) -> tuple[KeyholderReport, ...]:
        rows = await self._database.all(statement)
        return tuple([KeyholderReport(*row) for row in rows])


_REPORT_COLUMNS: Final = [keyholder_reports.c[name] for name in KeyholderReport.__struct_fields__]
_SELECT: Final = select(*_REPORT_COLUMNS).order_by(
    keyholder_reports.c.keyholder, keyholder_reports.c.consumer
)
