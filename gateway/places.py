"""Where accesses are now, on a chain that can forget final blocks and gets them back."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from gateway.store.releases import JournalEntry
from ledger.index.rows import AccessEntry


class AccessIndex(Protocol):
    """What is asked of the index."""

    async def accesses_numbered(self, sequences: Sequence[int]) -> tuple[AccessEntry, ...]:
        """Return the accesses with these sequence numbers, as far as they are there."""
        ...


class Places:
    """Corrects entries of the journal of releases that name a block which was forgotten.

    Needed on the embedded chain only: elsewhere a final block stays, and nothing is asked.
    """

    def __init__(self, index: AccessIndex) -> None:
        self._index = index

    async def correct(self, entries: Sequence[JournalEntry]) -> list[JournalEntry]:
        """Return the entries, each with the place that its access has in the index.

        One that the index has under another number, or not yet, stays as it is: keyholders refuse its
        place, and the request is sent again.
        """
        found = await self._index.accesses_numbered([one.recorded.sequence for one in entries])
        known = {one.sequence: one for one in found}
        return [_corrected(entry, known.get(entry.recorded.sequence)) for entry in entries]


def _corrected(entry: JournalEntry, now: AccessEntry | None) -> JournalEntry:
    request = entry.submission.request
    # A consumer's nonce is taken once, so that the two tell which access it is.
    if now is None or (now.consumer, now.nonce) != (request.consumer, request.nonce):
        return entry
    recorded = msgspec.structs.replace(
        entry.recorded,
        outcome=int(now.outcome),
        block_number=now.place.block_number,
        block_hash=now.place.block_hash,
        timestamp=now.place.timestamp,
        transaction=now.place.transaction,
        log_index=now.log_index,
    )
    return msgspec.structs.replace(entry, recorded=recorded)
