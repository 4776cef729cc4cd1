"""The journal of releases: what was asked, what the chain decided, what was handed out."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import islice
from typing import Final

import msgspec
from sqlalchemy import Connection, bindparam, select, tuple_

from gateway.errors import GatewayError
from gateway.store.database import Database
from gateway.store.tables import releases
from ledger.api import RecordedAccess, Submission
from ledger.index.rows import AccessEntry
from ledger.service.logs import describe, get_logger
from ledger.typed_data import AccessRequest, struct_hash

_PAGE: Final = 1000
_PORTION: Final = 500
_PAUSE: Final = 1.0
"""Seconds after which what could not be written is tried again."""
_WORD: Final = 32
_NUMBER: Final = 8
_ADDRESS: Final = 20

_log = get_logger()


class Released(msgspec.Struct, frozen=True):
    """What was handed out for an access, never the payload itself."""

    dataset: bytes
    publication: int
    records: tuple[int, ...]
    """Record numbers, in the publication's order."""
    holders: tuple[bytes, ...]
    """Addresses of the keyholders whose sealed parts were handed out, ever; those of longest ago first."""
    key: bytes
    """To which they were sealed."""
    released_at: int


class JournalEntry(msgspec.Struct, frozen=True):
    """One access with the consumer's signature, allowed or denied, released or not."""

    submission: Submission
    recorded: RecordedAccess
    released: Released | None


def request_of(entry: AccessEntry) -> AccessRequest:
    """Return the request of an access: the chain shows all of it but the signature."""
    return AccessRequest(
        consumer=entry.consumer,
        basis=entry.basis,
        item=entry.item,
        fields=entry.fields,
        nonce=entry.nonce,
        deadline=entry.deadline,
    )


def access_id(entry: AccessEntry) -> bytes:
    """Return the id of an access: struct hash of its request."""
    return struct_hash(request_of(entry))


class ReleaseJournal:
    """Where entries are kept: one for each access id."""

    def __init__(self, database: Database) -> None:
        insert = database.upsert(releases)
        changed = {name: insert.excluded[name] for name in (*_RECORDED, *_RELEASED)}
        dialect = database.dialect
        self._database = database
        self._unwritten: dict[bytes, JournalEntry] = {}
        self._task: asyncio.Task[None] | None = None
        # Compiled once, and run with rows as they are: half of the cost of an entry was SQLAlchemy's.
        self._keep: Final = str(
            insert.on_conflict_do_nothing(index_elements=["access"]).compile(
                dialect=dialect, column_keys=list(_NAMES)
            )
        )
        self._replace: Final = str(
            insert.on_conflict_do_update(index_elements=["access"], set_=changed).compile(
                dialect=dialect, column_keys=list(_NAMES)
            )
        )

    async def write(self, entries: Sequence[JournalEntry]) -> None:
        """Write entries, all or none; durable when it returns.

        Idempotent: an entry with a release replaces one of the same access, also its place; one without a
        release never takes a release away. If we crash before it, the recorder's journal still has request
        and signature, and nothing was handed out.

        When it fails nothing may be handed out, but what is recorded is written later: nobody may ask for it
        again, as a denied access needs no second answer.
        """
        try:
            await self._write(entries)
        except GatewayError:
            for entry in entries:
                self.write_later(entry.submission, entry.recorded)
            raise

    def write_later(self, submission: Submission, recorded: RecordedAccess) -> None:
        """Write an access for which nobody waits, again and again until it is there.

        In memory until then: whoever records bounds it by `unwritten`. If we crash, the next start makes up for
        it from the recorder's journal.
        """
        self._unwritten[recorded.access] = JournalEntry(submission, recorded, None)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._catch_up())

    @property
    def unwritten(self) -> int:
        """How many recorded accesses are not in it yet."""
        return len(self._unwritten)

    async def close(self) -> None:
        """Wait a little for what is under way; the next start makes up for the rest."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_PAUSE)
            self._task.cancel()

    async def _catch_up(self) -> None:
        while self._unwritten:
            portion = list(islice(self._unwritten.values(), _PORTION))
            try:
                await self._write(portion)
            except GatewayError as error:
                _log.warning("accesses not noted yet", error=describe(error), count=self.unwritten)
                await asyncio.sleep(_PAUSE)
            else:
                for entry in portion:
                    del self._unwritten[entry.recorded.access]

    async def _write(self, entries: Sequence[JournalEntry]) -> None:
        kept = [_row(entry) for entry in entries if entry.released is None]
        replaced = [_row(entry) for entry in entries if entry.released is not None]

        def write(connection: Connection) -> None:
            if kept:
                connection.exec_driver_sql(self._keep, kept)
            if replaced:
                connection.exec_driver_sql(self._replace, replaced)

        await self._database.write(write)

    async def find(self, accesses: Sequence[bytes]) -> Mapping[bytes, JournalEntry]:
        """Return the entries of these access ids; those that are not there are left out."""
        entries = [_entry(*row) for row in await self._database.among(_FIND, accesses)]
        return {entry.recorded.access: entry for entry in entries}

    async def known(self, accesses: Sequence[bytes]) -> frozenset[bytes]:
        """Return those of these access ids that have an entry."""
        return frozenset([row[0] for row in await self._database.among(_KNOWN, accesses)])

    async def read(self, first_sequence: int) -> AsyncIterator[JournalEntry]:
        """Yield entries from a sequence number on, in order, in a memory that does not grow."""
        position = (first_sequence, b"")
        while True:
            statement = (
                select(*_COLUMNS)
                .where(tuple_(releases.c.sequence, releases.c.access) > position)
                .order_by(releases.c.sequence, releases.c.access)
                .limit(_PAGE)
            )
            rows = await self._database.all(statement)
            for row in rows:
                entry = _entry(*row)
                position = (entry.recorded.sequence, entry.recorded.access)
                yield entry
            if len(rows) < _PAGE:
                return


_RELEASED: Final = ("dataset", "publication", "records", "holders", "answer_key", "released_at")
_RECORDED: Final = ("sequence", "outcome", "block_number", "timestamp", "log_index", "place")
_NAMES: Final = ("access", "request", "deadline", *_RECORDED, *_RELEASED)
_COLUMNS: Final = [releases.c[name] for name in _NAMES]
_NOTHING: Final = (None,) * len(_RELEASED)
# Made once: to make a statement costs as much as to carry it out.
_AMONG: Final = releases.c.access.in_(bindparam("keys", expanding=True))
_FIND: Final = select(*_COLUMNS).where(_AMONG)
_KNOWN: Final = select(releases.c.access).where(_AMONG)


def _row(entry: JournalEntry) -> tuple[object, ...]:
    request, recorded, released = entry.submission.request, entry.recorded, entry.released
    packed = b"".join(
        (
            request.consumer,
            request.basis,
            request.item,
            request.fields.to_bytes(_WORD, "big"),
            request.nonce.to_bytes(_WORD, "big"),
            entry.submission.signature,
        )
    )
    row = (
        recorded.access,
        packed,
        request.deadline,
        recorded.sequence,
        recorded.outcome,
        recorded.block_number,
        recorded.timestamp,
        recorded.log_index,
        recorded.block_hash + recorded.transaction,
    )
    if released is None:
        return (*row, *_NOTHING)
    numbers = b"".join([number.to_bytes(_NUMBER, "big") for number in released.records])
    return (
        *row,
        released.dataset,
        released.publication,
        numbers,
        b"".join(released.holders),
        released.key,
        released.released_at,
    )


def _entry(  # one argument a column, in the order of the table
    access: bytes,
    packed: bytes,
    deadline: int,
    sequence: int,
    outcome: int,
    block_number: int,
    timestamp: int,
    log_index: int,
    place: bytes,
    dataset: bytes | None,
    publication: int | None,
    numbers: bytes | None,
    holders: bytes | None,
    key: bytes | None,
    released_at: int | None,
) -> JournalEntry:
    words = _cut(packed[_ADDRESS : _ADDRESS + 4 * _WORD], _WORD)
    request = AccessRequest(
        consumer=packed[:_ADDRESS],
        basis=words[0],
        item=words[1],
        fields=int.from_bytes(words[2], "big"),
        nonce=int.from_bytes(words[3], "big"),
        deadline=deadline,
    )
    recorded = RecordedAccess(
        access,
        sequence,
        outcome,
        block_number,
        place[:_WORD],
        timestamp,
        place[_WORD:],
        log_index,
    )
    released = None
    if dataset is not None and publication is not None and released_at is not None:
        released = Released(
            dataset,
            publication,
            tuple([int.from_bytes(one, "big") for one in _cut(numbers or b"", _NUMBER)]),
            tuple(_cut(holders or b"", _ADDRESS)),
            key or b"",
            released_at,
        )
    submission = Submission(request, packed[_ADDRESS + 4 * _WORD :])
    return JournalEntry(submission, recorded, released)


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]
