"""The index: written block by block, asked by everybody."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Final, Protocol

import msgspec
from sqlalchemy import ColumnElement, and_, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.entities import NOTHING
from ledger.enumerations import Outcome
from ledger.errors import LedgerError
from ledger.events import Event
from ledger.index import reader, tables
from ledger.index.faults import Fault
from ledger.index.kept import KEPT, read_again
from ledger.index.keys import Keys
from ledger.index.reader import Selection
from ledger.index.rows import (
    AccessEntry,
    AgreementEntry,
    ApplicationEntry,
    AuthorizationEntry,
    BasisEntry,
    ErasureEntry,
    EventEntry,
    Head,
    PublicationEntry,
    Snapshot,
    Stats,
    SubjectEntry,
)
from ledger.index.writer import Writer
from ledger.keccak import keccak256

_MOST: Final = 1000
"""Rows that one question returns at most."""

_WRITE_IDLE: Final = 1.0
"""Seconds from one write of progress to the next while nothing happens on the chain."""


class Transactions(Protocol):
    """A database: SQLAlchemy connections within transactions."""

    @property
    def is_sqlite(self) -> bool:
        """Whether it is SQLite; PostgreSQL otherwise."""
        ...

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Begin a transaction that only reads."""
        ...

    def writing(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Begin a transaction, durable when its context ends without an error."""
        ...


class Origin(msgspec.Struct, frozen=True):
    """What an index is of."""

    genesis: bytes
    """Hash of the chain's first block."""
    access_log: bytes
    """Address of the deployment's access log."""
    before: int
    """Number of the last block before the deployment."""


class Index:
    """The chain's events up to some final block, in tables; current parties and datasets in memory.

    One process writes at a time: whoever finds that another one went on first takes over from
    there. A transaction holds whole blocks and the note of how far it came, so after a crash the index
    is as of some block, and `apply` goes on with the next one.

    Whatever the database raises (as `Transactions` translates it) passes through all methods.
    """

    def __init__(self, database: Transactions, origin: Origin) -> None:
        """Take a database whose tables exist. `open` must be called before anything else."""
        self._database = database
        self._origin = origin
        self._keys: Keys | None = None
        self._snapshot = Snapshot(
            Head(origin.before, bytes(32), 0, 0), {}, {}, {}, {}, {}, {}, {}, {}
        )
        self._written = self._snapshot.head
        self._written_at = float("-inf")
        self._moved = asyncio.Event()
        self._wanted = -1
        self._asked = asyncio.Event()

    @property
    def snapshot(self) -> Snapshot:
        """What every request may need, as of the last block written."""
        return self._snapshot

    @property
    def head(self) -> Head:
        """How far the index is."""
        return self._snapshot.head

    async def open(self) -> Head:
        """Begin a new index, or find out how far the one in the database is.

        Raises:
            LedgerError: It is of another chain or deployment.
        """
        origin = self._origin
        async with self._database.writing() as connection:
            row = (await connection.execute(select(tables.progress))).one_or_none()
            if row is None:
                await connection.execute(insert(tables.progress).values(_progress(origin)))
            elif (row.genesis, row.access_log) != (origin.genesis, origin.access_log):
                raise LedgerError("the index is of another chain or deployment: delete it")
            await self._reload(connection)
        return self.head

    async def clear(self) -> None:
        """Throw the index away and begin anew: for a chain that lost blocks it had called final."""
        async with self._database.writing() as connection:
            for table in tables.TABLES:
                await connection.execute(delete(table))
            await connection.execute(insert(tables.progress).values(_progress(self._origin)))
            self._keys = None
            await self._reload(connection)

    async def apply(
        self,
        events: Sequence[Event],
        number: int,
        block_hash: bytes,
        timestamp: int,
        faults: Sequence[Fault] = (),
    ) -> Head:
        """Write the events of the blocks after the head up to block `number`, durably.

        That blocks without events were read is written once a second at most: if we crash before, they are
        read again.

        Args:
            events: All of them, in the order of the chain.
            number: Of the last block; all up to it are final.
            block_hash: Of the last block.
            timestamp: Of the last block.
            faults: What else was among them, and is no event.

        Returns:
            The head now; another one than asked for if another process was first.
        """
        if not (events or faults) and time.monotonic() - self._written_at < _WRITE_IDLE:
            head = msgspec.structs.replace(
                self.head, number=number, hash=block_hash, timestamp=timestamp
            )
            self._show(msgspec.structs.replace(self._snapshot, head=head))
            return head
        try:
            async with self._database.writing() as connection:
                head = Head(number, block_hash, timestamp, 0)
                snapshot = await self._write(connection, events, head, faults)
        except BaseException:
            self._keys = None  # its numbers were not written
            raise
        self._written, self._written_at = snapshot.head, time.monotonic()
        self._show(snapshot)
        return self.head

    async def _write(
        self,
        connection: AsyncConnection,
        events: Sequence[Event],
        reached: Head,
        faults: Sequence[Fault],
    ) -> Snapshot:
        """Write, unless another process was first; return what is in the database then."""
        before = self._written
        claim = (
            update(tables.progress)
            .where(tables.progress.c.block_number == before.number)
            .where(tables.progress.c.block_hash == before.hash)
            .values(block_number=reached.number, block_hash=reached.hash)
        )
        # This locks the row: whoever comes second finds it changed.
        if (await connection.execute(claim)).rowcount != 1:
            self._keys = None
            return await self._read(connection)
        keys = await self._keys_for(connection)
        writer = Writer(connection, keys, before.sequence, is_sqlite=self._database.is_sqlite)
        await writer.write(events)
        await writer.note([*faults, *writer.faults], before.faults)
        head = msgspec.structs.replace(
            reached,
            sequence=writer.sequence or before.sequence,
            faults=before.faults + len(faults) + len(writer.faults),
        )
        values = {
            "timestamp": head.timestamp,
            "sequence": head.sequence,
            "faults": head.faults,
        }
        if writer.head is not None:
            values["head"] = writer.head  # type: ignore[assignment]
        await connection.execute(update(tables.progress).values(values))
        return await read_again(connection, self._snapshot, head, writer.changed)

    async def wait_for(self, number: int) -> Head:
        """Wait until the index has a block. Set a time limit around it: the chain may stand still."""
        if number > self._wanted:
            self._wanted = number
            self._asked.set()
        while (head := self.head).number < number:
            await self.wait_for_change(head)
        return head

    async def wait_for_change(self, since: Head | None = None) -> Head:
        """Wait until the index has gone on, for feeds.

        Args:
            since: The head that the caller knows; None for the one now. Whoever asks something,
                and waits when the answer is not there yet, notes the head before asking: otherwise
                what happened in between would be missed.
        """
        if since is None or since == self.head:
            await self._moved.wait()
        return self.head

    async def wait_for_want(self, seconds: float) -> None:
        """Wait until somebody waits for a block that is not here, at most for so long. For who writes."""
        self._asked.clear()
        if self._wanted > self.head.number:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._asked.wait()

    # Questions

    async def faults(self, limit: int = 50) -> tuple[Fault, ...]:
        """Return what no contract can have emitted in its place, the oldest first, at most 1,000."""
        table = tables.faults
        columns = [table.c[name] for name in Fault.__struct_fields__]
        statement = select(*columns).order_by(table.c.key).limit(min(limit, _MOST))
        async with self._database.reading() as connection:
            return tuple([Fault(*row) for row in (await connection.execute(statement)).all()])

    async def accesses(
        self, selection: Selection, *, before: int | None = None, limit: int = 50
    ) -> tuple[AccessEntry, ...]:
        """Return accesses before a sequence number, the newest first, at most 1,000."""
        async with self._database.reading() as connection:
            return await reader.accesses(
                connection, selection, before=before, limit=min(limit, _MOST)
            )

    async def accesses_after(self, sequence: int, limit: int = 500) -> tuple[AccessEntry, ...]:
        """Return all accesses after a sequence number, the oldest first, at most 1,000."""
        async with self._database.reading() as connection:
            return await reader.accesses_after(connection, sequence, min(limit, _MOST))

    async def accesses_numbered(self, sequences: Sequence[int]) -> tuple[AccessEntry, ...]:
        """Return the accesses with these sequence numbers, as far as they are there."""
        found: list[AccessEntry] = []
        async with self._database.reading() as connection:
            for start in range(0, len(sequences), _MOST):
                some = sequences[start : start + _MOST]
                found += await reader.accesses_numbered(connection, some)
        return tuple(found)

    async def events(
        self, selection: Selection, *, before: int | None = None, limit: int = 50
    ) -> tuple[EventEntry, ...]:
        """Return events other than accesses before a key, the newest first, at most 1,000."""
        async with self._database.reading() as connection:
            return await reader.events(
                connection, selection, before=before, limit=min(limit, _MOST)
            )

    async def events_after(self, key: int, limit: int = 500) -> tuple[EventEntry, ...]:
        """Return all events other than accesses after a key, the oldest first, at most 1,000."""
        async with self._database.reading() as connection:
            return await reader.events_after(connection, key, min(limit, _MOST))

    async def unfit_after(self, key: int, limit: int = 500) -> tuple[EventEntry, ...]:
        """Return events after a key with a text that is not plain, the oldest first."""
        async with self._database.reading() as connection:
            return await reader.unfit_after(connection, key, min(limit, _MOST))

    async def agreements_behind(self, bases: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return the agreement behind each of these bases that has one, or is one."""
        async with self._database.reading() as connection:
            return await reader.agreements_behind(connection, bases)

    async def suspension_reviews(self, agreements: Sequence[bytes]) -> Mapping[bytes, int]:
        """Return when a regulator looked last at a suspension of each of these agreements, if one ever did."""
        async with self._database.reading() as connection:
            return await reader.suspension_reviews(connection, agreements)

    async def revocations(self, authorizations: Sequence[bytes]) -> Mapping[bytes, int]:
        """Return when each of these authorizations was revoked; those that were not are left out."""
        async with self._database.reading() as connection:
            return await reader.revocations(connection, authorizations)

    async def identity_acts(self, since: int) -> Mapping[bytes, int]:
        """Return how many ids of each identity authority were closed, or began to be recovered, since a time."""
        async with self._database.reading() as connection:
            return await reader.identity_acts(connection, since)

    async def bases(self, ids: Sequence[bytes]) -> Mapping[bytes, BasisEntry]:
        """Return what these ids name; those that name nothing are left out."""
        async with self._database.reading() as connection:
            return await reader.bases(connection, ids)

    async def names_at_grant(self, authorizations: Sequence[bytes]) -> Mapping[bytes, str]:
        """Return the consumers' names as of where these authorizations are on chain; unknown ones are left out."""
        async with self._database.reading() as connection:
            return await reader.names_at_grant(connection, authorizations)

    async def subject(self, subject: bytes) -> SubjectEntry | None:
        """Return a subject."""
        found = await self._subjects(tables.subjects.c.id == subject)
        return found[0] if found else None

    async def subjects_of(self, signer: bytes) -> tuple[SubjectEntry, ...]:
        """Return the subjects whose signer this is now."""
        return await self._subjects(tables.subjects.c.signer_hash == keccak256(signer))

    async def wards_of(self, guardian: bytes) -> tuple[SubjectEntry, ...]:
        """Return the subjects for whom this signer may sign as a guardian, by the last block's time."""
        async with self._database.reading() as connection:
            table, now = tables.guardians, self.head.timestamp
            current = (table.c.guardian == keccak256(guardian)) & (table.c.expires_at > now)
            rows = (await connection.execute(select(table.c.subject).where(current))).all()
            numbers = [row.subject for row in rows]
            return await reader.subjects(connection, tables.subjects.c.number.in_(numbers))

    async def signer_hashes(self, subject: bytes) -> frozenset[bytes]:
        """Return Keccak-256 of every signer that a subject ever had, and of all who are or were its guardians."""
        async with self._database.reading() as connection:
            return await reader.signer_hashes(connection, subject)

    async def people_who_sign(self, signers: Sequence[bytes]) -> Mapping[bytes, bool]:
        """Return those of these signers (ERC-7913 bytes) who sign for a subject now, or are or were guardians."""
        hashes, found = {keccak256(signer): signer for signer in signers}, set[bytes]()
        columns = (tables.subjects.c.signer_hash, tables.guardians.c.guardian)
        async with self._database.reading() as connection:
            for start in range(0, len(hashes), _MOST):
                some = list(hashes)[start : start + _MOST]
                for column in columns:
                    statement = select(column).where(column.in_(some))
                    found.update((await connection.execute(statement)).scalars())
        return {hashes[one]: True for one in found}

    async def authorization(self, authorization: bytes) -> AuthorizationEntry | None:
        """Return an authorization."""
        found = await self._authorizations(tables.bases.c.id == authorization, None, 1)
        return found[0][1] if found else None

    async def authorizations(
        self,
        *,
        subjects: Sequence[bytes] | None = None,
        consumer: bytes | None = None,
        case_reference: bytes | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> tuple[tuple[int, AuthorizationEntry], ...]:
        """Return authorizations that fit all that is given, the newest first, at most 1,000.

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

    async def registrars(self, subjects: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return who registered these subjects; unknown ones are left out."""
        table = tables.subjects
        found: dict[bytes, bytes] = {}
        async with self._database.reading() as connection:
            for start in range(0, len(subjects), _MOST):
                some = subjects[start : start + _MOST]
                statement = select(table.c.id, table.c.registrar).where(table.c.id.in_(some))
                rows = (await connection.execute(statement)).all()
                found.update((row.id, row.registrar) for row in rows)
        return found

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
        """Return applications that fit all that is given, the newest first, at most 1,000."""
        conditions = self._of_party(provider, consumer)
        if state is not None:
            conditions.append(tables.applications.c.state == state)
        async with self._database.reading() as connection:
            return await reader.applications(connection, and_(True, *conditions), min(limit, _MOST))

    async def agreements(
        self,
        *,
        agreement: bytes | None = None,
        provider: bytes | None = None,
        consumer: bytes | None = None,
        limit: int = 200,
    ) -> tuple[AgreementEntry, ...]:
        """Return agreements that fit all that is given, the newest first, at most 1,000."""
        conditions = self._of_party(provider, consumer)
        if agreement is not None:
            conditions.append(tables.agreements.c.id == agreement)
        async with self._database.reading() as connection:
            return await reader.agreements(connection, and_(True, *conditions), min(limit, _MOST))

    async def publication(self, dataset: bytes, version: int) -> PublicationEntry | None:
        """Return one version of a dataset."""
        async with self._database.reading() as connection:
            found = await reader.publications(connection, dataset, version, 1)
        return found[0] if found else None

    async def publications(self, dataset: bytes, limit: int = 50) -> tuple[PublicationEntry, ...]:
        """Return a dataset's versions, the newest first, at most 1,000."""
        async with self._database.reading() as connection:
            return await reader.publications(connection, dataset, None, min(limit, _MOST))

    async def erasures(self, transaction: bytes) -> tuple[ErasureEntry, ...]:
        """Return the tombstones that one transaction made."""
        async with self._database.reading() as connection:
            return await reader.erasures(connection, transaction)

    async def erased(self, dataset: bytes, items: Sequence[bytes]) -> frozenset[bytes]:
        """Return those of some records (roots) of a dataset that have a tombstone."""
        async with self._database.reading() as connection:
            return await reader.erased(connection, dataset, items)

    async def stats(self) -> Stats:
        """Return some numbers. Counts rows: for now and then, not for every request."""
        async with self._database.reading() as connection:
            allowed = tables.accesses.c.outcome == int(Outcome.ALLOWED)
            return Stats(
                datasets=len(self.snapshot.datasets),
                publications=await reader.count(connection, tables.publications),
                parties=len(self.snapshot.parties),
                subjects=await reader.count(connection, tables.subjects),
                authorizations=await reader.count(connection, tables.authorizations),
                accesses=self.head.sequence,
                allowed=await reader.count(connection, tables.accesses, allowed),
            )

    # Within

    async def _subjects(self, condition: ColumnElement[bool]) -> tuple[SubjectEntry, ...]:
        async with self._database.reading() as connection:
            return await reader.subjects(connection, condition)

    async def _authorizations(
        self, condition: ColumnElement[bool], before: int | None, limit: int
    ) -> tuple[tuple[int, AuthorizationEntry], ...]:
        async with self._database.reading() as connection:
            return await reader.authorizations(
                connection, condition, before=before, limit=min(limit, _MOST)
            )

    def _of_party(
        self, provider: bytes | None, consumer: bytes | None
    ) -> list[ColumnElement[bool]]:
        conditions: list[ColumnElement[bool]] = []
        if provider is not None:
            own = [one.id for one in self.snapshot.datasets.values() if one.provider == provider]
            conditions.append(tables.datasets.c.id.in_(own))
        if consumer is not None:
            conditions.append(tables.parties.c.address == consumer)
        return conditions

    async def _keys_for(self, connection: AsyncConnection) -> Keys:
        if self._keys is None:
            self._keys = Keys(connection)
            await self._keys.load()
        self._keys.use(connection)
        return self._keys

    async def _read(self, connection: AsyncConnection) -> Snapshot:
        row = (await connection.execute(select(tables.progress))).one()
        head = Head(row.block_number, row.block_hash, row.timestamp, row.sequence, row.faults)
        return await read_again(connection, self._snapshot, head, KEPT)

    async def _reload(self, connection: AsyncConnection) -> None:
        snapshot = await self._read(connection)
        self._written = snapshot.head
        self._show(snapshot)

    def _show(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()


def _progress(origin: Origin) -> dict[str, object]:
    return {
        "id": 1,
        "genesis": origin.genesis,
        "access_log": origin.access_log,
        "block_number": origin.before,
        "block_hash": bytes(32),
        "timestamp": 0,
        "sequence": 0,
        "head": NOTHING,
        "faults": 0,
    }
