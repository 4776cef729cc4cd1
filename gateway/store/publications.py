"""Publications that are served: which, from when, and the parts that answers are made of."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, and_, bindparam, select, update

from gateway.errors import ConflictError, upload_state
from gateway.store.database import MAX_PARAMETERS, Database
from gateway.store.tables import (
    directories,
    erasures,
    items,
    publications,
    records,
    tiles,
    uploads,
)
from ledger.crypto.merkle import TreeHead


class ServedPublication(msgspec.Struct, frozen=True):
    """A publication whose records this gateway has, all of them, under the chain's root."""

    dataset: bytes
    version: int
    upload: int
    """Key of the upload that it came from."""
    root: bytes
    count: int
    served_from_block: int
    """First block whose accesses are answered from it."""
    served_at: int

    @property
    def head(self) -> TreeHead:
        return TreeHead(self.count, self.root)


class Tree(msgspec.Struct, frozen=True):
    """A sealed upload, served or not."""

    upload: int
    head: TreeHead


class PublicationStore:
    """Where publications are kept. What is served never changes, but for records erased."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._serve: Final = database.upsert(publications).on_conflict_do_nothing()
        self._note_erasure: Final = database.upsert(erasures).on_conflict_do_nothing()

    async def serve(self, publication: ServedPublication, now: int) -> ServedPublication:
        """Serve a sealed upload as this version. Durable when it returns; idempotent.

        If we crash before it, the provider asks again.

        Raises:
            ConflictError: The upload is not sealed; the version is served from another upload, or the upload as another one.
        """
        step = (
            update(uploads)
            .where(uploads.c.key == publication.upload)
            .where(uploads.c.state.in_(("sealed", "served")))
            .values(state="served", touched_at=now)
        )
        which = and_(
            publications.c.dataset == publication.dataset,
            publications.c.version == publication.version,
        )

        def serve(connection: Connection) -> ServedPublication:
            if connection.execute(step).rowcount != 1:
                raise upload_state("not sealed")
            connection.execute(self._serve, msgspec.structs.asdict(publication))
            row = connection.execute(select(*_COLUMNS).where(which)).one_or_none()
            if row is None or row.upload != publication.upload:
                raise ConflictError("this version or this upload is served otherwise already")
            return ServedPublication(*row)

        return await self._database.write(serve)

    async def newest(self, dataset: bytes, block: int) -> ServedPublication | None:
        """Return the highest version that was served when `block` was made."""
        values = {"dataset_": dataset, "block": block}
        row = await self._database.one(_NEWEST, values)
        return None if row is None else ServedPublication(*row)

    async def get(self, dataset: bytes, version: int) -> ServedPublication | None:
        statement = select(*_COLUMNS).where(
            publications.c.dataset == dataset, publications.c.version == version
        )
        row = await self._database.one(statement)
        return None if row is None else ServedPublication(*row)

    async def served(self, dataset: bytes) -> tuple[ServedPublication, ...]:
        """Return all served versions of a dataset, the highest first."""
        statement = (
            select(*_COLUMNS)
            .where(publications.c.dataset == dataset)
            .order_by(publications.c.version.desc())
        )
        rows = await self._database.all(statement)
        return tuple(ServedPublication(*row) for row in rows)

    async def trees(self, dataset: bytes) -> tuple[Tree, ...]:
        """Return all sealed uploads of a dataset, served or not."""
        statement = select(uploads.c.key, uploads.c["count"], uploads.c.root).where(
            uploads.c.dataset == dataset, uploads.c.state.in_(("sealed", "served"))
        )
        rows = await self._database.all(statement)
        return tuple(Tree(key, TreeHead(count, root)) for key, count, root in rows)

    async def directory(self, upload: int) -> bytes:
        statement = (
            select(directories.c.lines)
            .where(directories.c.upload == upload)
            .order_by(directories.c.part)
        )
        return b"".join([row[0] for row in await self._database.all(statement)])

    async def tiles(self, places: Sequence[tuple[int, int]]) -> Mapping[tuple[int, int], bytes]:
        """Return tiles by upload and position; those that do not exist are left out."""
        positions: dict[int, list[int]] = {}
        for upload, position in places:
            positions.setdefault(upload, []).append(position)

        def read(connection: Connection) -> dict[tuple[int, int], bytes]:
            return {
                (upload, position): entries
                for upload in positions
                for slice_ in _slices(positions[upload])
                for position, entries in connection.execute(
                    _TILES, {"upload_": upload, "positions": slice_}
                )
            }

        return await self._database.read(read)

    async def tile_range(self, upload: int, start: int, stop: int) -> bytes:
        """Return the entries of the tiles [start, stop), one after the other."""
        statement = (
            select(tiles.c.entries)
            .where(tiles.c.upload == upload)
            .where(tiles.c.position >= start, tiles.c.position < stop)
            .order_by(tiles.c.position)
        )
        return b"".join([row[0] for row in await self._database.all(statement)])

    async def bodies(self, ids: Sequence[int]) -> Mapping[int, bytes | None]:
        """Return the bodies of records by id; None where the record was erased."""
        return dict([tuple(row) for row in await self._database.among(_BODIES, ids)])

    async def places(self, dataset: bytes, item: bytes) -> tuple[bytes, ...]:
        """Return where a record with this root may stand, for a dataset that is not personal."""
        statement = (
            select(items.c.place)
            .distinct()
            .join(uploads, uploads.c.key == items.c.upload)
            .where(items.c.item == item, uploads.c.dataset == dataset)
        )
        return tuple([row[0] for row in await self._database.all(statement)])

    async def erase(
        self, dataset: bytes, place: bytes, ids: Sequence[int], transaction: bytes, now: int
    ) -> None:
        """Destroy the bodies of these records: all encryptions of one record.

        Durable when it returns, idempotent; if we crash before it, nothing is erased.
        """
        note = {
            "dataset": dataset,
            "place": place,
            "transaction": transaction,
            "erased_at": now,
        }

        def erase(connection: Connection) -> None:
            for slice_ in _slices(ids):
                connection.execute(
                    update(records).where(records.c.id.in_(slice_)).values(body=None)
                )
            connection.execute(self._note_erasure, note)

        await self._database.write(erase)
        await self._database.settle()


_COLUMNS: Final = [publications.c[name] for name in ServedPublication.__struct_fields__]
# What every access needs is made once: to make a statement costs as much as to carry it out.
_NEWEST: Final = (
    select(*_COLUMNS)
    .where(publications.c.dataset == bindparam("dataset_"))
    .where(publications.c.served_from_block <= bindparam("block"))
    .order_by(publications.c.version.desc())
    .limit(1)
)
_TILES: Final = select(tiles.c.position, tiles.c.entries).where(
    tiles.c.upload == bindparam("upload_"),
    tiles.c.position.in_(bindparam("positions", expanding=True)),
)
_BODIES: Final = select(records.c.id, records.c.body).where(
    records.c.id.in_(bindparam("keys", expanding=True))
)


def _slices(keys: Sequence[int]) -> Iterable[Sequence[int]]:
    return (keys[start : start + MAX_PARAMETERS] for start in range(0, len(keys), MAX_PARAMETERS))
