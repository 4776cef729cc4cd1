"""What an access rests on, and what it is about: the records that its basis covers, with their proof.

authorization                 all records of the subject's owner, with their neighbours; or one item
agreement, order, dataset     all records, up to `MAX_RECORDS`; or one item
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from gateway.access.links import Linking, link_missing
from gateway.errors import GatewayError, ProblemError, UnavailableError, UnknownError
from gateway.publishing.publications import (
    OwnerRecords,
    Publications,
    PublishedRecord,
    too_many_records,
)
from gateway.store.links import LinkStore, Tie
from gateway.store.publications import ServedPublication
from ledger.api import SignedLink, encode_excerpts, encode_proof
from ledger.api.keyholder import encode_bare_records
from ledger.crypto.merkle import RangeProof
from ledger.crypto.publications import OwnerProof, PublicationProof
from ledger.crypto.records import EncryptedRecord
from ledger.gathering import Gatherer
from ledger.index.index import Index
from ledger.index.rows import BasisEntry
from ledger.model import ZERO_WORD

MAX_RECORDS: Final = 2000
"""Records in one release at most; a keyholder takes no more for one access."""

_OLDER: Final = 4
"""Older versions in which an item is looked for that the newest does not have."""


class Bases:
    """Looks bases up, and keeps those used last: nothing of them changes once it is on chain."""

    def __init__(self, source: Index, *, patience: float = 5.0, most: int = 50_000) -> None:
        self._source = source
        self._read: Gatherer[bytes, BasisEntry] = Gatherer(source.bases)
        self._patience = patience
        self._most = most
        self._kept: OrderedDict[bytes, BasisEntry] = OrderedDict()

    async def find(self, ids: Sequence[bytes]) -> Mapping[bytes, BasisEntry]:
        """Return what these ids name; unknown ones are left out.

        Raises:
            UnavailableError: It cannot be looked up now.
        """
        found: dict[bytes, BasisEntry] = {}
        missing = []
        for wanted in dict.fromkeys(ids):
            kept = self._kept.get(wanted)
            if kept is None:
                missing.append(wanted)
            else:
                found[wanted] = kept
        if missing:
            read = await self._read.get(missing)
            new = {one: read[one] for one in missing if one in read}
            found.update(new)
            self._keep(new)
        return found

    async def find_in_block(self, ids: Sequence[bytes], number: int) -> Mapping[bytes, BasisEntry]:
        """Do as `find`, as of a block: an access may be final before the index has its basis.

        Raises:
            UnavailableError: The index does not get that far in time; it cannot be looked up now.
        """
        found = await self.find(ids)
        if all(one in found for one in ids):
            return found
        try:
            async with asyncio.timeout(self._patience):
                await self._source.wait_for(number)
        except TimeoutError as error:
            raise UnavailableError(
                f"the index does not have block {number} yet", "index-behind"
            ) from error
        return await self.find(ids)

    def _keep(self, new: Mapping[bytes, BasisEntry]) -> None:
        self._kept.update(new)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)


class Wanted(msgspec.Struct, frozen=True):
    """What to find the records for."""

    basis: BasisEntry
    item: bytes
    block: int
    version: int | None = None
    """Publication that an earlier answer came from; None for the first answer."""

    @property
    def record(self) -> bytes:
        """Root of the one record that is meant; `ZERO_WORD` for all."""
        return self.item if self.item != ZERO_WORD else self.basis.item


class ReleaseContent(msgspec.Struct, frozen=True):
    """The records of one access, with their proof and the link of their owner."""

    publication: ServedPublication
    records: tuple[EncryptedRecord, ...]
    proof: PublicationProof
    link: SignedLink | None

    def bare(self) -> bytes:
        return encode_bare_records(self.records)

    def excerpts(self, fields: int) -> bytes:
        """Return the records for the consumer, with only the granted fields, as JSON."""
        width = max((len(record.leaves) for record in self.records), default=0)
        granted = [index for index in range(width) if fields >> index & 1]
        return encode_excerpts([record.excerpt(granted) for record in self.records])

    def encoded_proof(self) -> bytes:
        return encode_proof(self.proof)


class ReleaseContents:
    """Finds records for many accesses with few reads."""

    def __init__(
        self, publications: Publications, links: LinkStore, linking: Linking, chain: Index
    ) -> None:
        self._publications = publications
        self._links = links
        self._linking = linking
        self._chain = chain

    async def require_link(self, basis: BasisEntry, brought: SignedLink | None = None) -> None:
        """Find out whether there is a link of the person's, where one is needed; keep one that is brought.

        Raises:
            UnknownError: The person has relayed none.
            LinkRefusedError: What was relayed does not count any more, and there is no other.
            StoreUnavailableError: The database cannot be read.
        """
        tie = _tie(basis)
        if tie is not None:
            await self._linking.require(tie, brought)

    async def owner(self, basis: BasisEntry) -> bytes | None:
        """Return whose records a basis opens, by the link that is kept; None for data about nobody.

        Raises:
            UnknownError: There is none.
            StoreUnavailableError: The database cannot be read.
        """
        tie = _tie(basis)
        if tie is None:
            return None
        kept = (await self._links.find([tie])).get(tie)
        if kept is None:
            raise link_missing()
        return kept.signed.link.owner

    async def find(self, wanted: Sequence[Wanted]) -> list[ReleaseContent | GatewayError]:
        """Return for each the records that it covers, or why there are none.

        Raises:
            StoreUnavailableError: The database cannot be read.
        """
        served = await self._served(wanted)
        links = await self._linked(wanted)
        owners = await self._owners(wanted, served, links)
        return [await self._material(one, served, links, owners) for one in wanted]

    async def _served(
        self, wanted: Sequence[Wanted]
    ) -> Mapping[tuple[bytes, int, int | None], ServedPublication | GatewayError]:
        found: dict[tuple[bytes, int, int | None], ServedPublication | GatewayError] = {}
        for one in wanted:
            key = _publication_key(one)
            if key in found:
                continue
            dataset, block, version = key
            try:
                if version is None:
                    found[key] = await self._publications.newest_served(dataset, block)
                else:
                    found[key] = await self._publications.served(dataset, version)
            except UnavailableError:
                raise
            except ProblemError as error:
                found[key] = error
        return found

    async def _linked(self, wanted: Sequence[Wanted]) -> Mapping[Tie, SignedLink]:
        ties = {_tie(one.basis) for one in wanted} - {None}
        if not ties:
            return {}
        found = await self._links.find([tie for tie in ties if tie is not None])
        return {tie: kept.signed for tie, kept in found.items()}

    async def _owners(
        self,
        wanted: Sequence[Wanted],
        served: Mapping[tuple[bytes, int, int | None], ServedPublication | GatewayError],
        links: Mapping[Tie, SignedLink],
    ) -> Mapping[tuple[int, bytes], OwnerRecords]:
        grouped: dict[ServedPublication, dict[bytes, None]] = {}
        for one in wanted:
            publication = served[_publication_key(one)]
            link = links.get(_tie(one.basis) or (b"", b""))
            if link is not None and isinstance(publication, ServedPublication):
                grouped.setdefault(publication, {})[link.link.owner] = None
        found: dict[tuple[int, bytes], OwnerRecords] = {}
        for publication, owners in grouped.items():
            some = tuple(owners)
            read = await self._publications.records_of_owners(publication, some)
            records = await self._without_erased(publication.dataset, read)
            found.update(
                ((publication.upload, owner), each)
                for owner, each in zip(some, records, strict=True)
            )
        return found

    async def _material(
        self,
        one: Wanted,
        served: Mapping[tuple[bytes, int, int | None], ServedPublication | GatewayError],
        links: Mapping[Tie, SignedLink],
        owners: Mapping[tuple[int, bytes], OwnerRecords],
    ) -> ReleaseContent | GatewayError:
        publication = served[_publication_key(one)]
        if isinstance(publication, GatewayError):
            return publication
        tie = _tie(one.basis)
        try:
            if tie is None:
                return await self._of_dataset(one, publication)
            link = links.get(tie)
            if link is None:
                return link_missing()
            found = owners[publication.upload, link.link.owner]
            if one.record == ZERO_WORD:
                return _whole(found, link)
            return await self._item_of_owner(one, found, link)
        except UnavailableError:
            raise
        except ProblemError as error:
            return error

    async def _item_of_owner(
        self, one: Wanted, newest: OwnerRecords, link: SignedLink
    ) -> ReleaseContent:
        for found in [newest, *await self._older(newest, one, link.link.owner)]:
            for published in found.records:
                if published.entry.root == one.record:
                    record = _present(published)
                    item = await self._publications.record_at(
                        found.publication, record.owner, record.number
                    )
                    return ReleaseContent(
                        found.publication,
                        (record,),
                        _range(item.proof.index, item.proof.size, item.proof.hashes),
                        link,
                    )
        raise UnknownError("record in the publication")

    async def _older(self, newest: OwnerRecords, one: Wanted, owner: bytes) -> list[OwnerRecords]:
        """Return the versions before, when the newest one does not have the item any more."""
        if any(each.entry.root == one.record for each in newest.records):
            return []
        version = newest.publication.version
        found = []
        for older in range(version - 1, max(version - 1 - _OLDER, 0), -1):
            try:
                publication = await self._publications.served(one.basis.dataset, older)
            except UnknownError:
                continue
            read = await self._publications.records_of_owner(publication, owner)
            found += await self._without_erased(publication.dataset, [read])
        return found

    async def _without_erased(
        self, dataset: bytes, owners: Sequence[OwnerRecords]
    ) -> list[OwnerRecords]:
        """Take out what has a tombstone on chain, though nobody had it erased here: no keyholder opens it."""
        gone = await self._erased(dataset, [record for each in owners for record in each.records])
        return [
            msgspec.structs.replace(
                each, records=tuple([_cleared(record, gone) for record in each.records])
            )
            for each in owners
        ]

    async def _erased(self, dataset: bytes, records: Sequence[PublishedRecord]) -> frozenset[bytes]:
        if not records or not self._chain.snapshot.erasures.get(dataset):
            return frozenset()
        return await self._chain.erased(dataset, [record.entry.root for record in records])

    async def _of_dataset(self, one: Wanted, publication: ServedPublication) -> ReleaseContent:
        if one.record != ZERO_WORD:
            item = await self._publications.record_by_item(publication, one.record)
            proof = _range(item.proof.index, item.proof.size, item.proof.hashes)
            gone = await self._erased(publication.dataset, [item.record])
            record = _present(_cleared(item.record, gone))
            return ReleaseContent(publication, (record,), proof, None)
        every = await self._publications.all_records(publication, MAX_RECORDS)
        gone = await self._erased(publication.dataset, every.records)
        cleared = [_cleared(each, gone) for each in every.records]
        kept = tuple([each.record for each in cleared if each.record is not None])
        if every.proof is None:  # nothing was published
            return ReleaseContent(publication, (), OwnerProof(0, 0, (), ()), None)
        if len(kept) == len(every.records):
            return ReleaseContent(publication, kept, every.proof, None)
        # Some were erased: their entries say that they were there.
        entries = tuple(each.entry for each in every.records)
        run = OwnerProof(every.proof.start, every.proof.size, entries, every.proof.hashes)
        return ReleaseContent(publication, kept, run, None)


def _publication_key(one: Wanted) -> tuple[bytes, int, int | None]:
    return one.basis.dataset, 0 if one.version is not None else one.block, one.version


def _tie(basis: BasisEntry) -> Tie | None:
    return None if basis.subject is None else (basis.subject, basis.dataset)


def _whole(found: OwnerRecords, link: SignedLink) -> ReleaseContent:
    kept = tuple(each.record for each in found.records if each.record is not None)
    if len(kept) > MAX_RECORDS:
        raise too_many_records(MAX_RECORDS)
    if found.records and not kept:
        raise ProblemError("the records were erased", "erased")
    return ReleaseContent(found.publication, kept, found.proof, link)


def _cleared(published: PublishedRecord, gone: frozenset[bytes]) -> PublishedRecord:
    if published.entry.root not in gone:
        return published
    return msgspec.structs.replace(published, record=None)


def _present(published: PublishedRecord) -> EncryptedRecord:
    if published.record is None:
        raise ProblemError("the record was erased", "erased")
    return published.record


def _range(index: int, size: int, hashes: tuple[bytes, ...]) -> RangeProof:
    return RangeProof(index, index + 1, size, hashes)
