"""People, codes and subject ids in the database."""

import hmac
import unicodedata
from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import partial
from itertools import islice
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, select, update

from ledger.api.identity import PersonKind
from ledger.identifiers import verify_credit_code, verify_resident_id
from wallet.identity.database import (
    Database,
    codes,
    enrolments,
    people,
    recovered,
    subjects,
    transactions,
)
from wallet.identity.errors import (
    ENROLMENT_REFUSED,
    SIGNER_IN_USE,
    TOO_MANY_SUBJECTS,
    IdentityError,
)

_SPACES: Final = dict.fromkeys(map(ord, " \t\r\n\u3000\u00a0"))


class Identity(msgspec.Struct, frozen=True):
    """An identity, claimed or registered. Its `repr` shows nothing personal."""

    kind: PersonKind
    number: str
    """Checked and in its one form."""
    name: str
    """In its one form: `canonical_name`."""

    def __repr__(self) -> str:
        return f"<Identity of a {self.kind.value}, not shown>"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("kind", self.kind.value)]

    def has_name(self, name: str) -> bool:
        """Compare the name in constant time."""
        return hmac.compare_digest(self.name.encode(), name.encode())


def make_identity(kind: PersonKind, number: str, name: str) -> Identity:
    """Return an identity; raises `IdentifierError` for a number that is not one of this kind."""
    return Identity(kind, canonical_number(kind, number), canonical_name(name))


def canonical_number(kind: PersonKind, number: str) -> str:
    """Return a number in its one form; raises `IdentifierError` if it is not one of this kind."""
    check = verify_resident_id if kind is PersonKind.RESIDENT else verify_credit_code
    return check(number)


def canonical_name(name: str) -> str:
    """Return a name without blanks, in Unicode's NFKC form: 欧阳　娜娜 is 欧阳娜娜."""
    return unicodedata.normalize("NFKC", name).translate(_SPACES)


class KeepFor(StrEnum):
    """The use that a person keeps a subject id for."""

    ANY = "any"
    """For every consumer that has none of its own: the general id."""
    ONE = "one"
    """For one consumer: the first that looks the person up, from then on for that one only."""
    CONSUMER = "consumer"
    """For the consumer that the person named."""


class SubjectState(StrEnum):
    """How far the registration of a subject id has come."""

    WAITING = "waiting"
    """Not sent to the chain yet."""
    SENT = "sent"
    """In a transaction that is not final yet."""
    REGISTERED = "registered"


class SubjectRow(msgspec.Struct, frozen=True):
    """A subject id of a person."""

    subject: bytes
    person: int
    signer: bytes
    """ERC-7913 bytes, as the chain has them."""
    keep_for: KeepFor
    consumer: bytes | None
    """The consumer that it is kept for, once that is known."""
    state: SubjectState
    closed: bool = False
    """Closed on chain: stolen, and opened by its key and this authority only."""


MAX_SUBJECTS = 256
"""Subject ids of one person."""

_ROWS_AT_ONCE = 2_000


class Person(msgspec.Struct, frozen=True):
    """Somebody in the register."""

    id: int
    identity: Identity


class RegisterEntry(msgspec.Struct, frozen=True):
    """One line of a register's file."""

    identity: Identity
    representative: str | None = None

    def __repr__(self) -> str:
        return "<RegisterEntry, not shown>"


class WantedSubject(msgspec.Struct, frozen=True):
    """A subject id that is to be: drawn at random, with the signer that proved itself."""

    subject: bytes
    signer: bytes
    keep_for: KeepFor
    consumer: bytes | None


class Order(msgspec.Struct, frozen=True):
    """An officer's order: by whom, on what ground, and when (seconds since 1970)."""

    officer: bytes
    identification: str
    at: int


class Code(msgspec.Struct, frozen=True):
    """A one-time code as it is stored: only its digest."""

    digest: bytes
    order: Order
    expires_at: int


class Store:
    """The identity authority's knowledge of people."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def import_people(self, entries: Iterable[RegisterEntry]) -> int:
        """Take over a register; who is there already gets the name that the file has.

        If we crash here, a part of the file was taken over: import it again.
        """
        source, count = iter(entries), 0
        while rows := list(islice(source, _ROWS_AT_ONCE)):
            await self._database.write(partial(_put_people, entries=rows))
            count += len(rows)
        return count

    async def person(self, kind: PersonKind, number: str) -> Person | None:
        query = select(people.c.id, people.c.name).where(
            people.c.kind == kind.value, people.c.number == number
        )
        row = await self._database.read(lambda connection: connection.execute(query).first())
        return None if row is None else Person(row.id, Identity(kind, number, row.name))

    async def person_by_id(self, person: int) -> Person:
        """Return a person that a subject belongs to."""
        query = select(people).where(people.c.id == person)
        row = await self._database.read(lambda connection: connection.execute(query).one())
        return Person(row.id, Identity(PersonKind(row.kind), row.number, row.name))

    async def issue_code(self, person: int, code: Code) -> None:
        """Keep a code's digest; codes that were issued to the person before are worth nothing."""
        earlier = and_(codes.c.person == person, codes.c.enrolment.is_(None))
        row = {
            "digest": code.digest,
            "person": person,
            "officer": code.order.officer,
            "identification": code.order.identification,
            "created_at": code.order.at,
            "expires_at": code.expires_at,
        }

        def issue(connection: Connection) -> None:
            connection.execute(update(codes).where(earlier).values(expires_at=code.order.at))
            connection.execute(insert(codes).values(row))

        await self._database.write(issue)

    async def check_code(self, person: int, digest: bytes, now: int) -> str | None:
        """Check a code that somebody names for a person.

        A wrong one costs the person nothing: a code has 80 random bits, so trying finds none, and whoever could
        use up a person's tries could keep it from enrolling.

        Returns:
            The enrolment that the code was used for already; None for a fresh one.

        Raises:
            IdentityError: It is not the person's, or too old.
        """
        query = select(codes).where(codes.c.person == person, codes.c.digest == digest)
        row = await self._database.read(lambda connection: connection.execute(query).first())
        if row is not None and row.enrolment is not None:
            return str(row.enrolment)
        if row is not None and row.expires_at > now:
            return None
        raise IdentityError(ENROLMENT_REFUSED, "name, number and code do not belong together")

    async def enrol(
        self,
        person: int,
        enrolment: str,
        wanted: Sequence[WantedSubject],
        now: int,
        *,
        code: bytes | None,
    ) -> None:
        """Keep the subject ids that are to be registered, and use up the code.

        Raises:
            IdentityError: The code was used meanwhile, a signer belongs to a subject already, or the person
                would have more than `MAX_SUBJECTS`.
        """
        row = {"id": enrolment, "person": person, "created_at": now}

        def enrol(connection: Connection) -> None:
            connection.execute(insert(enrolments).values(row))
            if code is not None:
                unused = and_(codes.c.digest == code, codes.c.enrolment.is_(None))
                used = update(codes).where(unused).values(enrolment=enrolment)
                if connection.execute(used).rowcount != 1:
                    detail = "name, number and code do not belong together"
                    raise IdentityError(ENROLMENT_REFUSED, detail)
            _check_signers(connection, [each.signer for each in wanted])
            count = select(func.count()).where(subjects.c.person == person)
            if connection.execute(count).scalar_one() + len(wanted) > MAX_SUBJECTS:
                detail = f"a person has at most {MAX_SUBJECTS} subject ids"
                raise IdentityError(TOO_MANY_SUBJECTS, detail)
            rows = [
                {
                    "subject": each.subject,
                    "person": person,
                    "enrolment": enrolment,
                    "signer": each.signer,
                    "signer_since": 0,
                    "keep_for": each.keep_for.value,
                    "consumer": each.consumer,
                    "closed": False,
                    "state": SubjectState.WAITING.value,
                }
                for each in wanted
            ]
            connection.execute(insert(subjects), rows)

        await self._database.write(enrol)

    async def subjects_of_enrolment(self, enrolment: str) -> list[SubjectRow]:
        """Return the subject ids of one enrolment, in the order of its signers."""
        return await self._subjects(subjects.c.enrolment == enrolment)

    async def registered_at(self, enrolment: str) -> int | None:
        """Return when the last id of an enrolment was sent to be registered; None while one was not."""
        query = (
            select(
                func.max(transactions.c.created_at), func.count(), func.count(transactions.c.nonce)
            )
            .select_from(
                subjects.outerjoin(transactions, transactions.c.nonce == subjects.c.transaction)
            )
            .where(subjects.c.enrolment == enrolment)
        )
        sent_at, wanted, sent = await self._database.read(
            lambda connection: connection.execute(query).one()
        )
        return int(sent_at) if wanted and sent == wanted else None

    async def subjects_of(self, person: int) -> list[SubjectRow]:
        """Return all subject ids of a person, oldest first."""
        return await self._subjects(subjects.c.person == person)

    async def subject(self, subject: bytes) -> SubjectRow | None:
        """Return a subject id; None for one that is not this authority's."""
        rows = await self._subjects(subjects.c.subject == subject)
        return rows[0] if rows else None

    async def give_to(self, subject: bytes, person: int) -> None:
        """Note whose a subject id is, after a mistake."""
        step = update(subjects).where(subjects.c.subject == subject).values(person=person)
        await self._database.write(lambda connection: connection.execute(step))

    async def subjects_signed_by(self, signer: bytes) -> list[SubjectRow]:
        """Return the registered subjects with a signer; who had it first comes first."""
        state = subjects.c.state == SubjectState.REGISTERED.value
        return await self._subjects(
            and_(subjects.c.signer == signer, state), subjects.c.signer_since
        )

    async def keep_for(self, subject: bytes, consumer: bytes) -> bool:
        """Keep a free subject id for a consumer; tell whether it was still free."""
        free = and_(subjects.c.subject == subject, subjects.c.consumer.is_(None))
        step = update(subjects).where(free).values(consumer=consumer)
        return await self._database.write(lambda connection: connection.execute(step).rowcount == 1)

    async def check_signers(self, signers: Sequence[bytes]) -> None:
        """Raises `IdentityError` if a subject has, or is about to get, one of them, or one is named twice."""
        await self._database.read(partial(_check_signers, signers=signers))

    async def _subjects(
        self, condition: ColumnElement[bool], *order: ColumnElement[int]
    ) -> list[SubjectRow]:
        query = select(subjects).where(condition).order_by(*order, subjects.c.place)
        return await self._database.read(
            lambda connection: list(map(_subject, connection.execute(query)))
        )


def _put_people(connection: Connection, entries: Sequence[RegisterEntry]) -> None:
    rows = {(entry.identity.kind.value, entry.identity.number): entry for entry in entries}
    kinds = {kind for kind, _ in rows}
    for kind in kinds:
        numbers = [number for its_kind, number in rows if its_kind == kind]
        query = select(people).where(people.c.kind == kind, people.c.number.in_(numbers))
        for known in connection.execute(query).all():
            entry = rows.pop((kind, known.number))
            values = {"name": entry.identity.name, "representative": entry.representative}
            if (known.name, known.representative) != tuple(values.values()):
                changed = update(people).where(people.c.id == known.id).values(values)
                connection.execute(changed)
    fresh = [
        {
            "kind": kind,
            "number": number,
            "name": entry.identity.name,
            "representative": entry.representative,
        }
        for (kind, number), entry in rows.items()
    ]
    if fresh:
        connection.execute(insert(people), fresh)


def _check_signers(connection: Connection, signers: Sequence[bytes]) -> None:
    if len(set(signers)) != len(signers):
        raise IdentityError(
            SIGNER_IN_USE, "a signer is named twice: each subject id has one of its own"
        )
    for column in (subjects.c.signer, recovered.c.new_signer):
        users = connection.execute(select(column).where(column.in_(signers)).limit(1))
        if users.first() is not None:
            raise IdentityError(SIGNER_IN_USE, "a signer belongs to a subject already")


def _subject(row: Row[tuple[object, ...]]) -> SubjectRow:
    return SubjectRow(
        subject=row.subject,
        person=row.person,
        signer=row.signer,
        keep_for=KeepFor(row.keep_for),
        consumer=row.consumer,
        state=SubjectState(row.state),
        closed=row.closed,
    )
