"""Publications: which records a department published, in order of owner, and proofs of what is in there.

    publication leaf = H(0x00 | 1 | "record" | owner | u64 number | record root)
    publication root = RFC 6962 over publication leaves, by (owner, number), strictly increasing

A run of neighbouring leaves that begins before an owner's records and ends after them shows that
none was left out (`verify_owner`). Exact bytes, reasons and vectors: docs/spec/records.md.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import msgspec

from ledger.crypto.merkle import (
    EMPTY_ROOT,
    InclusionProof,
    RangeProof,
    StreamingRoot,
    TreeHead,
    verify_inclusion,
    verify_range,
)
from ledger.encoding import SIZE, publication_leaf, sized
from ledger.errors import LedgerError, MalformedError


class PublicationEntry(msgspec.Struct, frozen=True, gc=False):
    """One record as a publication commits to it: owner (32 bytes), number, record root (32 bytes).

    The number, 0 to 2^64 - 1, is the owner's for the life of the record; the root is the `item` of
    an authorization for this record. `MalformedError` on construction if one does not have its
    form.
    """

    owner: bytes
    number: int
    root: bytes

    def __post_init__(self) -> None:
        check_place(self.owner, self.number)
        sized("the record root", self.root)

    def leaf(self) -> bytes:
        return publication_leaf(self.owner, self.number, self.root)


def verify_published(
    entry: PublicationEntry, proof: InclusionProof, head: TreeHead
) -> PublicationEntry:
    """Check that a record, its root computed from what was opened, is in the publication known by `head`.

    Raises:
        LedgerError: It is not in there.
    """
    verify_inclusion(entry.leaf(), proof, head)
    return entry


class PublicationRoot:
    """Root and count of a publication, while its records pass in order; O(log n) memory."""

    def __init__(self) -> None:
        self._tree = StreamingRoot()
        self._last = (b"", 0)

    def add(self, entry: PublicationEntry) -> None:
        """Append a record; `MalformedError` if it does not come after the one before, by owner and number."""
        self.extend([(entry.owner, entry.number, entry.root)])

    def extend(self, entries: Sequence[tuple[bytes, int, bytes]]) -> None:
        """Append many records, by owner, number and root: faster, and the same. Raises before any is appended."""
        last, leaves = self._last, []
        for owner, number, root in entries:
            if len(owner) != SIZE or len(root) != SIZE:
                raise MalformedError(f"an owner or a record root does not have {SIZE} bytes")
            if (owner, number) <= last:
                raise MalformedError("the records are not in order of owner and number, each once")
            leaves.append(publication_leaf(owner, number, root))
            last = (owner, number)
        self._tree.extend(leaves)
        self._last = last

    def head(self) -> TreeHead:
        return self._tree.head()


class OwnerProof(msgspec.Struct, frozen=True):
    """All records of one owner in a publication, or that there is none.

    `entries` are a run of the publication from `start` on, which is in order of owner: the entry
    before the owner's records (unless they are the first), the owner's, the entry after them
    (unless they are the last). `hashes` is their range proof, `size` that of the publication.
    """

    start: int
    size: int
    entries: tuple[PublicationEntry, ...]
    hashes: tuple[bytes, ...]


class VerifiedRun(msgspec.Struct, frozen=True):
    """Neighbouring entries of a publication of `size` records, from `start` on, once it is verified that they are."""

    start: int
    size: int
    entries: tuple[PublicationEntry, ...]

    def of_owner(self, owner: bytes) -> tuple[PublicationEntry, ...]:
        """Return an owner's entries, if the run reaches from before the owner to after it; else `LedgerError`."""
        entries = self.entries
        before = sum(entry.owner < owner for entry in entries)
        after = sum(entry.owner > owner for entry in entries)
        if before > 1 or (self.start > 0 and before == 0):
            raise LedgerError("the proof does not begin right before the owner's records")
        if after > 1 or (self.start + len(entries) < self.size and after == 0):
            raise LedgerError("the proof does not end right after the owner's records")
        return entries[before : len(entries) - after]


def verify_owner(proof: OwnerProof, owner: bytes, head: TreeHead) -> tuple[PublicationEntry, ...]:
    """Return an owner's entries in a publication, in order of number, if a proof shows them all.

    Raises:
        LedgerError: The entries are not a run of this publication, are not in order, or do not
            reach from before the owner to after it.
    """
    return verify_run(proof, head).of_owner(owner)


def verify_run(proof: OwnerProof, head: TreeHead) -> VerifiedRun:
    """Check that a proof's entries are a run of a publication, in order, whoever's they are; else `LedgerError`."""
    entries, end = proof.entries, proof.start + len(proof.entries)
    if head.size == 0:
        if head.root != EMPTY_ROOT or proof != OwnerProof(0, 0, (), ()):
            raise LedgerError("the proof is not that of an empty publication")
        return VerifiedRun(0, 0, ())
    run = RangeProof(proof.start, end, proof.size, proof.hashes)
    verify_range([entry.leaf() for entry in entries], run, head)
    if any((a.owner, a.number) >= (b.owner, b.number) for a, b in pairwise(entries)):
        raise LedgerError("the publication is not in order of owner and number, each once")
    return VerifiedRun(proof.start, proof.size, entries)


PublicationProof: TypeAlias = OwnerProof | RangeProof
"""An owner's whole run with its neighbours; or records next to each other in the publication."""


def verify_proof(
    proof: PublicationProof, entries: Sequence[PublicationEntry], head: TreeHead
) -> VerifiedRun:
    """Return the run of a publication that a proof is about, of a range: of these entries; else `LedgerError`.

    Whether entries are among those of an owner's run is not looked at.
    """
    if isinstance(proof, OwnerProof):
        return verify_run(proof, head)
    verify_range([entry.leaf() for entry in entries], proof, head)
    return VerifiedRun(proof.start, proof.size, tuple(entries))


def check_place(owner: bytes, number: int) -> None:
    sized("owner", owner)
    if not 0 <= number < 2**64:
        raise MalformedError("number is outside 0 to 2^64 - 1")
