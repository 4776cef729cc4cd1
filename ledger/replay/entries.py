"""Journals of releases, whoever wrote them."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import msgspec

from ledger.replay.releases import Judged
from ledger.typed_data import Authorization


class ReleaseEntry(msgspec.Struct, frozen=True, gc=False):
    """One line of a journal.

    Attributes:
        access: Id of the access: struct hash of its `AccessRequest`, so the whole request.
        sequence: Number of the access on chain, as the journal has it.
        transaction: In which it was recorded; None where the journal does not say.
        signature: The consumer's over the request; None where the journal has none.
        released: Whether keys or data went out.
        judged: In a keyholder's journal, by which state of the chain.
        key: To which parts of keys were sealed; None where nothing was released.
        authorization: The basis as the person signed it; where a gateway's journal tells it.
        epochs: In a keyholder's journal, of which epochs it released; empty where it does not say.
    """

    access: bytes
    sequence: int
    transaction: bytes | None
    signature: bytes | None
    released: bool
    judged: Judged | None = None
    key: bytes | None = None
    authorization: Authorization | None = None
    epochs: tuple[int, ...] = ()


class JournalFault(msgspec.Struct, frozen=True):
    """Something in a journal that is no entry, or not in its place; the rest is read all the same."""

    problem: str


class JournalEnd(msgspec.Struct, frozen=True):
    """Up to which block a journal was written: who knows a block's hash writes after it.

    Attributes:
        block: Its number.
        block_hash: Its hash.
        owner: In a gateway's journal, the recorder whose accesses it has.
    """

    block: int
    block_hash: bytes
    owner: bytes | None = None


Item = ReleaseEntry | JournalFault | JournalEnd


class Journal(Protocol):
    """A journal as it was handed over."""

    @property
    def name(self) -> str:
        """Whose it is, for findings."""

    @property
    def owner(self) -> bytes | None:
        """Address of the keyholder, or of the gateway's recorder; None if that is not known."""

    @property
    def of_keyholder(self) -> bool:
        """Whether a keyholder wrote it; else a gateway did."""

    def entries(self) -> Iterable[Item]:
        """Return all entries by rising sequence number, in a memory that does not grow, and the faults.

        Where it ends, if it says so, comes first.

        It is read a second time when accesses repeat earlier requests.
        """
        ...


Place = tuple[int, int, Item]
"""The next of a journal: number of the access, the journal's place among all, the entry."""


def merged(journals: Sequence[Journal]) -> Iterator[Place]:
    """Yield the entries of all journals, by the number of the access."""
    each = map(_ordered, range(len(journals)), journals)
    return heapq.merge(*each, key=lambda place: place[0])


def _ordered(index: int, journal: Journal) -> Iterator[Place]:
    last = 0
    for entry in journal.entries():
        if not isinstance(entry, ReleaseEntry):
            yield last, index, entry
        elif entry.sequence < last:
            problem = f"access {entry.sequence} comes after access {last}, and is passed over"
            yield last, index, JournalFault(problem)
        else:
            last = entry.sequence
            yield last, index, entry
