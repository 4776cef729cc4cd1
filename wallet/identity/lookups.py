"""The log of look-ups: noted before anything is answered, and shown to the person."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import insert, select, update

from ledger.hexstr import to_hex
from wallet.identity.database import Database
from wallet.identity.models import LookupAnswer
from wallet.identity.tables import lookups, owner_lists


class LookupOutcome(StrEnum):
    """The end of a look-up."""

    ASKED = "asked"
    """Noted, not answered yet; stays when the process fell in between."""
    HANDLE = "handle"
    """The consumer was given a handle to the person's inbox."""
    NO_MATCH = "no-match"
    """The name was not the person's. (Nobody's number: noted without a person.)"""
    NOT_ENROLLED = "not-enrolled"
    RECOVERY_PENDING = "recovery-pending"
    UNAVAILABLE = "unavailable"
    """The gateway gave no handle."""


@dataclass(frozen=True, slots=True)
class LookupLog:
    """The log of look-ups, and of lists of owners that providers asked for."""

    database: Database

    async def note(
        self, person: int | None, consumer: bytes, purpose: bytes, case_number: str, now: int
    ) -> int:
        """Note that somebody is looked up; return the look-up's id. It is on disk then."""
        row = {
            "person": person,
            "at": now,
            "consumer": consumer,
            "purpose": purpose,
            "case_number": case_number,
            "outcome": LookupOutcome.ASKED.value,
        }
        async with self.database.begin() as connection:
            result = await connection.execute(insert(lookups).values(row))
            key = result.inserted_primary_key
        return int(key[0]) if key is not None else 0

    async def settle(self, lookup: int, outcome: LookupOutcome) -> None:
        """Note the outcome."""
        async with self.database.begin() as connection:
            await connection.execute(
                update(lookups).where(lookups.c.id == lookup).values(outcome=outcome.value)
            )

    async def of_person(self, person: int, before: int | None, most: int) -> list[LookupAnswer]:
        """Return look-ups of a person, newest first, older than the one with id `before`."""
        query = select(lookups).where(lookups.c.person == person)
        if before is not None:
            query = query.where(lookups.c.id < before)
        query = query.order_by(lookups.c.id.desc()).limit(most)
        async with self.database.begin() as connection:
            rows = (await connection.execute(query)).all()
        return [
            LookupAnswer(
                id=row.id,
                at=row.at,
                consumer=to_hex(row.consumer),
                purpose=to_hex(row.purpose),
                case_number=row.case_number,
                outcome=row.outcome,
            )
            for row in rows
        ]

    async def note_owners(
        self, provider: bytes, dataset: bytes, kind: str, count: int, now: int
    ) -> None:
        """Note that a provider asked for owners."""
        row = {"at": now, "provider": provider, "dataset": dataset, "kind": kind, "count": count}
        async with self.database.begin() as connection:
            await connection.execute(insert(owner_lists).values(row))
