"""Erasing a record after its tombstone: finding whose it is when only its root is known."""

from typing import Final

from gateway.errors import UnknownError
from gateway.publications import Publications
from gateway.publishing import Publishing
from gateway.store.publications import PublicationStore, ServedPublication
from gateway.tiles import ENTRY, PLACE, unpack_entry
from ledger.index.rows import ErasureEntry

_TILES_AT_ONCE: Final = 256


async def erase(
    tombstone: ErasureEntry,
    publications: Publications,
    store: PublicationStore,
    publishing: Publishing,
) -> None:
    """Destroy salt and ciphertexts of the record that a tombstone names. Idempotent.

    Raises:
        UnknownError: The version is not served here, or has no such record.
        StoreUnavailableError: Not erased; try again.
    """
    publication = await publications.served(tombstone.dataset, tombstone.version)
    owner, number = await _place_of(publication, tombstone.item, store)
    transaction = tombstone.place.transaction
    await publishing.erase(publication, tombstone.item, owner, number, transaction)


async def _place_of(
    publication: ServedPublication, item: bytes, store: PublicationStore
) -> tuple[bytes, int]:
    """Return owner and number of the record with this root."""
    start = 0
    while entries := await store.tile_range(publication.upload, start, start + _TILES_AT_ONCE):
        at = entries.find(item)
        while at >= 0:
            if at % ENTRY == PLACE:
                entry, _ = unpack_entry(entries[at - PLACE : at - PLACE + ENTRY])
                return entry.owner, entry.number
            at = entries.find(item, at + 1)
        start += _TILES_AT_ONCE
    raise UnknownError("record in this publication")
