"""What keyholders would refuse, refused before it is recorded: an authorization for one use is not used up for nothing.

Looked at once for an owner and a version, not for each access: of what a basis opens nothing changes but with
a new version, an erasure, or another link, and of these memory tells (`Snapshot`).

Source: PROMISES 14.5; docs/spec/custody.md, "Releases".
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from gateway.access.batching import Grouper
from gateway.access.content import ReleaseContent, ReleaseContents, Wanted
from gateway.errors import ConflictError, GatewayError, UnavailableError
from gateway.publishing.publications import Publications
from gateway.store.publications import ServedPublication
from ledger.encoding import Schema
from ledger.errors import MalformedError
from ledger.index.index import Index
from ledger.index.rows import BasisEntry, DatasetEntry

_AT_ONCE: Final = 200
_MOST: Final = 100_000
_MARGIN: Final = 60
"""Seconds by which the access's block may be later than the moment at which this looks."""


class _Asked(msgspec.Struct, frozen=True):
    consumer: bytes
    wanted: Wanted


class _Known(msgspec.Struct, frozen=True):
    upload: int
    """Of the newest version that was served."""
    erasures: int
    """Of the dataset on chain."""
    version: int
    """That answers; an older one for a record that the newest does not have."""
    epochs: frozenset[int]


class Preflight:
    """Finds out whether keyholders would release an access. For use in one event loop."""

    def __init__(
        self,
        publications: Publications,
        materials: ReleaseContents,
        chain: Index,
        *,
        lag: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`lag`: seconds for which keyholders answer from a superseded version."""
        self._publications = publications
        self._materials = materials
        self._chain = chain
        self._lag = lag
        self._clock = clock
        self._served: dict[bytes, ServedPublication] = {}
        """The newest of each dataset when it was looked at."""
        self._fit: dict[bytes, bool] = {}
        """Whether a dataset's field names make a schema; they never change."""
        self._superseded: dict[tuple[bytes, int], int] = {}
        """When versions were superseded that are served or looked for all the same."""
        self._known: OrderedDict[tuple[bytes, bytes | None, bytes], _Known] = OrderedDict()
        self._look: Grouper[_Asked, ReleaseContent] = Grouper(
            self._look_all, most=_AT_ONCE, owner=lambda asked: asked.consumer
        )

    async def require(
        self, consumer: bytes, basis: BasisEntry, item: bytes, block: int
    ) -> frozenset[int]:
        """Check that an access could be answered; return of which epochs the records are.

        Raises:
            ConflictError: No record of the dataset can be encrypted or opened; no publication is served; the one that is served is too old.
            UnknownError: Nobody relayed whose records the authorization is about.
            ProblemError, UnknownError: There is no answer.
            UnavailableError: That cannot be told now.
        """
        dataset = self._dataset(basis.dataset)
        newest = await self._newest(dataset, block)
        wanted = Wanted(basis, item, block, newest.version)
        key = dataset.id, await self._materials.owner(basis), wanted.record
        erasures = self._chain.snapshot.erasures.get(dataset.id, 0)
        known = self._known.get(key)
        if known is None or (known.upload, known.erasures) != (newest.upload, erasures):
            found = await self._look(_Asked(consumer, wanted))
            epochs = frozenset([record.epoch for record in found.records])
            known = _Known(newest.upload, erasures, found.publication.version, epochs)
            self._known[key] = known
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
        await self._require_current(dataset, known.version)
        return known.epochs

    async def close(self) -> None:
        await self._look.close()

    def _dataset(self, dataset: bytes) -> DatasetEntry:
        found = self._chain.snapshot.datasets.get(dataset)
        if found is None:  # after a chain lost blocks the index begins again
            raise UnavailableError("the index does not know the dataset", "index-behind")
        if dataset not in self._fit:
            try:
                Schema(dataset, found.fields)
            except MalformedError:
                self._fit[dataset] = False
            else:
                self._fit[dataset] = True
        if not self._fit[dataset]:
            raise ConflictError(
                "under the dataset's field names nothing can be encrypted or opened", "field-names"
            )
        return found

    async def _newest(self, dataset: DatasetEntry, block: int) -> ServedPublication:
        """Return the newest version that is served; while that is the chain's newest nobody is asked."""
        found = self._served.get(dataset.id)
        if found is None or found.version != dataset.version:
            # What is being served just now counts: the access comes in a later block.
            found = await self._publications.newest_served(dataset.id, block + 1)
            self._served[dataset.id] = found
        if found.version > dataset.version:
            raise UnavailableError(
                "the index does not have the publication that is served", "index-behind"
            )
        return found

    async def _require_current(self, dataset: DatasetEntry, version: int) -> None:
        """Check that keyholders would still answer from a version, when the access is recorded."""
        if version >= dataset.version:
            return
        if version + 1 == dataset.version:
            superseded_at = dataset.published_at
        else:
            superseded_at = await self._superseded_at(dataset.id, version)
        now = max(int(self._clock()), self._chain.snapshot.head.timestamp)
        if now + _MARGIN - superseded_at > self._lag:
            raise ConflictError(
                f"version {version} answers here, and version {dataset.version} is on chain too long",
                "publication-superseded",
            )

    async def _superseded_at(self, dataset: bytes, version: int) -> int:
        found = self._superseded.get((dataset, version))
        if found is None:
            following = await self._chain.publication(dataset, version + 1)
            if following is None:
                raise UnavailableError("the index does not have a publication", "index-behind")
            found = following.place.timestamp
            while len(self._superseded) >= _MOST:
                self._superseded.pop(next(iter(self._superseded)))
            self._superseded[dataset, version] = found
        return found

    async def _look_all(self, asked: Sequence[_Asked]) -> Sequence[ReleaseContent | GatewayError]:
        return await self._materials.find([one.wanted for one in asked])
