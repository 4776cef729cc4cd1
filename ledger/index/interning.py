"""Small numbers for addresses and ids: known ones from memory, others from the database, new ones given.

Numbers are given by whoever writes, under the lock of `chain_progress`, so a transaction that is rolled
back takes its numbers back; the writer then begins with a fresh `Keys`.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, Select, func, insert, select

from ledger.index.tables import (
    bases,
    datasets,
    event_counts,
    events,
    parties,
    subjects,
    transactions,
)
from ledger.model import ZERO_WORD

UNKNOWN: Final = "unknown"
"""Kind of a basis whose id names nothing."""
_MAX_CACHED: Final = 100_000
_AT_ONCE: Final = 500


class BasisKey(NamedTuple):
    """A basis by number, and whose data it opens."""

    key: int
    kind: str
    dataset: int
    subject: int


class Keys:
    """The numbers of one writer. `load` must be called first."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._parties: dict[bytes, int] = {}
        self._names: dict[bytes, str] = {}
        self._datasets: dict[bytes, int] = {}
        self._subjects: dict[bytes, int] = {}
        self._bases: dict[bytes, BasisKey] = {}
        self._next_basis = self._next_transaction = self._next_event = 1
        self.counts: dict[bytes, int] = {}
        """Numbers of the last events, by contract."""

    def load(self) -> None:
        """Read what is always needed: parties, datasets, and where the numbers go on."""
        self._parties = self._all(select(parties.c.address, parties.c.key))
        names = self._connection.execute(select(parties.c.address, parties.c.name))
        self._names = {row.address: row.name for row in names}
        self._datasets = self._all(select(datasets.c.id, datasets.c.key))
        self.counts = self._all(select(event_counts.c.contract, event_counts.c.count))
        highest = [
            self._connection.execute(select(func.max(table.c.key))).scalar_one() or 0
            for table in (bases, transactions, events)
        ]
        self._next_basis, self._next_transaction, self._next_event = (key + 1 for key in highest)

    def use(self, connection: Connection) -> None:
        """Go on within another transaction."""
        self._connection = connection
        for cache in (self._subjects, self._bases):
            if len(cache) > _MAX_CACHED:
                cache.clear()

    def prefetch(self, basis_ids: Iterable[bytes], subject_ids: Iterable[bytes]) -> None:
        """Read the numbers of these bases and subjects, with few statements."""
        columns = (bases.c.id, bases.c.key, bases.c.kind, bases.c.dataset, bases.c.subject)
        for ids in _slices([id_ for id_ in set(basis_ids) if id_ not in self._bases]):
            rows = self._connection.execute(select(*columns).where(bases.c.id.in_(ids)))
            for id_, *members in rows:
                self._bases[id_] = BasisKey(*members)
        for ids in _slices([id_ for id_ in set(subject_ids) if id_ not in self._subjects]):
            statement = select(subjects.c.id, subjects.c.number).where(subjects.c.id.in_(ids))
            self._subjects.update(self._all(statement))

    def transaction(self) -> int:
        """Return the number of the next transaction."""
        self._next_transaction += 1
        return self._next_transaction - 1

    def event(self) -> int:
        """Return the number of the next event."""
        self._next_event += 1
        return self._next_event - 1

    def party(self, address: bytes) -> int:
        """Return a party's number. An address that was never admitted gets one too."""
        key = self._parties.get(address)
        if key is None:
            key = self._parties[address] = len(self._parties) + 1
            self._connection.execute(
                insert(parties).values(
                    key=key,
                    address=address,
                    name="",
                    roles=0,
                    active=False,
                    restricted_until=0,
                    restriction="",
                    appeal="",
                    encryption_key=b"",
                )
            )
        return key

    def party_name(self, address: bytes) -> str:
        """Return a party's name as of what was written so far; empty for one that was never admitted."""
        return self._names.get(address, "")

    def name_party(self, address: bytes, name: str) -> None:
        """Remember a party's new name."""
        self._names[address] = name

    def dataset(self, dataset: bytes) -> int:
        """Return a dataset's number; 0 for one that is not registered."""
        return self._datasets.get(dataset, 0)

    def add_dataset(self, dataset: bytes) -> int:
        key = self._datasets[dataset] = len(self._datasets) + 1
        return key

    def subject(self, subject: bytes) -> int:
        """Return a subject's number; 0 for an unknown one. It must have been prefetched."""
        return self._subjects.get(subject, 0)

    def add_subject(self, subject: bytes, number: int) -> None:
        """Remember a subject's number, which the chain gave."""
        self._subjects[subject] = number

    def basis(self, basis: bytes) -> BasisKey | None:
        """Return a basis; None for one that is not there. It must have been prefetched."""
        return self._bases.get(basis)

    def add_basis(self, basis: bytes, kind: str, dataset: int, subject: int) -> BasisKey:
        """Give a basis a number, or put right what an id means that was only tried before."""
        known = self._bases.get(basis)
        key = self._next_basis if known is None else known.key
        self._next_basis += known is None
        added = self._bases[basis] = BasisKey(key, kind, dataset, subject)
        return added

    def _all(self, statement: Select[bytes, int]) -> dict[bytes, int]:
        rows = self._connection.execute(statement).all()
        return {row[0]: row[1] for row in rows}


def item_or_nothing(item: bytes) -> bytes:
    """Return an item as it is stored: nothing for all that a basis covers."""
    return b"" if item == ZERO_WORD else item


def _slices(ids: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))
