"""Uploading, sealing, publishing and erasing: what a provider does with its dataset's versions.

An upload is received in chunks, each one transaction: after a crash or a broken connection it goes on
at the first line that is not stored. Sealing writes the tiles of the whole version; it may be
interrupted and repeated. Only what matches the chain's root and count is ever served, so nothing
that was changed on the way or in the database can pass for published.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable

import msgspec

from gateway.errors import ConflictError, DeltaError, UnknownError, out_of_step, upload_state
from gateway.publishing.ingest import LineSplitter, UploadRules, parse_lines
from gateway.publishing.publications import Publications
from gateway.publishing.tiles import (
    ENTRY,
    PLACE,
    Tile,
    TileBuilder,
    apply_changes,
    count_up_to,
    last_place_of,
)
from gateway.store.publications import PublicationStore, ServedPublication
from gateway.store.uploads import Upload, UploadStore
from ledger.crypto.merkle import TreeHead
from ledger.index.rows import ErasureEntry

_TILES_READ = 256
"""Tiles read at once: 1.3 MB."""
_TILES_WRITTEN = 1024
"""Tiles written by one transaction: 5 MB."""


class Limits(msgspec.Struct, frozen=True):
    """How much is held in memory of an upload at a time."""

    chunk_records: int
    chunk_bytes: int
    line_bytes: int


class Publishing:
    """What becomes of uploads. Safe for concurrent use in one event loop."""

    def __init__(
        self,
        uploads: UploadStore,
        store: PublicationStore,
        publications: Publications,
        *,
        limits: Limits,
        clock: Callable[[], int],
    ) -> None:
        self._uploads = uploads
        self._store = store
        self._publications = publications
        self._limits = limits
        self._clock = clock
        self._busy: dict[int, asyncio.Lock] = {}

    async def open(self, dataset: bytes, provider: bytes, base: int) -> Upload:
        """Begin an upload: of all records when `base` is 0, else of changes to that version.

        Raises:
            ConflictError: That version is not served here.
            StoreUnavailableError: Nothing was begun.
        """
        if base and await self._store.get(dataset, base) is None:
            raise ConflictError(f"version {base} is not served here", "base-unknown")
        upload = Upload(
            key=0,
            id=secrets.token_hex(16),
            dataset=dataset,
            provider=provider,
            base=base,
            state="open",
            received=0,
            records=0,
            last_place=b"",
            root=None,
            count=None,
        )
        return await self._uploads.create(upload, self._clock())

    async def get(self, upload_id: str) -> Upload:
        """Return an upload.

        Raises:
            UnknownError: There is none.
            StoreUnavailableError: The database cannot be read.
        """
        return await self._uploads.get(upload_id)

    async def receive(
        self, upload: Upload, rules: UploadRules, start: int, body: AsyncIterator[bytes]
    ) -> Upload:
        """Store the lines of a body, chunk by chunk, while it comes in.

        What was stored stays when this fails: the upload's `received` says how far it came.

        Raises:
            ConflictError: The upload is not open; it stands at another line, or another body came in between.
            BodyError, ProblemError: A line is not what it should be.
            StoreUnavailableError: The chunk was not stored.
        """
        if upload.state != "open":
            raise upload_state(upload.state)
        if upload.received != start:
            raise out_of_step(upload.received)
        storing: asyncio.Task[Upload] | None = None
        try:
            async for lines in self._chunks(body):
                chunk = await asyncio.to_thread(parse_lines, upload, rules, start, lines)
                # While one chunk is stored the next one is parsed.
                if storing is not None:
                    await storing
                appending = self._uploads.append(upload, start, chunk, self._clock())
                storing = asyncio.create_task(appending)
                start += chunk.lines
                upload = msgspec.structs.replace(
                    upload, last_place=last_place_of(chunk.entries), received=start
                )
        finally:
            if storing is not None:
                upload = await storing
        return upload

    async def take_back(self, upload: Upload, start: int) -> Upload:
        """Forget the lines from `start` on, because the body was not the one that was signed.

        Raises:
            StoreUnavailableError: They are still there; the root will tell.
        """
        return await self._uploads.cut(upload, start, self._clock())

    async def seal(self, upload: Upload) -> Upload:
        """Put the whole version together and compute its root and count.

        Idempotent, and may be repeated after a crash or an error.

        Raises:
            ConflictError: The upload is served or deleted.
            DeltaError: It does not fit its base; the upload is open again.
            StoreUnavailableError: Not sealed; try again.
        """
        async with self._busy.setdefault(upload.key, asyncio.Lock()):
            upload = await self._uploads.get(upload.id)
            if upload.state in ("sealed", "served"):
                return upload
            upload = await self._uploads.start_seal(upload, self._clock())
            try:
                return await self._seal(upload)
            except DeltaError:
                await self._uploads.reopen(upload, self._clock())
                raise

    async def publish(
        self, upload: Upload, version: int, published: TreeHead, block: int
    ) -> ServedPublication:
        """Serve a sealed upload as a version of its dataset.

        Raises:
            ConflictError: The upload is not sealed; it has another root or count than the chain; version or upload is served otherwise already.
            StoreUnavailableError: Not served; try again.
        """
        if upload.head is None:
            raise upload_state(upload.state)
        if upload.head != published:
            raise ConflictError(
                "root or count are not those of the publication on chain", "root-mismatch"
            )
        now = self._clock()
        publication = ServedPublication(
            dataset=upload.dataset,
            version=version,
            upload=upload.key,
            root=published.root,
            count=published.size,
            served_from_block=block + 1,
            served_at=now,
        )
        return await self._store.serve(publication, now)

    async def delete(self, upload: Upload) -> None:
        """Drop an upload that is not served. Its space is freed later (`UploadStore.clear`).

        Raises:
            ConflictError: It is served.
            StoreUnavailableError: Not dropped.
        """
        await self._uploads.delete(upload, self._clock())

    async def erase(self, tombstone: ErasureEntry) -> None:
        """Destroy salt and ciphertexts of the record that a tombstone names, in every version and sealed upload.

        The tombstone must be final before this is called. Idempotent.

        Raises:
            UnknownError: The version is not served here, or has no such record.
            StoreUnavailableError: Not erased; try again.
        """
        publication = await self._publications.served(tombstone.dataset, tombstone.version)
        place = await self._place_of(publication, tombstone.item)
        ids = await self._publications.record_ids(publication.dataset, place)
        await self._store.erase(
            publication.dataset, place, ids, tombstone.place.transaction, self._clock()
        )

    async def _place_of(self, publication: ServedPublication, item: bytes) -> bytes:
        start = 0
        while entries := await self._store.tile_range(
            publication.upload, start, start + _TILES_READ
        ):
            at = entries.find(item)
            while at >= 0:
                if at % ENTRY == PLACE:
                    return entries[at - PLACE : at]
                at = entries.find(item, at + 1)
            start += _TILES_READ
        raise UnknownError("record in this publication")

    async def _chunks(self, body: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
        splitter = LineSplitter(self._limits.line_bytes)
        lines: list[bytes] = []
        size = 0
        async for data in body:
            for line in splitter.add(data):
                lines.append(line)
                size += len(line)
                if len(lines) >= self._limits.chunk_records or size >= self._limits.chunk_bytes:
                    yield lines
                    lines, size = [], 0
        lines += splitter.finish()
        if lines:
            yield lines

    async def _seal(self, upload: Upload) -> Upload:
        builder = TileBuilder()
        storing: asyncio.Task[None] | None = None
        try:
            async for made in self._made(upload, builder):
                # While some tiles are stored the next ones are made.
                if storing is not None:
                    await storing
                storing = asyncio.create_task(self._uploads.put_tiles(upload, made))
        finally:
            if storing is not None:
                await storing
        head = await asyncio.to_thread(builder.head)
        return await self._uploads.finish_seal(upload, head, builder.directory, self._clock())

    async def _made(self, upload: Upload, builder: TileBuilder) -> AsyncIterator[list[Tile]]:
        made: list[Tile] = []
        async for entries in self._merged(upload):
            made += await asyncio.to_thread(builder.add, entries)
            if len(made) >= _TILES_WRITTEN:
                yield made
                made = []
        yield made + builder.finish()

    async def _merged(self, upload: Upload) -> AsyncIterator[bytes]:
        """Yield the entries of the whole version in order, the base's and the upload's together."""
        base_parts, change_parts = self._base(upload), self._received(upload)
        if not upload.base:
            async for part in change_parts:
                yield part
            return
        base = await anext(base_parts, b"")
        changes = await anext(change_parts, b"")
        while base or changes:
            # Up to where both are known.
            ends = [last_place_of(part) for part in (base, changes) if part]
            upto = min(ends)
            some, more = count_up_to(base, upto) * ENTRY, count_up_to(changes, upto) * ENTRY
            yield await asyncio.to_thread(apply_changes, base[:some], changes[:more])
            base = base[some:] or await anext(base_parts, b"")
            changes = changes[more:] or await anext(change_parts, b"")

    async def _base(self, upload: Upload) -> AsyncIterator[bytes]:
        base = await self._publications.served(upload.dataset, upload.base)
        start = 0
        while part := await self._store.tile_range(base.upload, start, start + _TILES_READ):
            yield part
            start += _TILES_READ

    async def _received(self, upload: Upload) -> AsyncIterator[bytes]:
        line = 0
        while part := await self._uploads.lines(upload, line):
            yield part
            line += len(part) // ENTRY
        if line != upload.received:
            # Another gateway finished this seal and dropped the lines.
            raise upload_state("being sealed elsewhere")
