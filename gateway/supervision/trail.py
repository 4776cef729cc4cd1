"""The index and this gateway's journal, as supervision asks for them."""

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.store.releases import ReleaseJournal, access_id
from gateway.supervision.rules import ObservedAccess
from ledger.index.index import Index
from ledger.index.rows import EventEntry, Snapshot
from ledger.model import Outcome

_PAGE: Final = 1000


class SupervisedTrail:
    def __init__(self, index: Index, journal: ReleaseJournal) -> None:
        self._index = index
        self._journal = journal

    @property
    def snapshot(self) -> Snapshot:
        return self._index.snapshot

    async def first_since(self, timestamp: int) -> int:
        first, after = 1, self._index.head.sequence + 1
        while first < after:
            middle = (first + after) // 2
            found = await self._index.accesses_after(middle - 1, 1)
            if not found or found[0].place.timestamp >= timestamp:
                after = middle
            else:
                first = found[0].sequence + 1
        return first

    async def observed(self, first_sequence: int, limit: int) -> Sequence[ObservedAccess]:
        if first_sequence > self._index.head.sequence:
            return ()  # without asking the database at every block
        entries = await self._index.accesses_after(first_sequence - 1, min(limit, _PAGE))
        bases = list({entry.basis for entry in entries})
        agreements = await self._index.agreements_behind(bases)
        reviewed = await self.reviewed(list(set(agreements.values())))
        ids = [access_id(entry) for entry in entries]
        signed = await self._journal.known(ids)
        refused = [entry.basis for entry in entries if entry.outcome is Outcome.REVOKED]
        revoked = await self._index.revocations(list(set(refused))) if refused else {}
        return [
            ObservedAccess(
                entry.sequence,
                entry.place.timestamp,
                entry.consumer,
                entry.basis,
                entry.outcome,
                agreement=(agreement := agreements.get(entry.basis)),
                reviewed_at=0 if agreement is None else reviewed.get(agreement, 0),
                subject=entry.subject,
                signed=id_ in signed,
                revoked_at=revoked.get(entry.basis, 0),
            )
            for entry, id_ in zip(entries, ids, strict=True)
        ]

    async def reviewed(self, agreements: Sequence[bytes]) -> Mapping[bytes, int]:
        return await self._index.suspension_reviews(agreements) if agreements else {}

    async def identity_acts(self, since: int) -> Mapping[bytes, int]:
        return await self._index.identity_acts(since)

    async def unfit(self, after: int) -> Sequence[EventEntry]:
        return await self._index.unfit_after(after)
