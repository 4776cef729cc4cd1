"""Questions to the index. Pages are cut by keys, not by counting, so the millionth costs as the first."""

import heapq
import json
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final, cast

import msgspec
from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    bindparam,
    func,
    or_,
    select,
    text,
)

from ledger.hexstr import from_hex, keccak256
from ledger.index import tables
from ledger.index.interning import UNKNOWN
from ledger.index.rows import (
    AccessEntry,
    AgreementEntry,
    ApplicationEntry,
    AuthorizationEntry,
    BasisEntry,
    ErasureEntry,
    EventEntry,
    Fault,
    Head,
    Place,
    PublicationEntry,
    Snapshot,
    Stats,
    SubjectEntry,
)
from ledger.model import OUTCOMES, ZERO_WORD, Outcome
from ledger.service.database import Database

_MAX_ROWS: Final = 1000
"""Rows of one answer."""
_MAX_IDS: Final = 500
"""Ids in one statement."""

Values = tuple[Any, ...]
"""A row's values, in the order selected."""


class Selection(msgspec.Struct, frozen=True):
    """Which accesses or events to return: those that fit everything that is given.

    Attributes:
        subjects: Of one of these subjects; None for any.
        party: The consumer of an access, the party of an event.
        dataset: Id.
        basis: Id of an authorization, agreement, order or dataset.
        outcome: Of an access.
    """

    subjects: tuple[bytes, ...] | None = None
    party: bytes | None = None
    dataset: bytes | None = None
    basis: bytes | None = None
    outcome: Outcome | None = None


class Questions:
    """What can be asked of an index. Each method is one transaction.

    Whatever the database raises (as `Database` translates it) passes through all methods. Where there
    is a `limit`, at most 1,000 rows are returned.
    """

    def __init__(self, database: Database, snapshot: Snapshot) -> None:
        self._database = database
        self._snapshot = snapshot

    @property
    def snapshot(self) -> Snapshot:
        """What every request may need, as of the last block written."""
        return self._snapshot

    @property
    def head(self) -> Head:
        """How far the index is."""
        return self._snapshot.head

    # Accesses and events

    async def accesses(
        self, selection: Selection, *, before: int | None = None, limit: int = 50
    ) -> tuple[AccessEntry, ...]:
        """Return accesses before a sequence number, the newest first."""
        statement, key = _ACCESSES, tables.accesses.c.sequence
        if selection.outcome is not None:
            statement = statement.where(tables.accesses.c.outcome == int(selection.outcome))

        def read(connection: Connection) -> list[Values]:
            conditions = _conditions(connection, selection, tables.accesses, "consumer")
            return _page(connection, statement, key, conditions, before, limit)

        return tuple(map(_access, await self._database.read(read)))

    async def accesses_after(self, sequence: int, limit: int = 500) -> tuple[AccessEntry, ...]:
        """Return all accesses after a sequence number, the oldest first: for feeds."""
        rows = await self._rows(_ACCESSES_AFTER, after=sequence, most=min(limit, _MAX_ROWS))
        return tuple(map(_access, rows))

    async def accesses_numbered(self, sequences: Sequence[int]) -> tuple[AccessEntry, ...]:
        return tuple(map(_access, await self._rows_of(sequences, _ACCESSES_NUMBERED)))

    async def events(
        self, selection: Selection, *, before: int | None = None, limit: int = 50
    ) -> tuple[EventEntry, ...]:
        """Return events other than accesses before a key, the newest first."""

        def read(connection: Connection) -> list[Values]:
            conditions = _conditions(connection, selection, tables.events, "party")
            return _page(connection, _EVENTS, tables.events.c.key, conditions, before, limit)

        return tuple(map(_event, await self._database.read(read)))

    async def events_after(self, key: int, limit: int = 500) -> tuple[EventEntry, ...]:
        """Return all events other than accesses after a key, the oldest first: for feeds."""
        rows = await self._rows(_EVENTS_AFTER, after=key, most=min(limit, _MAX_ROWS))
        return tuple(map(_event, rows))

    async def unfit_after(self, key: int, limit: int = 500) -> tuple[EventEntry, ...]:
        """Return events after a key with a text that is not plain, the oldest first."""
        statement = _EVENTS_AFTER.where(text("unfit"))
        rows = await self._rows(statement, after=key, most=min(limit, _MAX_ROWS))
        return tuple(map(_event, rows))

    async def faults(self, limit: int = 50) -> tuple[Fault, ...]:
        """Return what no contract can have emitted in its place, the oldest first."""
        columns = [tables.faults.c[name] for name in Fault.__struct_fields__]
        statement = select(*columns).order_by(tables.faults.c.key).limit(min(limit, _MAX_ROWS))
        return tuple(Fault(*row) for row in await self._rows(statement))

    # Bases of accesses

    async def bases(self, ids: Sequence[bytes]) -> Mapping[bytes, BasisEntry]:
        """Return what these ids name; those that name nothing are left out."""
        return {row[0]: BasisEntry(*row) for row in await self._rows_of(ids, _BASES)}

    async def names_at_grant(self, authorizations: Sequence[bytes]) -> Mapping[bytes, str]:
        """Return the consumers' names as of where these authorizations are on chain; unknown ones are left out."""
        return dict(await self._rows_of(authorizations, _NAMES_AT_GRANT))

    async def revocations(self, authorizations: Sequence[bytes]) -> Mapping[bytes, int]:
        """Return when each of these authorizations was revoked; those that were not are left out."""
        return dict(await self._rows_of(authorizations, _REVOCATIONS))

    async def agreements_behind(self, bases: Sequence[bytes]) -> Mapping[bytes, bytes]:
        return dict(await self._rows_of(bases, _OWN_AGREEMENTS, _AGREEMENTS_BEHIND))

    async def suspension_reviews(self, agreements: Sequence[bytes]) -> Mapping[bytes, int]:
        """Return when a regulator looked last at a suspension of each of these agreements, if one ever did."""
        return dict(await self._rows_of(agreements, _SUSPENSION_REVIEWS))

    async def authorization(self, authorization: bytes) -> AuthorizationEntry | None:
        entries = await self._authorizations(tables.bases.c.id == authorization, None, 1)
        return entries[0][1] if entries else None

    async def authorizations(
        self,
        *,
        subjects: Sequence[bytes] | None = None,
        consumer: bytes | None = None,
        case_reference: bytes | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> tuple[tuple[int, AuthorizationEntry], ...]:
        """Return authorizations that fit all that is given, the newest first.

        Each comes with its key: the last one's is `before` of the next page.
        """
        conditions: list[ColumnElement[bool]] = []
        if subjects is not None:
            conditions.append(tables.subjects.c.id.in_(subjects))
        if consumer is not None:
            conditions.append(tables.parties.c.address == consumer)
        if case_reference is not None:
            conditions.append(tables.authorizations.c.case_reference == case_reference)
        return await self._authorizations(and_(True, *conditions), before, limit)

    async def is_granted(self, subject: bytes, dataset: bytes) -> bool:
        """Tell whether an authorization of a subject over a dataset is neither over nor revoked."""
        live = and_(
            tables.subjects.c.id == subject,
            tables.datasets.c.id == dataset,
            tables.authorizations.c.revoked_in == 0,
            tables.authorizations.c.expires_at > self.head.timestamp,
        )
        return bool(await self._authorizations(live, None, 1))

    async def applications(
        self,
        *,
        provider: bytes | None = None,
        consumer: bytes | None = None,
        state: str | None = None,
        limit: int = 200,
    ) -> tuple[ApplicationEntry, ...]:
        """Return applications that fit all that is given, the newest first."""
        conditions = self._of_party(provider, consumer)
        if state is not None:
            conditions.append(tables.applications.c.state == state)
        statement = _APPLICATIONS.where(*conditions).limit(min(limit, _MAX_ROWS))
        return tuple(ApplicationEntry(*_with_place(row)) for row in await self._rows(statement))

    async def agreements(
        self,
        *,
        agreement: bytes | None = None,
        provider: bytes | None = None,
        consumer: bytes | None = None,
        limit: int = 200,
    ) -> tuple[AgreementEntry, ...]:
        """Return agreements that fit all that is given, the newest first."""
        conditions = self._of_party(provider, consumer)
        if agreement is not None:
            conditions.append(tables.agreements.c.id == agreement)
        statement = _AGREEMENTS.where(*conditions).limit(min(limit, _MAX_ROWS))
        return tuple(AgreementEntry(*_with_place(row)) for row in await self._rows(statement))

    # People

    async def subject(self, subject: bytes) -> SubjectEntry | None:
        entries = await self._subjects(tables.subjects.c.id == subject)
        return entries[0] if entries else None

    async def subjects_of(self, signer: bytes) -> tuple[SubjectEntry, ...]:
        return await self._subjects(tables.subjects.c.signer_hash == keccak256(signer))

    async def wards_of(self, guardian: bytes) -> tuple[SubjectEntry, ...]:
        """Return the subjects for whom this signer may sign as a guardian, by the last block's time."""
        table = tables.guardians
        wards = select(table.c.subject).where(
            table.c.guardian == keccak256(guardian), table.c.expires_at > self.head.timestamp
        )
        return await self._subjects(tables.subjects.c.number.in_(wards))

    async def registrars(self, subjects: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return who registered these subjects; unknown ones are left out."""
        return dict(await self._rows_of(subjects, _REGISTRARS))

    async def signer_hashes(self, subject: bytes) -> frozenset[bytes]:
        """Return Keccak-256 of every signer that a subject ever had, and of all who are or were its guardians.

        Only of members that name a signer: what else stands in a subject's events others choose, a reason
        or an id.
        """

        def read(connection: Connection) -> set[bytes]:
            number = _key_of(connection, tables.subjects.c.number, tables.subjects.c.id, subject)
            if number is None:
                return set()
            table = tables.guardians
            guardians = select(table.c.guardian).where(table.c.subject == number)
            hashes = set(connection.execute(guardians).scalars())
            naming = select(tables.events.c.name, tables.events.c.body).where(
                *_equal(tables.events, "subject", number),
                tables.events.c.name.in_(_SIGNER_MEMBERS),
            )
            for name, body in _rows(connection, naming):
                hashes.add(keccak256(from_hex(json.loads(body)[_SIGNER_MEMBERS[name]])))
            return hashes

        return frozenset(await self._database.read(read))

    async def people_who_sign(self, signers: Sequence[bytes]) -> Mapping[bytes, bool]:
        """Return those of these signers (ERC-7913 bytes) who sign for a subject now, or are or were guardians."""
        hashes = {keccak256(signer): signer for signer in signers}
        rows = await self._rows_of(list(hashes), _SIGNING, _GUARDING)
        return {hashes[row[0]]: True for row in rows}

    async def identity_acts(self, since: int) -> Mapping[bytes, int]:
        """Return how many ids of each identity authority were closed, or began to be recovered, since a time."""
        statement = _IDENTITY_ACTS.where(tables.transactions.c.timestamp >= since)
        return dict(await self._rows(statement))

    # Publications

    async def publication(self, dataset: bytes, version: int) -> PublicationEntry | None:
        one_version = tables.publications.c.version == version
        entries = await self._publications(dataset, 1, one_version)
        return entries[0] if entries else None

    async def publications(self, dataset: bytes, limit: int = 50) -> tuple[PublicationEntry, ...]:
        """Return a dataset's versions, the newest first."""
        return await self._publications(dataset, limit)

    async def erasures(self, transaction: bytes) -> tuple[ErasureEntry, ...]:
        statement = _ERASURES.where(tables.transactions.c.hash == transaction)
        return tuple(ErasureEntry(*_with_place(row)) for row in await self._rows(statement))

    async def erased(self, dataset: bytes, items: Sequence[bytes]) -> frozenset[bytes]:
        """Return those of some records (roots) of a dataset that have a tombstone."""
        statement = _ERASED.where(tables.datasets.c.id == dataset)
        return frozenset(bytes(row[0]) for row in await self._rows_of(items, statement))

    async def stats(self) -> Stats:
        """Return counts of rows: for now and then, not for every request."""
        allowed = tables.accesses.c.outcome == int(Outcome.ALLOWED)
        return await self._database.read(
            lambda connection: Stats(
                datasets=len(self.snapshot.datasets),
                publications=_count(connection, tables.publications),
                parties=len(self.snapshot.parties),
                subjects=_count(connection, tables.subjects),
                authorizations=_count(connection, tables.authorizations),
                accesses=self.head.sequence,
                allowed=_count(connection, tables.accesses, allowed),
            )
        )

    # Within

    async def _rows(self, statement: Select[Any], **values: object) -> list[Values]:
        return await self._database.read(lambda connection: _rows(connection, statement, **values))

    async def _rows_of(self, ids: Sequence[object], *statements: Select[Any]) -> list[Values]:
        """Return the rows of statements with the parameter `ids`, however many there are."""
        return await self._database.read(
            lambda connection: [
                row
                for start in range(0, len(ids), _MAX_IDS)
                for statement in statements
                for row in _rows(connection, statement, ids=ids[start : start + _MAX_IDS])
            ]
        )

    async def _subjects(self, condition: ColumnElement[bool]) -> tuple[SubjectEntry, ...]:
        columns = [tables.subjects.c[name] for name in SubjectEntry.__struct_fields__]
        statement = select(*columns).where(condition).order_by(tables.subjects.c.number)
        return tuple(SubjectEntry(*row) for row in await self._rows(statement))

    async def _publications(
        self, dataset: bytes, limit: int, *conditions: ColumnElement[bool]
    ) -> tuple[PublicationEntry, ...]:
        statement = _PUBLICATIONS.where(tables.datasets.c.id == dataset, *conditions)
        rows = await self._rows(statement.limit(min(limit, _MAX_ROWS)))
        return tuple(PublicationEntry(*_with_place(row)) for row in rows)

    async def _authorizations(
        self, condition: ColumnElement[bool], before: int | None, limit: int
    ) -> tuple[tuple[int, AuthorizationEntry], ...]:

        def read(connection: Connection) -> tuple[list[Values], dict[int, tuple[int, int]]]:
            key = tables.authorizations.c.key
            rows = _page(connection, _AUTHORIZATIONS, key, [condition], before, limit)
            return rows, _uses(connection, [row[0] for row in rows])

        rows, used = await self._database.read(read)
        return tuple((row[0], _authorization(row, used.get(row[0], (0, 0)))) for row in rows)

    def _of_party(
        self, provider: bytes | None, consumer: bytes | None
    ) -> list[ColumnElement[bool]]:
        conditions: list[ColumnElement[bool]] = []
        if provider is not None:
            datasets = self.snapshot.datasets.values()
            own = [dataset.id for dataset in datasets if dataset.provider == provider]
            conditions.append(tables.datasets.c.id.in_(own))
        if consumer is not None:
            conditions.append(tables.parties.c.address == consumer)
        return conditions


_SIGNER_MEMBERS: Final = {
    "SubjectRegistered": "signer",
    "SignerRotated": "new_signer",
    "RecoveryCompleted": "new_signer",
}
"""Events that give a subject a signer, and the member that says which."""

_NAMED: Final = {
    "transaction": tables.transactions,
    "consumer": tables.parties,
    "dataset": tables.datasets,
    "basis": tables.bases,
}


def _columns(table: Table, names: str) -> list[Column[Any]]:
    return [table.c[name] for name in names.split()]


def _join(statement: Select[Any], table: Table, names: str) -> Select[Any]:
    """Join the tables whose rows these columns of a table name by their keys."""
    for name in names.split():
        statement = statement.join(_NAMED[name], _NAMED[name].c.key == table.c[name])
    return statement


# Statements that are always the same are made once: to make one costs as much as to carry it out.

_PLACE: Final = _columns(tables.transactions, "block_number block_hash timestamp hash")
_IDS: Final[BindParameter[Any]] = bindparam("ids", expanding=True)
_AFTER: Final[BindParameter[int]] = bindparam("after")
_MOST: Final[BindParameter[int]] = bindparam("most")

# A void with the number of another's access says nothing of that access.
_VOIDED: Final = and_(
    tables.voids.c.sequence == tables.accesses.c.sequence,
    tables.voids.c.basis == tables.accesses.c.basis,
)
_ACCESSES: Final = (
    _join(
        select(
            *_columns(tables.accesses, "sequence log_index"),
            tables.parties.c.address,
            *_columns(tables.bases, "id kind"),
            tables.datasets.c.id,
            tables.subjects.c.id,
            *_columns(tables.accesses, "outcome deadline fields nonce item"),
            tables.voids.c.sequence.is_not(None),
            *_PLACE,
        ),
        tables.accesses,
        "transaction consumer basis",
    )
    .outerjoin(tables.datasets, tables.datasets.c.key == tables.accesses.c.dataset)
    .outerjoin(tables.subjects, tables.subjects.c.number == tables.accesses.c.subject)
    .outerjoin(tables.voids, _VOIDED)
)
_ACCESSES_AFTER: Final = (
    _ACCESSES.where(tables.accesses.c.sequence > _AFTER)
    .order_by(tables.accesses.c.sequence)
    .limit(_MOST)
)
_ACCESSES_NUMBERED: Final = _ACCESSES.where(tables.accesses.c.sequence.in_(_IDS))

_EVENTS: Final = _join(
    select(*_columns(tables.events, "key log_index name unfit body"), *_PLACE),
    tables.events,
    "transaction",
)
_EVENTS_AFTER: Final = (
    _EVENTS.where(tables.events.c.key > _AFTER).order_by(tables.events.c.key).limit(_MOST)
)
_IDENTITY_ACTS: Final = (
    _join(
        select(tables.subjects.c.registrar, func.count()).select_from(tables.events),
        tables.events,
        "transaction",
    )
    .join(tables.subjects, tables.subjects.c.number == tables.events.c.subject)
    .where(tables.events.c.name.in_(("SubjectClosed", "RecoveryStarted")))
    .group_by(tables.subjects.c.registrar)
)

_BASES: Final = (
    _join(
        select(
            *_columns(tables.bases, "id kind"),
            tables.datasets.c.id,
            tables.subjects.c.id,
            tables.bases.c.item,
            tables.datasets.c.personal,
        ),
        tables.bases,
        "dataset",
    )
    .outerjoin(tables.subjects, tables.subjects.c.number == tables.bases.c.subject)
    .where(tables.bases.c.kind != UNKNOWN, tables.bases.c.id.in_(_IDS))
)
_GRANTED: Final = tables.authorizations.c.key == tables.bases.c.key
_NAMES_AT_GRANT: Final = (
    select(tables.bases.c.id, tables.authorizations.c.consumer_name)
    .join(tables.authorizations, _GRANTED)
    .where(tables.bases.c.id.in_(_IDS))
)
_REVOCATIONS: Final = (
    select(tables.bases.c.id, tables.transactions.c.timestamp)
    .join(tables.authorizations, _GRANTED)
    .join(tables.transactions, tables.transactions.c.key == tables.authorizations.c.revoked_in)
    .where(tables.bases.c.id.in_(_IDS))
)
_OWN_AGREEMENTS: Final = (
    select(tables.bases.c.id, tables.agreements.c.id)
    .join(tables.agreements, tables.agreements.c.id == tables.bases.c.id)
    .where(tables.bases.c.id.in_(_IDS))
)
_AGREEMENTS_BEHIND: Final = (
    select(tables.bases.c.id, tables.agreements.c.id)
    .join(tables.authorizations, _GRANTED)
    .join(tables.agreements, tables.agreements.c.number == tables.authorizations.c.agreement)
    .where(tables.bases.c.id.in_(_IDS))
)
_SUSPENSION_REVIEWS: Final = select(*_columns(tables.agreements, "id reviewed_at")).where(
    tables.agreements.c.id.in_(_IDS), tables.agreements.c.reviewed_at > 0
)

_REGISTRARS: Final = select(*_columns(tables.subjects, "id registrar")).where(
    tables.subjects.c.id.in_(_IDS)
)
_SIGNING: Final = select(tables.subjects.c.signer_hash).where(
    tables.subjects.c.signer_hash.in_(_IDS)
)
_GUARDING: Final = select(tables.guardians.c.guardian).where(tables.guardians.c.guardian.in_(_IDS))

_APPLICATIONS: Final = _join(
    select(
        tables.applications.c.id,
        tables.parties.c.address,
        tables.datasets.c.id,
        *_columns(tables.applications, "purpose fields justification state reason signed"),
        *_PLACE,
    ),
    tables.applications,
    "consumer dataset transaction",
).order_by(tables.applications.c.transaction.desc())
_AGREEMENTS: Final = (
    _join(
        select(
            *_columns(tables.agreements, "number id application"),
            tables.parties.c.address,
            tables.datasets.c.id,
            *_columns(tables.agreements, "purpose fields expires_at withdrawn round"),
            *_columns(tables.agreements, "suspended_until suspension_unseen reason"),
            tables.applications.c.signed,
            *_PLACE,
        ),
        tables.agreements,
        "consumer dataset transaction",
    )
    .join(tables.applications, tables.applications.c.id == tables.agreements.c.application)
    .order_by(tables.agreements.c.number.desc())
)
_AUTHORIZATIONS: Final = _join(
    select(
        tables.authorizations.c.key,
        tables.bases.c.id,
        tables.subjects.c.id,
        tables.parties.c.address,
        tables.datasets.c.id,
        tables.bases.c.item,
        *_columns(tables.authorizations, "purpose fields case_reference statement_hash"),
        *_columns(tables.authorizations, "not_before expires_at max_uses min_interval nonce"),
        *_columns(tables.authorizations, "deadline agreement round epoch signer_hash"),
        (tables.authorizations.c.revoked_in > 0).label("revoked"),
        or_(
            tables.subjects.c.frozen,
            tables.subjects.c.closed,
            tables.subjects.c.recovery_at != 0,
            tables.subjects.c.epoch != tables.authorizations.c.epoch,
        ).label("halted"),
        *_PLACE,
    )
    .join(tables.bases, _GRANTED)
    .join(tables.subjects, tables.subjects.c.number == tables.authorizations.c.subject)
    .join(tables.datasets, tables.datasets.c.key == tables.bases.c.dataset),
    tables.authorizations,
    "consumer transaction",
)

_PUBLICATIONS: Final = _join(
    select(
        tables.datasets.c.id,
        *_columns(tables.publications, "version root count base manifest"),
        *_PLACE,
    ),
    tables.publications,
    "dataset transaction",
).order_by(tables.publications.c.version.desc())
_ERASURES: Final = _join(
    select(tables.datasets.c.id, *_columns(tables.erasures, "item version"), *_PLACE),
    tables.erasures,
    "dataset transaction",
)
_ERASED: Final = _join(select(tables.erasures.c.item), tables.erasures, "dataset").where(
    tables.erasures.c.item.in_(_IDS)
)


def _rows(connection: Connection, statement: Select[Any], **values: object) -> list[Values]:
    return [tuple(row) for row in connection.execute(statement, values)]


def _page(
    connection: Connection,
    statement: Select[Any],
    key: ColumnElement[int],
    conditions: Sequence[ColumnElement[bool]],
    before: int | None,
    limit: int,
) -> list[Values]:
    """Return rows that fit one of the conditions, by falling key; the key is selected first."""
    limit = min(limit, _MAX_ROWS)
    pages = []
    for condition in conditions:
        page = statement.where(condition)
        if before is not None:
            page = page.where(key < before)
        pages.append(_rows(connection, page.order_by(key.desc()).limit(limit)))
    return list(islice(heapq.merge(*pages, key=lambda row: -row[0]), limit))


def _conditions(
    connection: Connection, selection: Selection, table: Table, party_column: str
) -> list[ColumnElement[bool]]:
    """Return one condition for each subject, or a single one; none where nothing can fit."""
    shared: list[ColumnElement[bool]] = []
    for column, source, value in (
        (party_column, tables.parties.c.address, selection.party),
        ("dataset", tables.datasets.c.id, selection.dataset),
        ("basis", tables.bases.c.id, selection.basis),
    ):
        if value is None:
            continue
        key = _key_of(connection, source.table.c.key, source, value)
        if key is None:
            return []
        shared += _equal(table, column, key)
    if selection.subjects is None:
        return [and_(True, *shared)]
    numbers = select(tables.subjects.c.number).where(tables.subjects.c.id.in_(selection.subjects))
    registered = connection.execute(numbers).scalars().all()
    return [and_(*_equal(table, "subject", number), *shared) for number in registered]


def _key_of(
    connection: Connection, key: ColumnElement[int], column: ColumnElement[bytes], value: bytes
) -> int | None:
    return connection.execute(select(key).where(column == value)).scalar_one_or_none()


def _equal(table: Table, column: str, key: int) -> list[ColumnElement[bool]]:
    return [table.c[column] == key, _positive(table, column)]


def _positive(table: Table, column: str) -> ColumnElement[bool]:
    """Return what the partial indices ask for; as text, because a parameter's value shows too late."""
    return cast("ColumnElement[bool]", text(f"{table.name}.{column} > 0"))


def _count(connection: Connection, table: Table, *conditions: ColumnElement[bool]) -> int:
    statement = select(func.count()).select_from(table).where(*conditions)
    return connection.execute(statement).scalar_one()


def _uses(connection: Connection, keys: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Return how often authorizations were used, and when last, as the chain counts it.

    A void counts for the authorization that it names, whosever the access was, and sets the last use.
    """
    table, voids = tables.accesses, tables.voids
    counted = (
        select(table.c.basis, func.count().label("uses"), func.max(table.c.sequence).label("last"))
        .where(table.c.basis.in_(keys), _positive(table, "basis"))
        .where(table.c.outcome == int(Outcome.ALLOWED))
        .group_by(table.c.basis)
        .subquery()
    )
    statement: Select[Any] = (
        select(
            counted.c.basis, counted.c.uses, table.c.transaction, tables.transactions.c.timestamp
        )
        .join(table, table.c.sequence == counted.c.last)
        .join(tables.transactions, tables.transactions.c.key == table.c.transaction)
    )
    newest = {key: values for key, *values in _rows(connection, statement)}
    uses = {key: (count, last) for key, (count, _, last) in newest.items()}
    given: Select[Any] = select(voids.c.basis, voids.c.transaction, voids.c.last_use)
    for key, transaction, last_use in _rows(connection, given.where(voids.c.basis.in_(keys))):
        if key in newest:
            count, last = uses[key]
            # Since its newest use each void sets it to the same or an earlier time.
            later = transaction > newest[key][1]
            uses[key] = (count - 1, min(last, last_use) if later else last)
    return uses


def _with_place(row: Values) -> Values:
    return (*row[: -len(_PLACE)], Place(*row[-len(_PLACE) :]))


def _access(row: Values) -> AccessEntry:
    *values, place = _with_place(row)
    sequence, log_index, consumer, basis, kind, dataset, subject = values[:7]
    outcome, deadline, fields, nonce, item, voided = values[7:]
    return AccessEntry(
        sequence=sequence,
        place=place,
        log_index=log_index,
        consumer=consumer,
        basis=basis,
        kind=kind,
        dataset=dataset,
        subject=subject,
        outcome=OUTCOMES[outcome],
        deadline=deadline,
        fields=fields,
        nonce=nonce,
        item=item or ZERO_WORD,
        voided=bool(voided),
    )


def _event(row: Values) -> EventEntry:
    key, log_index, name, unfit, body, place = _with_place(row)
    return EventEntry(key, place, log_index, name, bool(unfit), body)


def _authorization(row: Values, used: tuple[int, int]) -> AuthorizationEntry:
    _, *values, revoked, halted, place = _with_place(row)
    members: Values = (*values, place, bool(revoked), bool(halted), *used)
    return AuthorizationEntry(*members)
