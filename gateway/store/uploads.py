"""Uploads while they come in: lines received, records stored, tiles written at the seal.

States: open -> sealing -> sealed -> served, and deleted from any but served. Every method is one
transaction (but `clear`, which works in steps that may be repeated), so a crash leaves an upload
either before it or after it.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select, update

from gateway.errors import ConflictError, UnknownError, out_of_step, upload_state
from gateway.publishing.tiles import ENTRY, PLACE, Tile
from gateway.store.database import Database
from gateway.store.tables import directories, items, records, tiles, upload_lines, uploads
from ledger.crypto.merkle import TreeHead

_LINE_BITS: Final = 32
MAX_LINES: Final = 1 << _LINE_BITS
"""Lines of an upload at most: a record id holds the line's number in 32 bits."""
_CLEAR_STEP: Final = 5_000
_DIRECTORY_PART: Final = 72 * 4_096


class Upload(msgspec.Struct, frozen=True):
    key: int
    id: str
    """Random, 32 hexadecimal digits."""
    dataset: bytes
    provider: bytes
    base: int
    """Version that it changes; 0 when it carries all records."""
    state: str
    received: int
    """Lines committed."""
    records: int
    """Lines that are records and not withdrawals."""
    last_place: bytes
    root: bytes | None
    count: int | None
    """Root and count of the whole version, once sealed."""

    @property
    def head(self) -> TreeHead | None:
        if self.root is None or self.count is None:
            return None
        return TreeHead(self.count, self.root)


class Item(msgspec.Struct, frozen=True):
    """Where a record of a dataset that is not personal stands, by its root."""

    root: bytes
    place: bytes


class Chunk(msgspec.Struct, frozen=True):
    """Some lines of an upload, ready to be stored."""

    lines: int
    entries: bytes
    """`gateway.publishing.tiles` entries, one for each line."""
    bodies: tuple[tuple[int, bytes], ...]
    """Id and body of each record."""
    items: tuple[Item, ...] = ()


class UploadStore:
    """Where uploads are kept. A write is durable when its method returns."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._put_tiles: Final = database.upsert(tiles).on_conflict_do_nothing()
        self._put_directory: Final = database.upsert(directories).on_conflict_do_nothing()
        self._put_items: Final = database.upsert(items).on_conflict_do_nothing()

    async def create(self, upload: Upload, now: int) -> Upload:
        """Add an open upload (its `key` is given here). Not idempotent: the id must be new."""
        values = msgspec.structs.asdict(upload) | {"created_at": now, "touched_at": now}
        del values["key"]
        statement = insert(uploads).values(values).returning(uploads.c.key)
        key = await self._database.write(
            lambda connection: connection.execute(statement).scalar_one()
        )
        return msgspec.structs.replace(upload, key=key)

    async def get(self, upload_id: str) -> Upload:
        """Return an upload.

        Raises:
            UnknownError: There is none, or it was deleted.
        """
        which = and_(uploads.c.id == upload_id, _VISIBLE)
        return await self._database.read(lambda connection: _get(connection, which))

    async def append(self, upload: Upload, start: int, chunk: Chunk, now: int) -> Upload:
        """Store lines from `start` on: all of them with their records, or nothing.

        If two append at the same place, one does and the other is refused.

        Raises:
            ConflictError: The upload does not stand at `start`; it is not open.
        """
        step = (
            update(uploads)
            .where(uploads.c.key == upload.key, uploads.c.received == start)
            .where(uploads.c.state == "open")
            .values(
                received=start + chunk.lines,
                records=uploads.c.records + len(chunk.bodies),
                last_place=chunk.entries[-ENTRY : PLACE - ENTRY],
                touched_at=now,
            )
        )
        lines = {
            "upload": upload.key,
            "first_line": start,
            "records": len(chunk.bodies),
            "entries": chunk.entries,
        }

        def append(connection: Connection) -> Upload:
            if connection.execute(step).rowcount != 1:
                raise _out_of_step(connection, upload)
            connection.execute(insert(upload_lines), lines)
            if chunk.bodies:
                rows = [{"id": key, "body": body} for key, body in chunk.bodies]
                connection.execute(insert(records), rows)
            if chunk.items:
                connection.execute(self._put_items, _item_rows(upload, chunk))
            return _get(connection, uploads.c.key == upload.key)

        return await self._database.write(append)

    async def cut(self, upload: Upload, start: int, now: int) -> Upload:
        """Forget the lines from `start` on, which must be where an `append` began. Idempotent."""
        mine = upload_lines.c.upload == upload.key
        before = select(upload_lines.c.entries).where(mine, upload_lines.c.first_line < start)
        before = before.order_by(upload_lines.c.first_line.desc()).limit(1)
        kept = select(upload_lines.c.records).where(mine, upload_lines.c.first_line < start)

        def cut(connection: Connection) -> Upload:
            last = connection.execute(before).scalar_one_or_none() or b""
            count = sum(connection.execute(kept).scalars())
            step = (
                update(uploads)
                .where(uploads.c.key == upload.key, uploads.c.state == "open")
                .where(uploads.c.received >= start)
                .values(received=start, records=count, touched_at=now)
                .values(last_place=last[-ENTRY : PLACE - ENTRY])
            )
            if connection.execute(step).rowcount == 1:
                connection.execute(
                    delete(upload_lines).where(mine, upload_lines.c.first_line >= start)
                )
                connection.execute(delete(records).where(_from(upload.key, start)))
            return _get(connection, uploads.c.key == upload.key)

        return await self._database.write(cut)

    async def lines(self, upload: Upload, first_line: int) -> bytes | None:
        """Return the entries that were appended together at `first_line`; None at the end."""
        statement = select(upload_lines.c.entries).where(
            upload_lines.c.upload == upload.key, upload_lines.c.first_line == first_line
        )
        row = await self._database.one(statement)
        return None if row is None else bytes(row[0])

    async def start_seal(self, upload: Upload, now: int) -> Upload:
        """Let no more lines in. Idempotent: a seal that was interrupted starts over.

        Raises:
            ConflictError: It is neither open nor sealing.
        """
        return await self._move(upload, ("open", "sealing"), "sealing", now)

    async def reopen(self, upload: Upload, now: int) -> None:
        """Let lines in again after a seal that failed. Idempotent."""
        await self._move(upload, ("open", "sealing"), "open", now)

    async def put_tiles(self, upload: Upload, made: Sequence[Tile]) -> None:
        """Store tiles. Idempotent: the same lines always give the same tiles."""
        if not made:
            return
        rows = [
            {"upload": upload.key, "position": tile.position, "entries": tile.entries}
            for tile in made
        ]
        await self._database.run(self._put_tiles, rows)

    async def finish_seal(
        self, upload: Upload, head: TreeHead, directory: bytes, now: int
    ) -> Upload:
        """Store the directory and the result, and drop the lines: the tiles have them now.

        Idempotent; if we crash before it, the seal starts over.
        """
        parts = [
            {
                "upload": upload.key,
                "part": start // _DIRECTORY_PART,
                "lines": directory[start : start + _DIRECTORY_PART],
            }
            for start in range(0, len(directory), _DIRECTORY_PART)
        ]
        step = (
            update(uploads)
            .where(uploads.c.key == upload.key, uploads.c.state.in_(("sealing", "sealed")))
            .values(state="sealed", root=head.root, count=head.size, touched_at=now)
        )

        def finish(connection: Connection) -> Upload:
            if connection.execute(step).rowcount != 1:
                raise _wrong_state(connection, upload)
            if parts:
                connection.execute(self._put_directory, parts)
            connection.execute(delete(upload_lines).where(upload_lines.c.upload == upload.key))
            return _get(connection, uploads.c.key == upload.key)

        return await self._database.write(finish)

    async def delete(self, upload: Upload, now: int) -> None:
        """Make an upload unknown at once. Idempotent. `clear` then frees its space.

        Raises:
            ConflictError: It is served.
        """
        states = ("open", "sealing", "sealed", "deleted")
        await self._move(upload, states, "deleted", now)

    async def clear(self, now: int, oldest: int) -> int:
        """Free the space of deleted uploads, and delete those not touched since `oldest`.

        Works in steps of a few thousand rows, so that others can write in between; a crash in the
        middle is made good by the next call.
        """
        stale = (
            update(uploads)
            .where(uploads.c.touched_at < oldest)
            .where(uploads.c.state.in_(("open", "sealing", "sealed")))
            .values(state="deleted", touched_at=now)
        )

        def mark(connection: Connection) -> list[tuple[int, int]]:
            connection.execute(stale)
            deleted = select(uploads.c.key, uploads.c.received).where(uploads.c.state == "deleted")
            return [(row.key, row.received) for row in connection.execute(deleted)]

        deleted = await self._database.write(mark)
        for key, received in deleted:
            await self._clear(key, received)
        return len(deleted)

    async def _clear(self, key: int, received: int) -> None:
        for start in range(0, received, _CLEAR_STEP):
            stop = (key << _LINE_BITS) + start + _CLEAR_STEP
            await self._database.run(delete(records).where(_from(key, start), records.c.id < stop))

        def finish(connection: Connection) -> None:
            for table in (upload_lines, items, tiles, directories):
                connection.execute(delete(table).where(table.c.upload == key))
            connection.execute(delete(uploads).where(uploads.c.key == key))

        await self._database.write(finish)

    async def _move(
        self, upload: Upload, sources: tuple[str, ...], target: str, now: int
    ) -> Upload:
        step = (
            update(uploads)
            .where(uploads.c.key == upload.key, uploads.c.state.in_(sources))
            .values(state=target, touched_at=now)
        )

        def move(connection: Connection) -> Upload:
            if connection.execute(step).rowcount != 1:
                raise _wrong_state(connection, upload)
            return _get(connection, uploads.c.key == upload.key)

        return await self._database.write(move)


def record_id(upload: Upload, line: int) -> int:
    """Return the id of the record on a line of an upload, counted from 0."""
    return (upload.key << _LINE_BITS) + line


_VISIBLE: Final = uploads.c.state != "deleted"
_COLUMNS: Final = [uploads.c[name] for name in Upload.__struct_fields__]


def _get(connection: Connection, which: ColumnElement[bool]) -> Upload:
    row = connection.execute(select(*_COLUMNS).where(which)).one_or_none()
    if row is None:
        raise UnknownError("upload")
    return Upload(*row)


def _wrong_state(connection: Connection, upload: Upload) -> ConflictError:
    current = _get(connection, and_(uploads.c.key == upload.key, _VISIBLE))
    return upload_state(current.state)


def _out_of_step(connection: Connection, upload: Upload) -> ConflictError:
    current = _get(connection, and_(uploads.c.key == upload.key, _VISIBLE))
    return upload_state(current.state) if current.state != "open" else out_of_step(current.received)


def _from(key: int, line: int) -> ColumnElement[bool]:
    return and_(records.c.id >= (key << _LINE_BITS) + line, records.c.id < (key + 1) << _LINE_BITS)


def _item_rows(upload: Upload, chunk: Chunk) -> list[dict[str, object]]:
    return [{"item": item.root, "upload": upload.key, "place": item.place} for item in chunk.items]
