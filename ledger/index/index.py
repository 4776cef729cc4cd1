"""The index: written block by block, asked by everybody."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from ledger.chain.events import Event
from ledger.errors import LedgerError
from ledger.index import tables
from ledger.index.interning import Keys
from ledger.index.queries import Questions
from ledger.index.rows import Fault, Head, Snapshot
from ledger.index.snapshot import KEPT, read_again
from ledger.index.writer import Writer
from ledger.model import ZERO_WORD
from ledger.service.database import Database

_WRITE_IDLE: Final = 1.0
"""Seconds from one write of progress to the next while nothing happens on the chain."""


class Origin(msgspec.Struct, frozen=True):
    """What an index is of."""

    genesis: bytes
    """Hash of the chain's first block."""
    access_log: bytes
    """Address of the deployment's access log."""
    before: int
    """Number of the last block before the deployment."""


class Index(Questions):
    """The chain's events up to some final block, in tables; current parties and datasets in memory.

    One process writes at a time: whoever finds that another one went on first takes over from
    there. A transaction holds whole blocks and the note of how far it came, so after a crash the index
    is as of some block, and `apply` goes on with the next one.

    The database's tables must exist, and `open` must be called before anything else.
    """

    def __init__(self, database: Database, origin: Origin) -> None:
        head = Head(origin.before, ZERO_WORD, 0, 0)
        super().__init__(database, Snapshot(head, {}, {}, {}, {}, {}, {}, {}, {}))
        self._origin = origin
        self._keys: Keys | None = None
        self._written = head
        self._written_at = float("-inf")
        self._moved = asyncio.Event()
        self._wanted = -1
        self._asked = asyncio.Event()

    async def open(self) -> Head:
        """Begin a new index, or find out how far the one in the database is.

        Raises:
            LedgerError: It is of another chain or deployment.
        """
        origin = self._origin

        def begin(connection: Connection) -> Snapshot:
            row = connection.execute(select(tables.progress)).one_or_none()
            if row is None:
                connection.execute(insert(tables.progress).values(_progress(origin)))
            elif (row.genesis, row.access_log) != (origin.genesis, origin.access_log):
                raise LedgerError("the index is of another chain or deployment: delete it")
            return self._read(connection)

        self._show_written(await self._database.write(begin))
        return self.head

    async def clear(self) -> None:
        """Throw the index away and begin anew: for a chain that lost blocks it had called final."""

        def begin(connection: Connection) -> Snapshot:
            for table in tables.TABLES:
                connection.execute(delete(table))
            connection.execute(insert(tables.progress).values(_progress(self._origin)))
            return self._read(connection)

        self._keys = None
        self._show_written(await self._database.write(begin))

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
            faults: Logs among them that are no events.

        Returns:
            The head now; another one than asked for if another process was first.
        """
        if not (events or faults) and time.monotonic() - self._written_at < _WRITE_IDLE:
            head = msgspec.structs.replace(
                self.head, number=number, hash=block_hash, timestamp=timestamp
            )
            self._show(msgspec.structs.replace(self._snapshot, head=head))
            return head
        reached = Head(number, block_hash, timestamp, 0)
        try:
            snapshot = await self._database.write(
                lambda connection: self._write(connection, events, reached, faults)
            )
        except BaseException:
            self._keys = None  # its numbers were not written
            raise
        self._written_at = time.monotonic()
        self._show_written(snapshot)
        return self.head

    def _write(
        self,
        connection: Connection,
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
        if connection.execute(claim).rowcount != 1:
            self._keys = None
            return self._read(connection)
        if self._keys is None:
            self._keys = Keys(connection)
            self._keys.load()
        keys = self._keys
        keys.use(connection)
        writer = Writer(connection, keys, before.sequence, is_sqlite=self._database.is_sqlite)
        writer.write(events)
        writer.note([*faults, *writer.faults], before.faults)
        head = msgspec.structs.replace(
            reached,
            sequence=writer.sequence or before.sequence,
            faults=before.faults + len(faults) + len(writer.faults),
        )
        values: dict[str, object] = {
            "timestamp": head.timestamp,
            "sequence": head.sequence,
            "faults": head.faults,
        }
        if writer.head is not None:
            values["head"] = writer.head
        connection.execute(update(tables.progress).values(values))
        return read_again(connection, self._snapshot, head, writer.changed)

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

    def _read(self, connection: Connection) -> Snapshot:
        row = connection.execute(select(tables.progress)).one()
        head = Head(row.block_number, row.block_hash, row.timestamp, row.sequence, row.faults)
        return read_again(connection, self._snapshot, head, KEPT)

    def _show_written(self, snapshot: Snapshot) -> None:
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
        "block_hash": ZERO_WORD,
        "timestamp": 0,
        "sequence": 0,
        "head": ZERO_WORD,
        "faults": 0,
    }
