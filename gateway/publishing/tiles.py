"""A publication's records in order, cut into tiles, and proofs made from few of them.

An entry is 80 bytes: owner (32) | number (u64) | record root (32) | record id (u64, of this
gateway's store). The first 72 are what a publication leaf commits to; the first 40, the entry's
*place*, order the publication. A tile is 64 entries one after the other, so it is a whole subtree of
the RFC 6962 tree; the tree above the tiles is small and is kept in memory. A proof about a run of
records needs the tiles that the run is in and no others (Sunlight's and Go's tlog tiles work alike).

In an upload of changes an entry with record id 0 says that the record is withdrawn.

This module is pure: bytes in, bytes out.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Final, overload

import msgspec

from gateway.errors import DeltaError, StoreDamagedError
from ledger.crypto.merkle import EMPTY_ROOT, MerkleTree, TreeHead, merkle_root
from ledger.crypto.publications import PublicationEntry
from ledger.encoding import RECORD_LEAF, u64
from ledger.model import ZERO_WORD

HEIGHT: Final = 6
TILE: Final = 1 << HEIGHT
"""Entries in a tile; the last one may have fewer."""
ENTRY: Final = 80
PLACE: Final = 40
_COMMITTED: Final = 72
_OWNER: Final = 32
_DIRECTORY_LINE: Final = PLACE + 32
WITHDRAWN: Final = 0
"""Record id of a withdrawal."""

_LOWEST: Final = bytes(8)
_HIGHEST: Final = b"\xff" * 8


def pack_entry(entry: PublicationEntry, record_id: int) -> bytes:
    """Write an entry down, 80 bytes."""
    return entry.owner + u64(entry.number) + entry.root + u64(record_id)


def pack_withdrawal(owner: bytes, number: int) -> bytes:
    """Write a withdrawal down, 80 bytes."""
    return owner + u64(number) + ZERO_WORD + u64(WITHDRAWN)


def unpack_entry(packed: bytes) -> tuple[PublicationEntry, int]:
    """Return an entry and its record id."""
    number = int.from_bytes(packed[_OWNER:PLACE], "big")
    entry = PublicationEntry(packed[:_OWNER], number, packed[PLACE:_COMMITTED])
    return entry, int.from_bytes(packed[_COMMITTED:], "big")


def place_of(owner: bytes, number: int) -> bytes:
    """Return what orders a publication: owner and number, 40 bytes."""
    return owner + u64(number)


class Places(Sequence[bytes]):
    """The places in a run of lines of one width, to be searched without copying them."""

    def __init__(self, data: bytes, width: int = ENTRY) -> None:
        self._data = data
        self._width = width

    def __len__(self) -> int:
        return len(self._data) // self._width

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        start = index * self._width
        return self._data[start : start + PLACE]


def last_place_of(entries: bytes) -> bytes:
    return entries[-ENTRY : PLACE - ENTRY]


def count_up_to(entries: bytes, place: bytes) -> int:
    """Return how many of some entries in order come at `place` or before it."""
    return bisect_right(Places(entries), place)


def apply_changes(base: bytes, changes: bytes) -> bytes:
    """Change a run of entries: put new ones in, replace those of the same place, leave out withdrawn.

    Raises:
        DeltaError: A record is withdrawn that is not in the base.
    """
    places, pieces, at = Places(base), [], 0
    for start in range(0, len(changes), ENTRY):
        change = changes[start : start + ENTRY]
        place = change[:PLACE]
        found = bisect_left(places, place, at)
        pieces.append(base[at * ENTRY : found * ENTRY])
        at = found
        same = found < len(places) and places[found] == place
        if change[_COMMITTED:] == _LOWEST:
            if not same:
                raise DeltaError("a record is withdrawn that the base does not have")
        else:
            pieces.append(change)
        at += same
    pieces.append(base[at * ENTRY :])
    return b"".join(pieces)


class Tile(msgspec.Struct, frozen=True):
    """Up to 64 entries, and their place among the tiles of a publication, from 0."""

    position: int
    entries: bytes


class TileBuilder:
    """Cuts entries that come in order into tiles, and computes the tree above them.

    Keeps 72 bytes a tile, so about one byte for each record.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._tiles = 0
        self._count = 0
        self._directory = bytearray()

    def add(self, entries: bytes) -> list[Tile]:
        """Take over the next entries; return the tiles that are full now."""
        data = self._rest + entries
        full = len(data) // (TILE * ENTRY) * TILE * ENTRY
        self._rest = data[full:]
        return [
            self._cut(data[start : start + TILE * ENTRY]) for start in range(0, full, TILE * ENTRY)
        ]

    def finish(self) -> list[Tile]:
        """Return the last tile, if there is one that is not full."""
        rest, self._rest = self._rest, b""
        return [self._cut(rest)] if rest else []

    def _cut(self, entries: bytes) -> Tile:
        root = merkle_root(_leaves(entries))
        self._directory += entries[:PLACE] + root
        self._count += len(entries) // ENTRY
        self._tiles += 1
        return Tile(self._tiles - 1, entries)

    @property
    def directory(self) -> bytes:
        """For each tile the place of its first entry and its root, 72 bytes."""
        return bytes(self._directory)

    def head(self) -> TreeHead:
        """Return count and root of the publication, after `finish`."""
        roots = [
            bytes(self._directory[start + PLACE : start + _DIRECTORY_LINE])
            for start in range(0, len(self._directory), _DIRECTORY_LINE)
        ]
        return TreeHead(self._count, merkle_root(roots) if roots else EMPTY_ROOT)


class OpenTile:
    """A tile with the nodes of its subtree, which are computed when the first one is asked for."""

    def __init__(self, entries: bytes) -> None:
        self.entries = entries
        self._levels: tuple[bytes | memoryview, ...] | None = None

    @property
    def memory(self) -> int:
        return 3 * len(self.entries)

    def node(self, depth: int, place: int) -> bytes:
        """Return a node of the subtree; a lone last one moves up unchanged."""
        if self._levels is None:
            self._levels = MerkleTree.of(_leaves(self.entries)).levels
        level = self._levels[min(depth, len(self._levels) - 1)]
        return bytes(level[place * 32 : (place + 1) * 32])


class Run(msgspec.Struct, frozen=True):
    """Neighbouring entries [start, start + len(entries)) of a publication, with their record ids."""

    start: int
    entries: tuple[tuple[PublicationEntry, int], ...]
    hashes: tuple[bytes, ...]
    """Range proof (`ledger.crypto.merkle.RangeProof`)."""


class TileTree:
    """A publication known by the directory of its tiles. Tiles are handed in where needed."""

    def __init__(self, head: TreeHead, directory: bytes) -> None:
        """Take what a `TileBuilder` made; raise `StoreDamagedError` if the directory is not of this publication."""
        lines = range(0, len(directory), _DIRECTORY_LINE)
        above = MerkleTree.of(directory[at + PLACE : at + _DIRECTORY_LINE] for at in lines)
        if above.head().root != head.root or above.size != -(-head.size // TILE):
            raise StoreDamagedError("the directory of a publication is not that of its root")
        self.head = head
        self._above = above.levels
        self._firsts = Places(directory, _DIRECTORY_LINE)

    @property
    def memory(self) -> int:
        return 2 * _DIRECTORY_LINE * len(self._firsts)

    def tile_of(self, place: bytes) -> int:
        """Return the tile in which `place` is if it is anywhere; of an empty publication 0."""
        return max(bisect_right(self._firsts, place) - 1, 0)

    def tiles_of_owner(self, owner: bytes) -> range:
        """Return the tiles that hold an owner's records and the entries right before and after."""
        if not self.head.size:
            return range(0)
        first = max(bisect_left(self._firsts, owner + _LOWEST) - 1, 0)
        last = max(bisect_right(self._firsts, owner + _HIGHEST), 1)
        return range(first, min(last + 1, len(self._firsts)))

    def tiles_of_run(self, start: int, end: int) -> range:
        return range(start // TILE, -(-end // TILE))

    def owner_bounds(self, owner: bytes, tiles: Mapping[int, OpenTile]) -> tuple[int, int]:
        """Return the run [start, end) of an owner's entries; empty where they would be."""
        needed = self.tiles_of_owner(owner)
        if not needed:
            return 0, 0
        places = Places(b"".join([tiles[at].entries for at in needed]))
        offset = needed.start * TILE
        start = bisect_left(places, owner + _LOWEST)
        return offset + start, offset + bisect_right(places, owner + _HIGHEST, start)

    def index_of(self, place: bytes, tile: OpenTile) -> int | None:
        """Return where in the publication a place is, given its tile; None if it is not there."""
        places = Places(tile.entries)
        at = bisect_left(places, place)
        if at == len(places) or places[at] != place:
            return None
        return self.tile_of(place) * TILE + at

    def run(self, start: int, end: int, tiles: Mapping[int, OpenTile]) -> Run:
        """Return the entries [start, end), not empty, with their range proof."""
        needed = self.tiles_of_run(start, end)
        packed = b"".join([tiles[at].entries for at in needed])
        offset = needed.start * TILE
        entries = tuple(
            unpack_entry(packed[(at - offset) * ENTRY : (at - offset + 1) * ENTRY])
            for at in range(start, end)
        )
        nodes = complement(start, end, self.head.size)
        return Run(start, entries, tuple(self._node(depth, at, tiles) for depth, at in nodes))

    def _node(self, depth: int, place: int, tiles: Mapping[int, OpenTile]) -> bytes:
        if depth >= HEIGHT:
            level = self._above[depth - HEIGHT]
            return bytes(level[place * 32 : (place + 1) * 32])
        below = HEIGHT - depth
        return tiles[place >> below].node(depth, place & ((1 << below) - 1))


def complement(start: int, end: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield depth and place of the nodes of a range proof, in the order of `ledger.crypto.merkle`.

    Below depth `HEIGHT` they lie in the tiles of the run's first and last entry.
    """
    depth, width = 0, size
    while width > 1:
        if start % 2:
            yield depth, start - 1
        if end % 2 and end < width:
            yield depth, end
        depth, start, end, width = depth + 1, start // 2, (end + 1) // 2, (width + 1) // 2


def _leaves(entries: bytes) -> list[bytes]:
    """Hash entries as `ledger.encoding.publication_leaf` does; a test holds one against the other."""
    return [
        sha256(RECORD_LEAF + entries[start : start + _COMMITTED]).digest()
        for start in range(0, len(entries), ENTRY)
    ]
