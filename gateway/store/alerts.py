"""Alerts: what supervision found, each once."""

from typing import Final

import msgspec
from sqlalchemy import func, select, update

from gateway.store.access_tables import alerts
from gateway.store.database import Database


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
        async with self._database.writing() as connection:
            given = (await connection.execute(statement, row)).scalar()
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
