"""Who looked whom up, and the resolver: a consumer that knows a customer is led to the person's inbox."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import insert, select, update

from ledger.api.consent import HandleAnswer
from ledger.api.identity import LookupAnswer
from ledger.hexstr import to_hex
from wallet.identity.chain import ChainDesk
from wallet.identity.database import Database, lookups, owner_lists
from wallet.identity.errors import (
    GATEWAY_UNAVAILABLE,
    NO_MATCH,
    NOT_ENROLLED,
    RECOVERY_PENDING,
    IdentityError,
)
from wallet.identity.handles import Gateway
from wallet.identity.store import Identity, KeepFor, Person, Store, SubjectRow, SubjectState


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
        statement = insert(lookups).values(row).returning(lookups.c.id)
        return await self.database.write(
            lambda connection: connection.execute(statement).scalar_one()
        )

    async def settle(self, lookup: int, outcome: LookupOutcome) -> None:
        step = update(lookups).where(lookups.c.id == lookup).values(outcome=outcome.value)
        await self.database.write(lambda connection: connection.execute(step))

    async def of_person(self, person: int, before: int | None, most: int) -> list[LookupAnswer]:
        """Return look-ups of a person, newest first, older than the one with id `before`."""
        query = select(lookups).where(lookups.c.person == person)
        if before is not None:
            query = query.where(lookups.c.id < before)
        query = query.order_by(lookups.c.id.desc()).limit(most)
        rows = await self.database.read(lambda connection: connection.execute(query).all())
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
        row = {"at": now, "provider": provider, "dataset": dataset, "kind": kind, "count": count}
        await self.database.write(
            lambda connection: connection.execute(insert(owner_lists).values(row))
        )


_OUTCOMES: Final = {
    NO_MATCH: LookupOutcome.NO_MATCH,
    NOT_ENROLLED: LookupOutcome.NOT_ENROLLED,
    RECOVERY_PENDING: LookupOutcome.RECOVERY_PENDING,
    GATEWAY_UNAVAILABLE: LookupOutcome.UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class Resolver:
    """Looks people up for consumers. Every look-up is on disk before it is answered."""

    store: Store
    log: LookupLog
    chain: ChainDesk
    gateway: Gateway
    clock: Callable[[], float]
    """The present, seconds since 1970."""

    async def resolve(
        self, consumer: bytes, wanted: Identity, purpose: bytes, case_number: str
    ) -> HandleAnswer:
        """Return a handle to the inbox of the subject id that the person keeps for the consumer.

        Args:
            consumer: Who asks, authenticated and admitted.
            wanted: Whom.
            purpose: Id of the purpose, 32 bytes.
            case_number: The consumer's own, shown to the person.

        Raises:
            IdentityError: Of kind UNKNOWN_ON_CHAIN (the purpose), NO_MATCH, NOT_ENROLLED, RECOVERY_PENDING,
                or not now: GATEWAY_UNAVAILABLE, CHAIN_UNAVAILABLE, DATABASE_UNAVAILABLE.
        """
        await self.chain.verify_consumer(consumer)
        await self.chain.verify_purpose(purpose)
        person = await self.store.person(wanted.kind, wanted.number)
        noted = None if person is None else person.id
        lookup = await self.log.note(noted, consumer, purpose, case_number, int(self.clock()))
        try:
            handle = await self._answer(consumer, wanted, person)
        except IdentityError as error:
            if error.kind in _OUTCOMES:
                await self.log.settle(lookup, _OUTCOMES[error.kind])
            raise
        await self.log.settle(lookup, LookupOutcome.HANDLE)
        return handle

    async def _answer(
        self, consumer: bytes, wanted: Identity, person: Person | None
    ) -> HandleAnswer:
        # One answer for a wrong name and for an unknown number: numbers cannot be tried out.
        if person is None or not person.identity.has_name(wanted.name):
            raise IdentityError(NO_MATCH, "nobody has this number and this name")
        chosen = await self._choose(person, consumer)
        if (await self.chain.subject(chosen.subject)).recovery_at:
            raise IdentityError(RECOVERY_PENDING, "the person's key is being replaced")
        return await self.gateway.handle_for(chosen.subject)

    async def _choose(self, person: Person, consumer: bytes) -> SubjectRow:
        while True:
            chosen = choose(await self.store.subjects_of(person.id), consumer)
            if chosen is None:
                detail = "the person has no subject id that this consumer could ask"
                raise IdentityError(NOT_ENROLLED, detail)
            if chosen.keep_for is not KeepFor.ONE or chosen.consumer == consumer:
                return chosen
            if await self.store.keep_for(chosen.subject, consumer):
                return chosen
            # Another consumer was faster: choose again.


def choose(subjects: Sequence[SubjectRow], consumer: bytes) -> SubjectRow | None:
    """Return the subject id for a consumer: its own, else a free one, else the general one.

    Two consumers are never given the same id unless it is the general one, so that what they see on
    chain does not show that they have a customer in common.

    Args:
        subjects: The person's, oldest first.
        consumer: Who asks.
    """
    usable = [row for row in subjects if row.state is SubjectState.REGISTERED and not row.closed]
    preferences = (
        [row for row in usable if row.consumer == consumer],
        [row for row in usable if row.keep_for is KeepFor.ONE and row.consumer is None],
        [row for row in usable if row.keep_for is KeepFor.ANY],
    )
    return next((rows[0] for rows in preferences if rows), None)
