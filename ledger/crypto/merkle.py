"""Merkle trees as in RFC 6962, section 2.1 (the same as RFC 9162, section 2.1), over SHA-256.

A tree is given by its leaf *hashes*, 32 bytes each (`leaf_hash` for plain data, `ledger.encoding`
for what Quancheng commits to). The RFC splits at powers of two; here it is built level by level, a
last node without a sibling moving up unchanged, which gives the same tree.

An inclusion proof is the RFC's audit path. A range proof generalizes it to the run of leaves
[start, end): on each level, from the leaves up, the node left of the run if the run starts at an
odd place, then the node right of it if it ends at an odd place and there is one. These are the
roots of the subtrees that hold all the other leaves, so a run cannot be made shorter, longer or
moved.

A root alone does not say how many leaves there are: proofs are checked against root *and* size,
both from a source that is trusted (for a publication: the chain).
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

import msgspec

from ledger.errors import LedgerError, MalformedError

EMPTY_ROOT = sha256(b"").digest()
"""Root of the tree without leaves."""

_SIZE = 32
"""Bytes of a hash."""
_CHUNK = 4096
"""Nodes hashed before they are joined: keeps building a level at a few hundred kilobytes extra."""


class TreeHead(msgspec.Struct, frozen=True):
    """What a tree is known by: `size` leaves under `root` (32 bytes)."""

    size: int
    root: bytes


class InclusionProof(msgspec.Struct, frozen=True):
    """Leaf `index` is in the tree of `size` leaves: the audit path, from the leaf up."""

    index: int
    size: int
    hashes: tuple[bytes, ...]


class RangeProof(msgspec.Struct, frozen=True):
    """Leaves [start, end) are in the tree of `size` leaves: the complement's subtrees, from below."""

    start: int
    end: int
    size: int
    hashes: tuple[bytes, ...]


def leaf_hash(data: bytes) -> bytes:
    """Hash plain data as RFC 6962 does: SHA-256(0x00 | data)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two nodes as RFC 6962 does: SHA-256(0x01 | left | right)."""
    return sha256(b"\x01" + left + right).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes, for trees that are small or thrown away."""
    if not leaves:
        return EMPTY_ROOT
    level = list(leaves)
    while len(level) > 1:
        above = [
            sha256(b"\x01" + left + right).digest()
            for left, right in zip(level[::2], level[1::2], strict=False)
        ]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0]


class StreamingRoot:
    """The root of leaves that come in order, in O(log n) memory: the roots of the full subtrees to the left."""

    def __init__(self) -> None:
        self._size = 0
        self._subtrees: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Append a leaf hash; `MalformedError` if it does not have 32 bytes."""
        if len(leaf) != _SIZE:
            raise MalformedError(f"a leaf hash has {len(leaf)} bytes instead of {_SIZE}")
        self._append(leaf, 1)

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Append many at once: faster, and the same. Raises as `add`, before anything is appended."""
        if set(map(len, leaves)) - {_SIZE}:
            raise MalformedError(f"a leaf hash does not have {_SIZE} bytes")
        start = 0
        while start < len(leaves):
            # The largest full subtree that comes next, by the size so far, and by what there is.
            most = len(leaves) - start
            width = 1 << (most.bit_length() - 1)
            if self._size:
                width = min(width, self._size & -self._size)
            self._append(merkle_root(leaves[start : start + width]), width)
            start += width

    def _append(self, subtree: bytes, width: int) -> None:
        """Append the root of a full subtree of `width` leaves, a power of two that fits here."""
        subtrees, full = self._subtrees, self._size // width
        while full & 1:
            subtree = sha256(b"\x01" + subtrees.pop() + subtree).digest()
            full >>= 1
        subtrees.append(subtree)
        self._size += width

    def head(self) -> TreeHead:
        if not self._subtrees:
            return TreeHead(0, EMPTY_ROOT)
        *others, root = self._subtrees
        for left in reversed(others):
            root = node_hash(left, root)
        return TreeHead(self._size, root)


class MerkleTree:
    """A whole tree, to make proofs from: about 64 bytes for each leaf.

    Levels are bytes, 32 for each node, so they can be stored and mapped as they are. Those given
    are not recomputed: `MalformedError` if their lengths are not those of a tree.
    """

    def __init__(self, levels: Sequence[bytes | memoryview]) -> None:
        size = len(levels[0]) // _SIZE if levels else 0
        if [len(level) for level in levels] != [_SIZE * width for width in _widths(size)]:
            raise MalformedError("the levels do not have the lengths of a tree's levels")
        self._levels = tuple(levels)
        self._size = size

    @classmethod
    def build(cls, leaves: bytes | bytearray | memoryview) -> "MerkleTree":
        """Compute the tree over leaf hashes one after the other; `MalformedError` if not 32 bytes each."""
        if len(leaves) % _SIZE:
            raise MalformedError("the leaf hashes are not 32 bytes each")
        levels = [bytes(leaves)] if leaves else []
        while levels and len(levels[-1]) > _SIZE:
            levels.append(_level_above(levels[-1]))
        return cls(levels)

    @classmethod
    def of(cls, leaves: Iterable[bytes]) -> "MerkleTree":
        """Compute the tree over leaf hashes; raises as `build`."""
        return cls.build(b"".join(leaves))

    @property
    def levels(self) -> tuple[bytes | memoryview, ...]:
        """The nodes of each level, from the leaves to the root; none for the empty tree."""
        return self._levels

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self._size

    def head(self) -> TreeHead:
        """Return size and root."""
        return TreeHead(self._size, bytes(self._levels[-1]) if self._levels else EMPTY_ROOT)

    def leaf(self, index: int) -> bytes:
        """Return the hash of one leaf; `MalformedError` if there is none such."""
        if not 0 <= index < self._size:
            raise MalformedError(f"the tree of {self._size} leaves has no leaf {index}")
        return self._node(0, index)

    def prove_inclusion(self, index: int) -> InclusionProof:
        """Prove that leaf `index` is in the tree; `MalformedError` if there is none such."""
        return InclusionProof(index, self._size, self._complement(index, index + 1))

    def prove_range(self, start: int, end: int) -> RangeProof:
        """Prove that the leaves [start, end) stand in the tree in this order; `MalformedError` if there is no such run."""
        return RangeProof(start, end, self._size, self._complement(start, end))

    def _complement(self, start: int, end: int) -> tuple[bytes, ...]:
        if not 0 <= start < end <= self._size:
            raise MalformedError(f"[{start}, {end}) is no run of leaves in a tree of {self._size}")
        hashes = []
        for depth, width in enumerate(_widths(self._size)):
            if start % 2:
                hashes.append(self._node(depth, start - 1))
            if end % 2 and end < width:
                hashes.append(self._node(depth, end))
            start, end = start // 2, (end + 1) // 2
        return tuple(hashes)

    def _node(self, depth: int, place: int) -> bytes:
        return bytes(self._levels[depth][place * _SIZE : (place + 1) * _SIZE])


def verify_inclusion(leaf: bytes, proof: InclusionProof, head: TreeHead) -> bytes:
    """Check that a leaf hash is at `proof.index` of the tree that is known by `head`; return the root.

    Raises:
        LedgerError: It is not, or the proof is for a tree of another size.
    """
    run = RangeProof(proof.index, proof.index + 1, proof.size, proof.hashes)
    return verify_range((leaf,), run, head)


def verify_range(leaves: Sequence[bytes], proof: RangeProof, head: TreeHead) -> bytes:
    """Check that leaf hashes are the run [start, end) of the tree that is known by `head`; return the root.

    Raises:
        LedgerError: They are not, or the proof is for a tree of another size.
    """
    start, end = proof.start, proof.end
    if proof.size != head.size:
        raise LedgerError(f"the proof is for {proof.size} leaves, the tree has {head.size}")
    if not 0 <= start < end <= head.size or len(leaves) != end - start:
        raise LedgerError(f"{len(leaves)} leaves are no run [{start}, {end}) of {head.size}")
    if any(len(part) != _SIZE for part in (*leaves, *proof.hashes)):
        raise LedgerError(f"a leaf or a proof hash does not have {_SIZE} bytes")
    if _fold(leaves, proof) != head.root:
        raise LedgerError("the proof leads to another root")
    return head.root


def _fold(leaves: Sequence[bytes], proof: RangeProof) -> bytes:
    """Compute the root that a run and its proof lead to, using each hash of the proof once."""
    hashes = iter(proof.hashes)
    level, start, end = list(leaves), proof.start, proof.end
    for width in _widths(proof.size):
        if width == 1:
            break
        if start % 2:
            level.insert(0, _next(hashes))
        if end % 2 and end < width:
            level.append(_next(hashes))
        above = list(map(node_hash, level[::2], level[1::2]))
        if len(level) % 2:
            above.append(level[-1])
        level, start, end = above, start // 2, (end + 1) // 2
    if next(hashes, None) is not None:
        raise LedgerError("the proof has more hashes than the tree has room for")
    return level[0]


def _next(hashes: Iterator[bytes]) -> bytes:
    node = next(hashes, None)
    if node is None:
        raise LedgerError("the proof has fewer hashes than the tree needs")
    return node


def _widths(size: int) -> Iterator[int]:
    """Yield the number of nodes on each level, from the leaves to the root."""
    while size > 1:
        yield size
        size = (size + 1) // 2
    if size:
        yield 1


def _level_above(level: bytes) -> bytes:
    pairs = len(level) // (2 * _SIZE) * 2 * _SIZE
    above = []
    for start in range(0, pairs, 2 * _SIZE * _CHUNK):
        stop = min(start + 2 * _SIZE * _CHUNK, pairs)
        nodes = [
            sha256(b"\x01" + level[at : at + 2 * _SIZE]).digest()
            for at in range(start, stop, 2 * _SIZE)
        ]
        above.append(b"".join(nodes))
    return b"".join(above) + level[pairs:]
