"""Reading publications: records with the proofs that they are all, from few tiles kept in memory.

What is served does not change, so tiles and directories are kept without any invalidation; only
records' bodies are read anew each time, because a record may be erased.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from gateway.errors import ConflictError, ProblemError, StoreDamagedError, UnknownError
from gateway.publishing.ingest import unpack_body
from gateway.publishing.tiles import OpenTile, Run, TileTree, place_of
from gateway.store.publications import PublicationStore, ServedPublication
from ledger.crypto.merkle import InclusionProof, RangeProof, TreeHead
from ledger.crypto.publications import OwnerProof, PublicationEntry
from ledger.crypto.records import EncryptedRecord
from ledger.gathering import Gatherer

_TREES: Final = 32 * 1024 * 1024
"""Bytes of directories kept: about 28 million records' worth."""


class PublishedRecord(msgspec.Struct, frozen=True):
    """A record of a publication; `record` is None once it was erased."""

    entry: PublicationEntry
    record: EncryptedRecord | None


class OwnerRecords(msgspec.Struct, frozen=True):
    """All records of one owner, and the proof that they are all."""

    publication: ServedPublication
    records: tuple[PublishedRecord, ...]
    proof: OwnerProof


class ItemRecord(msgspec.Struct, frozen=True):
    """One record, and the proof that it is published."""

    publication: ServedPublication
    record: PublishedRecord
    proof: InclusionProof


class RangeRecords(msgspec.Struct, frozen=True):
    """Neighbouring records, and the proof that they are; None for an empty run."""

    publication: ServedPublication
    records: tuple[PublishedRecord, ...]
    proof: RangeProof | None


class Sized(Protocol):
    @property
    def memory(self) -> int: ...


_Key = TypeVar("_Key")
_Kept = TypeVar("_Kept", bound=Sized)


class Cache(Generic[_Key, _Kept]):
    """What was used last, up to a number of bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()

    def get(self, key: _Key) -> _Kept | None:
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: _Key, value: _Kept) -> None:
        """Keep something, and let go what was not used for longest."""
        if key in self._kept:
            return
        self._kept[key] = value
        self._bytes += value.memory
        while self._bytes > self._most and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.memory


def too_many_records(limit: int) -> ProblemError:
    return ProblemError(f"more than {limit} records", "too-many-records", limit=limit)


class Publications:
    """Answers from publications. Safe for concurrent use in one event loop."""

    def __init__(self, store: PublicationStore, *, tile_memory: int) -> None:
        """`tile_memory`: bytes of tiles to keep in memory."""
        self._store = store
        self._trees: Cache[int, TileTree] = Cache(_TREES)
        self._tiles: Cache[tuple[int, int], OpenTile] = Cache(tile_memory)
        self._newest: Gatherer[tuple[bytes, int], ServedPublication] = Gatherer(self._read_newest)
        self._bodies: Gatherer[int, bytes | None] = Gatherer(store.bodies)
        self._missing: Gatherer[tuple[int, int], bytes] = Gatherer(store.tiles)

    async def newest_served(self, dataset: bytes, block: int) -> ServedPublication:
        """Return the publication from which an access recorded in `block` is answered.

        The answer for a block that is not final here yet may still change; who releases notes the
        version with the access, so that a retry is answered from the same one.

        Raises:
            ConflictError: None was served then.
            StoreUnavailableError: The database cannot be read.
        """
        # A thousand accesses that come at once ask the same: each with a read of its own, they would wait
        # for a connection until they are given up.
        found = (await self._newest.get([(dataset, block)])).get((dataset, block))
        if found is None:
            raise ConflictError(
                "no publication of the dataset was served at that time", "nothing-served"
            )
        return found

    async def _read_newest(
        self, wanted: Sequence[tuple[bytes, int]]
    ) -> Mapping[tuple[bytes, int], ServedPublication]:
        found = {key: await self._store.newest(*key) for key in wanted}
        return {key: one for key, one in found.items() if one is not None}

    async def newest_version(self, dataset: bytes) -> int | None:
        versions = await self._store.served(dataset)
        return versions[0].version if versions else None

    async def served(self, dataset: bytes, version: int) -> ServedPublication:
        """Return a version of a dataset.

        Raises:
            UnknownError: It is not served here.
            StoreUnavailableError: The database cannot be read.
        """
        found = await self._store.get(dataset, version)
        if found is None:
            raise UnknownError("publication here")
        return found

    async def records_of_owner(self, publication: ServedPublication, owner: bytes) -> OwnerRecords:
        """Return all records of an owner with the proof that they are all.

        Raises:
            StoreUnavailableError: The database cannot be read.
            StoreDamagedError: It holds something else than was sealed.
        """
        (found,) = await self.records_of_owners(publication, (owner,))
        return found

    async def records_of_owners(
        self, publication: ServedPublication, owners: Sequence[bytes]
    ) -> tuple[OwnerRecords, ...]:
        """Do `records_of_owner` for many owners with the same few reads."""
        tree = await self._tree(publication.upload, publication.head)
        needed = {at for owner in owners for at in tree.tiles_of_owner(owner)}
        tiles = await self._open(publication.upload, needed)
        found = []
        for owner in owners:
            bounds = tree.owner_bounds(owner, tiles)
            found.append((bounds, _with_neighbours(tree, bounds, tiles)))
        ids = [
            key
            for (start, end), run in found
            for _, key in run.entries[start - run.start : end - run.start]
        ]
        bodies = await self._bodies.get(ids)
        return tuple(
            OwnerRecords(
                publication,
                _published(run.entries[start - run.start : end - run.start], bodies),
                OwnerProof(
                    run.start,
                    tree.head.size,
                    tuple(entry for entry, _ in run.entries),
                    run.hashes,
                ),
            )
            for (start, end), run in found
        )

    async def record_at(
        self, publication: ServedPublication, owner: bytes, number: int
    ) -> ItemRecord:
        """Return one record by owner and number.

        Raises:
            UnknownError: The publication has no such record.
            StoreUnavailableError, StoreDamagedError: As for `records_of_owner`.
        """
        found = await self._at(publication, place_of(owner, number))
        if found is None:
            raise UnknownError("record in this publication")
        return found

    async def record_by_item(self, publication: ServedPublication, item: bytes) -> ItemRecord:
        """Return one record of a dataset that is not personal by its root.

        For personal data a record is found among its owner's: use `records_of_owner`.

        Raises:
            UnknownError: The publication has no such record.
            StoreUnavailableError, StoreDamagedError: As for `records_of_owner`.
        """
        for place in await self._store.places(publication.dataset, item):
            found = await self._at(publication, place)
            if found is not None and found.record.entry.root == item:
                return found
        raise UnknownError("record in this publication")

    async def records_between(
        self, publication: ServedPublication, start: int, end: int
    ) -> RangeRecords:
        """Return the records at [start, end) of a publication, cut to what there is.

        Raises:
            StoreUnavailableError, StoreDamagedError: As for `records_of_owner`.
        """
        end = min(end, publication.count)
        if start >= end:
            return RangeRecords(publication, (), None)
        tree = await self._tree(publication.upload, publication.head)
        tiles = await self._open(publication.upload, tree.tiles_of_run(start, end))
        run = tree.run(start, end, tiles)
        bodies = await self._bodies.get([key for _, key in run.entries])
        proof = RangeProof(start, end, tree.head.size, run.hashes)
        return RangeRecords(publication, _published(run.entries, bodies), proof)

    async def all_records(self, publication: ServedPublication, limit: int) -> RangeRecords:
        """Return all records of a publication.

        Raises:
            ProblemError: There are more than `limit`.
            StoreUnavailableError, StoreDamagedError: As for `records_of_owner`.
        """
        if publication.count > limit:
            raise too_many_records(limit)
        return await self.records_between(publication, 0, publication.count)

    async def record_ids(self, dataset: bytes, place: bytes) -> tuple[int, ...]:
        """Return the ids of all encryptions of a record in the sealed uploads of a dataset.

        Raises:
            StoreUnavailableError, StoreDamagedError: As for `records_of_owner`.
        """
        found = set()
        for sealed in await self._store.trees(dataset):
            tree = await self._tree(sealed.upload, sealed.head)
            run = await self._run_at(sealed.upload, tree, place)
            if run is not None:
                found.add(run.entries[0][1])
        return tuple(sorted(found))

    async def _at(self, publication: ServedPublication, place: bytes) -> ItemRecord | None:
        tree = await self._tree(publication.upload, publication.head)
        run = await self._run_at(publication.upload, tree, place)
        if run is None:
            return None
        (record,) = _published(run.entries, await self._bodies.get([key for _, key in run.entries]))
        return ItemRecord(
            publication, record, InclusionProof(run.start, tree.head.size, run.hashes)
        )

    async def _run_at(self, upload: int, tree: TileTree, place: bytes) -> Run | None:
        if not tree.head.size:
            return None
        position = tree.tile_of(place)
        tiles = await self._open(upload, (position,))
        index = tree.index_of(place, tiles[position])
        return None if index is None else tree.run(index, index + 1, tiles)

    async def _tree(self, upload: int, head: TreeHead) -> TileTree:
        found = self._trees.get(upload)
        if found is None:
            found = TileTree(head, await self._store.directory(upload))
            self._trees.put(upload, found)
        return found

    async def _open(self, upload: int, positions: Iterable[int]) -> Mapping[int, OpenTile]:
        opened: dict[int, OpenTile] = {}
        missing = []
        for position in positions:
            kept = self._tiles.get((upload, position))
            if kept is None:
                missing.append(position)
            else:
                opened[position] = kept
        if missing:
            found = await self._missing.get((upload, position) for position in missing)
            for position in missing:
                try:
                    opened[position] = tile = OpenTile(found[upload, position])
                except KeyError as error:
                    raise StoreDamagedError("a tile of a publication is missing") from error
                self._tiles.put((upload, position), tile)
        return opened


def _with_neighbours(tree: TileTree, bounds: tuple[int, int], tiles: Mapping[int, OpenTile]) -> Run:
    if not tree.head.size:
        return Run(0, (), ())
    start, end = max(bounds[0] - 1, 0), min(bounds[1] + 1, tree.head.size)
    return tree.run(start, end, tiles)


def _published(
    entries: Sequence[tuple[PublicationEntry, int]], bodies: Mapping[int, bytes | None]
) -> tuple[PublishedRecord, ...]:
    published = []
    for entry, key in entries:
        try:
            body = bodies[key]
        except KeyError as error:
            raise StoreDamagedError("a published record is missing") from error
        record = None if body is None else unpack_body(entry, body)
        published.append(PublishedRecord(entry, record))
    return tuple(published)
