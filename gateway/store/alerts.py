"""What supervision found, each once; and what consumers report of keyholders, each consumer once for each."""

from typing import Any, Final

import msgspec
from sqlalchemy import Select, func, select, update

from gateway.store.database import Database
from gateway.store.tables import alerts, keyholder_reports


class StoredAlert(msgspec.Struct, frozen=True):
    """An alert as it is kept.

    Attributes:
        id: Counted from 1, in the order of raising.
        key: What it is about and when: there is one alert for each key.
        rule: Name of the rule.
        severity: notice, warning or grave.
        consumer: Whom it is about, if it is about one.
        dataset: What it is about, if it is about one.
        first_sequence: First access that it rests on; zero for none.
        last_sequence: Last one.
        text: For people.
        raised_at: Seconds since 1970.
        agreement: Which it would suspend; None for what is an alert and nothing else.
        suspended_until: End of the suspension that it led to.
        transaction: Of that suspension.
        suspension_refused: Why it led to none, for good; None while it may.
    """

    id: int
    key: str
    rule: str
    severity: str
    consumer: bytes | None
    dataset: bytes | None
    first_sequence: int
    last_sequence: int
    text: str
    raised_at: int
    agreement: bytes | None = None
    suspended_until: int | None = None
    transaction: bytes | None = None
    suspension_refused: str | None = None


class AlertStore:
    """Where alerts are kept. Every write is durable when it returns."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._put: Final = database.upsert(alerts).on_conflict_do_nothing(index_elements=["key"])

    async def put(self, alert: StoredAlert) -> StoredAlert | None:
        """Keep an alert, whose id is given here; None if there is one with its key. Idempotent."""
        row = msgspec.structs.asdict(alert)
        del row["id"]
        statement = self._put.returning(alerts.c.id)
        given = await self._database.write(
            lambda connection: connection.execute(statement, row).scalar()
        )
        return None if given is None else msgspec.structs.replace(alert, id=given)

    async def note_suspension(self, alert: int, until: int, transaction: bytes) -> None:
        step = (
            update(alerts)
            .where(alerts.c.id == alert)
            .values(suspended_until=until, transaction=transaction)
        )
        await self._database.run(step)

    async def note_refusal(self, alert: int, reason: str) -> None:
        """Note why an alert leads to no suspension."""
        step = update(alerts).where(alerts.c.id == alert).values(suspension_refused=reason)
        await self._database.run(step)

    async def unenforced(self, rules: tuple[str, ...], since: int) -> tuple[StoredAlert, ...]:
        """Return alerts of these rules, raised since then, that may still suspend an agreement."""
        statement = (
            select(*_COLUMNS)
            .where(alerts.c.rule.in_(rules), alerts.c.raised_at >= since)
            .where(alerts.c.agreement.is_not(None))
            .where(alerts.c.transaction.is_(None), alerts.c.suspension_refused.is_(None))
            .order_by(alerts.c.id)
        )
        rows = await self._database.all(statement)
        return tuple(StoredAlert(*row) for row in rows)

    async def list(self, after: int, limit: int) -> tuple[StoredAlert, ...]:
        """Return alerts whose id is greater than `after`, in order."""
        statement = select(*_COLUMNS).where(alerts.c.id > after).order_by(alerts.c.id).limit(limit)
        rows = await self._database.all(statement)
        return tuple(StoredAlert(*row) for row in rows)

    async def last(self) -> int:
        row = await self._database.one(select(func.coalesce(func.max(alerts.c.id), 0)))
        return 0 if row is None else int(row[0])


_COLUMNS: Final = [alerts.c[name] for name in StoredAlert.__struct_fields__]


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
