"""Questions to the index. Pages are cut by keys, not by counting, so the millionth costs as the first."""

import heapq
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec
from sqlalchemy import ColumnElement, Select, and_, bindparam, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.entities import NOTHING
from ledger.enumerations import OUTCOMES, Outcome
from ledger.hexes import from_hex
from ledger.index import tables
from ledger.index.keys import UNKNOWN
from ledger.index.rows import (
    AccessEntry,
    AgreementEntry,
    ApplicationEntry,
    AuthorizationEntry,
    BasisEntry,
    ErasureEntry,
    EventEntry,
    Place,
    PublicationEntry,
    SubjectEntry,
)
from ledger.keccak import keccak256

_AT_ONCE: Final = 500
Values = tuple[Any, ...]
"""A row's values, in the order selected."""

_PLACE: Final = (
    tables.transactions.c.block_number,
    tables.transactions.c.block_hash,
    tables.transactions.c.timestamp,
    tables.transactions.c.hash,
)
_PLACE_SIZE: Final = len(_PLACE)


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


async def accesses(
    connection: AsyncConnection, selection: Selection, *, before: int | None, limit: int
) -> tuple[AccessEntry, ...]:
    """Return accesses before a sequence number, the newest first."""
    found: list[Sequence[AccessEntry]] = []
    for condition in await _conditions(connection, selection, tables.accesses, "consumer"):
        if condition is None:
            continue
        statement = _ACCESSES.where(condition)
        if selection.outcome is not None:
            statement = statement.where(tables.accesses.c.outcome == int(selection.outcome))
        if before is not None:
            statement = statement.where(tables.accesses.c.sequence < before)
        statement = statement.order_by(tables.accesses.c.sequence.desc()).limit(limit)
        found.append([_access(row) for row in await _rows(connection, statement)])
    merged = heapq.merge(*found, key=lambda entry: -entry.sequence)
    return tuple(entry for entry, _ in zip(merged, range(limit), strict=False))


async def accesses_after(
    connection: AsyncConnection, sequence: int, limit: int
) -> tuple[AccessEntry, ...]:
    """Return accesses after a sequence number, the oldest first: for feeds."""
    rows = await _rows(connection, _ACCESSES_AFTER, after=sequence, most=limit)
    return tuple(_access(row) for row in rows)


async def accesses_numbered(
    connection: AsyncConnection, sequences: Sequence[int]
) -> tuple[AccessEntry, ...]:
    """Return the accesses with these sequence numbers, as far as they are there."""
    rows = await _rows(connection, _ACCESSES_NUMBERED, sequences=list(sequences))
    return tuple(_access(row) for row in rows)


async def events(
    connection: AsyncConnection, selection: Selection, *, before: int | None, limit: int
) -> tuple[EventEntry, ...]:
    """Return events that are not accesses, before a key, the newest first."""
    found: list[Sequence[EventEntry]] = []
    for condition in await _conditions(connection, selection, tables.events, "party"):
        if condition is None:
            continue
        statement = _EVENTS.where(condition)
        if before is not None:
            statement = statement.where(tables.events.c.key < before)
        statement = statement.order_by(tables.events.c.key.desc()).limit(limit)
        found.append([_event(row) for row in await _rows(connection, statement)])
    merged = heapq.merge(*found, key=lambda entry: -entry.key)
    return tuple(entry for entry, _ in zip(merged, range(limit), strict=False))


async def events_after(connection: AsyncConnection, key: int, limit: int) -> tuple[EventEntry, ...]:
    """Return events that are not accesses after a key, the oldest first: for feeds."""
    statement = _EVENTS.where(tables.events.c.key > key).order_by(tables.events.c.key).limit(limit)
    return tuple(_event(row) for row in await _rows(connection, statement))


async def unfit_after(connection: AsyncConnection, key: int, limit: int) -> tuple[EventEntry, ...]:
    """Return events after a key with a text that is not plain, the oldest first."""
    statement = _EVENTS.where(tables.events.c.key > key, text("unfit"))
    statement = statement.order_by(tables.events.c.key).limit(limit)
    return tuple(_event(row) for row in await _rows(connection, statement))


async def agreements_behind(
    connection: AsyncConnection, ids: Sequence[bytes]
) -> dict[bytes, bytes]:
    """Return the agreement behind each of these bases that has one, or is one."""
    own = select(tables.bases.c.id, tables.agreements.c.id).join(
        tables.agreements, tables.agreements.c.id == tables.bases.c.id
    )
    behind = (
        select(tables.bases.c.id, tables.agreements.c.id)
        .join(tables.authorizations, tables.authorizations.c.key == tables.bases.c.key)
        .join(tables.agreements, tables.agreements.c.number == tables.authorizations.c.agreement)
    )
    return dict(await _in_parts(connection, (own, behind), ids))


async def suspension_reviews(
    connection: AsyncConnection, agreements: Sequence[bytes]
) -> dict[bytes, int]:
    """Return when a regulator looked last at a suspension of each of these agreements, if one ever did."""
    table = tables.agreements
    statement = select(table.c.id, table.c.reviewed_at).where(
        table.c.id.in_(agreements), table.c.reviewed_at > 0
    )
    return dict(await _rows(connection, statement))


async def revocations(connection: AsyncConnection, ids: Sequence[bytes]) -> dict[bytes, int]:
    """Return when each of these authorizations was revoked; those that were not are left out."""
    statement = (
        select(tables.bases.c.id, tables.transactions.c.timestamp)
        .join(tables.authorizations, tables.authorizations.c.key == tables.bases.c.key)
        .join(tables.transactions, tables.transactions.c.key == tables.authorizations.c.revoked_in)
    )
    return dict(await _in_parts(connection, (statement,), ids))


async def identity_acts(connection: AsyncConnection, since: int) -> dict[bytes, int]:
    """Return how many ids of each identity authority were closed, or began to be recovered, since a time."""
    statement = (
        select(tables.subjects.c.registrar, func.count())
        .select_from(tables.events)
        .join(tables.transactions, tables.transactions.c.key == tables.events.c.transaction)
        .join(tables.subjects, tables.subjects.c.number == tables.events.c.subject)
        .where(tables.transactions.c.timestamp >= since)
        .where(tables.events.c.name.in_(("SubjectClosed", "RecoveryStarted")))
        .group_by(tables.subjects.c.registrar)
    )
    return dict(await _rows(connection, statement))


async def _in_parts(
    connection: AsyncConnection, statements: Sequence[Select[Any]], ids: Sequence[bytes]
) -> list[Any]:
    """Return the rows of statements over bases for some ids, which may be more than one question takes."""
    return [
        row
        for start in range(0, len(ids), _AT_ONCE)
        for statement in statements
        for row in await _rows(
            connection, statement.where(tables.bases.c.id.in_(ids[start : start + _AT_ONCE]))
        )
    ]


async def bases(connection: AsyncConnection, ids: Sequence[bytes]) -> Mapping[bytes, BasisEntry]:
    """Return what these ids name; unknown ones are left out."""
    found: dict[bytes, BasisEntry] = {}
    for start in range(0, len(ids), _AT_ONCE):
        for row in await _rows(connection, _BASES_BY_ID, ids=ids[start : start + _AT_ONCE]):
            found[row[0]] = BasisEntry(*row)
    return found


async def names_at_grant(connection: AsyncConnection, ids: Sequence[bytes]) -> Mapping[bytes, str]:
    """Return the consumers' names as of where these authorizations are on chain."""
    found: dict[bytes, str] = {}
    for start in range(0, len(ids), _AT_ONCE):
        rows = await _rows(connection, _NAMES_BY_ID, ids=ids[start : start + _AT_ONCE])
        found.update((id_, name) for id_, name in rows)
    return found


async def subjects(
    connection: AsyncConnection, condition: ColumnElement[bool]
) -> tuple[SubjectEntry, ...]:
    """Return subjects."""
    columns = [tables.subjects.c[name] for name in SubjectEntry.__struct_fields__]
    statement = select(*columns).where(condition).order_by(tables.subjects.c.number)
    rows = await _rows(connection, statement)
    return tuple(SubjectEntry(*row) for row in rows)


async def authorizations(
    connection: AsyncConnection,
    condition: ColumnElement[bool],
    *,
    before: int | None,
    limit: int,
) -> tuple[tuple[int, AuthorizationEntry], ...]:
    """Return authorizations before a key, the newest first, each with its key."""
    statement = _AUTHORIZATIONS.where(condition)
    if before is not None:
        statement = statement.where(tables.authorizations.c.key < before)
    statement = statement.order_by(tables.authorizations.c.key.desc()).limit(limit)
    rows = await _rows(connection, statement)
    keys = [row[0] for row in rows]
    used = await _uses(connection, keys)
    return tuple((row[0], _authorization(row, used.get(row[0], (0, 0)))) for row in rows)


async def applications(
    connection: AsyncConnection, condition: ColumnElement[bool], limit: int
) -> tuple[ApplicationEntry, ...]:
    """Return applications, the newest first."""
    table = tables.applications
    statement: Select[Any] = (
        select(
            table.c.id,
            tables.parties.c.address,
            tables.datasets.c.id,
            *(table.c[name] for name in ("purpose", "fields", "justification", "state")),
            table.c.reason,
            table.c.signed,
            *_PLACE,
        )
        .join(tables.parties, tables.parties.c.key == table.c.consumer)
        .join(tables.datasets, tables.datasets.c.key == table.c.dataset)
        .join(tables.transactions, tables.transactions.c.key == table.c.transaction)
        .where(condition)
        .order_by(table.c.transaction.desc())
        .limit(limit)
    )
    rows = await _rows(connection, statement)
    return tuple(ApplicationEntry(*_with_place(row)) for row in rows)


async def agreements(
    connection: AsyncConnection, condition: ColumnElement[bool], limit: int
) -> tuple[AgreementEntry, ...]:
    """Return agreements, the newest first."""
    table = tables.agreements
    statement: Select[Any] = (
        select(
            table.c.number,
            table.c.id,
            table.c.application,
            tables.parties.c.address,
            tables.datasets.c.id,
            *(table.c[name] for name in ("purpose", "fields", "expires_at", "withdrawn", "round")),
            *(table.c[name] for name in ("suspended_until", "suspension_unseen", "reason")),
            tables.applications.c.signed,
            *_PLACE,
        )
        .join(tables.parties, tables.parties.c.key == table.c.consumer)
        .join(tables.datasets, tables.datasets.c.key == table.c.dataset)
        .join(tables.applications, tables.applications.c.id == table.c.application)
        .join(tables.transactions, tables.transactions.c.key == table.c.transaction)
        .where(condition)
        .order_by(table.c.number.desc())
        .limit(limit)
    )
    rows = await _rows(connection, statement)
    return tuple(AgreementEntry(*_with_place(row)) for row in rows)


async def publications(
    connection: AsyncConnection, dataset: bytes, version: int | None, limit: int
) -> tuple[PublicationEntry, ...]:
    """Return a dataset's publications, the newest first, or only one version."""
    table = tables.publications
    statement: Select[Any] = (
        select(
            tables.datasets.c.id,
            *(table.c[name] for name in ("version", "root", "count", "base", "manifest")),
            *_PLACE,
        )
        .join(tables.datasets, tables.datasets.c.key == table.c.dataset)
        .join(tables.transactions, tables.transactions.c.key == table.c.transaction)
        .where(tables.datasets.c.id == dataset)
        .order_by(table.c.version.desc())
        .limit(limit)
    )
    if version is not None:
        statement = statement.where(table.c.version == version)
    rows = await _rows(connection, statement)
    return tuple(PublicationEntry(*_with_place(row)) for row in rows)


async def erasures(connection: AsyncConnection, transaction: bytes) -> tuple[ErasureEntry, ...]:
    """Return the tombstones that one transaction made."""
    table = tables.erasures
    statement: Select[Any] = (
        select(tables.datasets.c.id, table.c.item, table.c.version, *_PLACE)
        .join(tables.datasets, tables.datasets.c.key == table.c.dataset)
        .join(tables.transactions, tables.transactions.c.key == table.c.transaction)
        .where(tables.transactions.c.hash == transaction)
    )
    rows = await _rows(connection, statement)
    return tuple(ErasureEntry(*_with_place(row)) for row in rows)


async def signer_hashes(connection: AsyncConnection, subject: bytes) -> frozenset[bytes]:
    """Return Keccak-256 of every signer that a subject ever had, and of all who are or were its guardians.

    Only of members that name a signer: what else stands in a subject's events others choose, a reason or an id.
    """
    number = await _one(
        connection, select(tables.subjects.c.number).where(tables.subjects.c.id == subject)
    )
    if number is None:
        return frozenset()
    guardians = select(tables.guardians.c.guardian).where(tables.guardians.c.subject == number)
    hashes = set((await connection.execute(guardians)).scalars())
    table = tables.events
    named = select(table.c.name, table.c.body).where(
        *_equal(table, "subject", number), table.c.name.in_(_SIGNER_MEMBERS)
    )
    for name, body in (await connection.execute(named)).all():
        hashes.add(keccak256(from_hex(json.loads(body)[_SIGNER_MEMBERS[name]])))
    return frozenset(hashes)


async def erased(
    connection: AsyncConnection, dataset: bytes, items: Sequence[bytes]
) -> frozenset[bytes]:
    """Return those of some records of a dataset that have a tombstone."""
    table, found = tables.erasures, set[bytes]()
    for start in range(0, len(items), _AT_ONCE):
        statement = (
            select(table.c.item)
            .join(tables.datasets, tables.datasets.c.key == table.c.dataset)
            .where(tables.datasets.c.id == dataset)
            .where(table.c.item.in_(items[start : start + _AT_ONCE]))
        )
        found.update((await connection.execute(statement)).scalars())
    return frozenset(map(bytes, found))


async def count(connection: AsyncConnection, table: Any, *conditions: ColumnElement[bool]) -> int:
    """Return the number of rows of a table that fit the conditions."""
    statement = select(func.count()).select_from(table).where(*conditions)
    return int((await connection.execute(statement)).scalar_one())


_SIGNER_MEMBERS: Final = {
    "SubjectRegistered": "signer",
    "SignerRotated": "new_signer",
    "RecoveryCompleted": "new_signer",
}
"""Events that give a subject a signer, and the member that says which."""

# Building statements and reading rows

# A void with the number of another's access says nothing of that access.
_VOIDED: Final = and_(
    tables.voids.c.sequence == tables.accesses.c.sequence,
    tables.voids.c.basis == tables.accesses.c.basis,
)

_ACCESSES: Final[Select[Any]] = (
    select(
        tables.accesses.c.sequence,
        tables.accesses.c.log_index,
        tables.parties.c.address,
        tables.bases.c.id,
        tables.bases.c.kind,
        tables.datasets.c.id,
        tables.subjects.c.id,
        *(tables.accesses.c[name] for name in ("outcome", "deadline", "fields", "nonce", "item")),
        tables.voids.c.sequence.is_not(None),
        *_PLACE,
    )
    .join(tables.transactions, tables.transactions.c.key == tables.accesses.c.transaction)
    .join(tables.parties, tables.parties.c.key == tables.accesses.c.consumer)
    .join(tables.bases, tables.bases.c.key == tables.accesses.c.basis)
    .outerjoin(tables.datasets, tables.datasets.c.key == tables.accesses.c.dataset)
    .outerjoin(tables.subjects, tables.subjects.c.number == tables.accesses.c.subject)
    .outerjoin(tables.voids, _VOIDED)
)

# What every block or access asks is made once: to make a statement costs as much as to carry it out.
_ACCESSES_AFTER: Final[Select[Any]] = (
    _ACCESSES.where(tables.accesses.c.sequence > bindparam("after"))
    .order_by(tables.accesses.c.sequence)
    .limit(bindparam("most"))
)

_ACCESSES_NUMBERED: Final[Select[Any]] = _ACCESSES.where(
    tables.accesses.c.sequence.in_(bindparam("sequences", expanding=True))
)

_EVENTS: Final[Select[Any]] = select(
    tables.events.c.key,
    tables.events.c.log_index,
    tables.events.c.name,
    tables.events.c.unfit,
    tables.events.c.body,
    *_PLACE,
).join(tables.transactions, tables.transactions.c.key == tables.events.c.transaction)

_BASES: Final[Select[Any]] = (
    select(
        tables.bases.c.id,
        tables.bases.c.kind,
        tables.datasets.c.id,
        tables.subjects.c.id,
        tables.bases.c.item,
        tables.datasets.c.personal,
    )
    .join(tables.datasets, tables.datasets.c.key == tables.bases.c.dataset)
    .outerjoin(tables.subjects, tables.subjects.c.number == tables.bases.c.subject)
    .where(tables.bases.c.kind != UNKNOWN)
)

_BASES_BY_ID: Final[Select[Any]] = _BASES.where(
    tables.bases.c.id.in_(bindparam("ids", expanding=True))
)

_NAMES_BY_ID: Final[Select[Any]] = (
    select(tables.bases.c.id, tables.authorizations.c.consumer_name)
    .join(tables.authorizations, tables.authorizations.c.key == tables.bases.c.key)
    .where(tables.bases.c.id.in_(bindparam("ids", expanding=True)))
)

_AUTHORIZATION_COLUMNS: Final = (
    "fields",
    "case_reference",
    "statement_hash",
    "not_before",
    "expires_at",
    "max_uses",
    "min_interval",
    "nonce",
    "deadline",
    "agreement",
    "round",
    "epoch",
    "signer_hash",
)
_AUTHORIZATIONS: Final[Select[Any]] = (
    select(
        tables.authorizations.c.key,
        tables.bases.c.id,
        tables.subjects.c.id,
        tables.parties.c.address,
        tables.datasets.c.id,
        tables.bases.c.item,
        tables.authorizations.c.purpose,
        *(tables.authorizations.c[name] for name in _AUTHORIZATION_COLUMNS),
        (tables.authorizations.c.revoked_in > 0).label("revoked"),
        or_(
            tables.subjects.c.frozen,
            tables.subjects.c.closed,
            tables.subjects.c.recovery_at != 0,
            tables.subjects.c.epoch != tables.authorizations.c.epoch,
        ).label("halted"),
        *_PLACE,
    )
    .join(tables.bases, tables.bases.c.key == tables.authorizations.c.key)
    .join(tables.subjects, tables.subjects.c.number == tables.authorizations.c.subject)
    .join(tables.parties, tables.parties.c.key == tables.authorizations.c.consumer)
    .join(tables.datasets, tables.datasets.c.key == tables.bases.c.dataset)
    .join(tables.transactions, tables.transactions.c.key == tables.authorizations.c.transaction)
)


async def _conditions(
    connection: AsyncConnection, selection: Selection, table: Any, party_column: str
) -> list[ColumnElement[bool] | None]:
    """Return one condition for each subject, or a single one; None where nothing can fit."""
    shared: list[ColumnElement[bool]] = []
    for column, source, value in (
        (party_column, tables.parties.c.address, selection.party),
        ("dataset", tables.datasets.c.id, selection.dataset),
        ("basis", tables.bases.c.id, selection.basis),
    ):
        if value is None:
            continue
        key = await _one(connection, select(source.table.c.key).where(source == value))
        if key is None:
            return [None]
        shared += _equal(table, column, key)
    if selection.subjects is None:
        return [and_(True, *shared)]
    numbers = select(tables.subjects.c.number).where(tables.subjects.c.id.in_(selection.subjects))
    found = (await connection.execute(numbers)).scalars().all()
    return [and_(*_equal(table, "subject", number), *shared) for number in found]


def _equal(table: Any, column: str, key: int) -> list[ColumnElement[bool]]:
    return [table.c[column] == key, _positive(table, column)]


def _positive(table: Any, column: str) -> ColumnElement[bool]:
    """Return what the partial indices ask for; as text, because a parameter's value shows too late."""
    return cast("ColumnElement[bool]", text(f"{table.name}.{column} > 0"))


async def _rows(
    connection: AsyncConnection, statement: Select[Any], **values: object
) -> list[Values]:
    return [tuple(row) for row in await connection.execute(statement, values)]


async def _one(connection: AsyncConnection, statement: Select[Any]) -> int | None:
    found: int | None = (await connection.execute(statement)).scalar_one_or_none()
    return found


async def _uses(connection: AsyncConnection, keys: Sequence[int]) -> dict[int, tuple[int, int]]:
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
    newest = {key: values for key, *values in await _rows(connection, statement)}
    uses = {key: (count, last) for key, (count, _, last) in newest.items()}
    given: Select[Any] = select(voids.c.basis, voids.c.transaction, voids.c.last_use)
    for key, transaction, last_use in await _rows(connection, given.where(voids.c.basis.in_(keys))):
        if key in newest:
            count, last = uses[key]
            # Since its newest use each void sets it to the same or an earlier time.
            later = transaction > newest[key][1]
            uses[key] = (count - 1, min(last, last_use) if later else last)
    return uses


def _place(row: Values) -> Place:
    return Place(*row[-_PLACE_SIZE:])


def _with_place(row: Values) -> Values:
    return (*row[:-_PLACE_SIZE], _place(row))


def _access(row: Values) -> AccessEntry:
    sequence, log_index, consumer, basis, kind, dataset, subject = row[:7]
    outcome, deadline, fields, nonce, item, voided = row[7:13]
    return AccessEntry(
        sequence=sequence,
        place=_place(row),
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
        item=item or NOTHING,
        voided=bool(voided),
    )


def _event(row: Values) -> EventEntry:
    key, log_index, name, unfit, body = row[:5]
    return EventEntry(
        key=key, place=_place(row), log_index=log_index, name=name, unfit=bool(unfit), body=body
    )


def _authorization(row: Values, used: tuple[int, int]) -> AuthorizationEntry:
    *values, revoked, halted = row[1:-_PLACE_SIZE]
    whole: Values = (*values, _place(row), bool(revoked), bool(halted), *used)
    return AuthorizationEntry(*whole)
