"""Read-after-write: what was put on chain a moment ago is not denied.

The index follows the chain, a fraction of a second behind. Whoever has just registered a dataset, been
admitted or enrolled (by a node or a service of its own) must not be told that it does not exist, and a list
for which somebody waits must not lack its newest line. After the chain lost blocks the index is made again
from the first one; meanwhile nobody may be told for good that there is no such party.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from gateway.errors import UnavailableError
from ledger.chain.finality import Finality
from ledger.chain.follow import final_block
from ledger.chain.rpc import AsyncRpc, RpcError
from ledger.gathering import Gatherer
from ledger.index.index import Index
from ledger.index.rows import SubjectEntry
from ledger.links import LinkBounds
from ledger.model import Roles

FoundT = TypeVar("FoundT")

_TIMEOUT: Final = 5.0
"""Seconds to wait for the index; then it is asked as it is."""
_MAX_REGISTRARS: Final = 100_000
_FAR: Final = 20
"""Blocks behind which the index is not believed when it says that somebody is not there."""


class Freshness:
    """An index and the node that it follows.

    Anybody may ask for ids that are not there, unsigned. So all who come while the node is asked share the next
    question, which begins after they came.
    """

    def __init__(
        self,
        index: Index,
        rpc: AsyncRpc,
        finality: Finality,
        newest: Callable[[], int] = lambda: -1,
    ) -> None:
        self._index = index
        self._rpc = rpc
        self._finality = finality
        self._newest = newest
        self._final: Gatherer[None, int] = Gatherer(self._ask_final)
        self._registrars: OrderedDict[bytes, bytes] = OrderedDict()
        self._read_registrars: Gatherer[bytes, bytes] = Gatherer(index.registrars)

    @property
    def time(self) -> int:
        """Time of the newest block in the index."""
        return self._index.head.timestamp

    async def catch_up(self) -> bool:
        """Wait until the index has every block that is final now; not for ever, and not for a dead node.

        Returns:
            Whether it has: what it does not know then was not on chain when this was called.
        """
        try:
            async with asyncio.timeout(_TIMEOUT):
                newest = (await self._final.get([None])).get(None)
                if newest is not None:
                    await self._index.wait_for(newest)
                return newest is not None
        except TimeoutError:
            return False

    async def find(self, look: Callable[[], FoundT | None]) -> FoundT | None:
        """Return what there is, looking again when all that is final is in the index."""
        found = look()
        if found is None:
            await self.catch_up()
            found = look()
        return found

    def is_party(self, address: bytes) -> bool:
        """Whether an address was ever admitted in any role.

        Raises:
            UnavailableError: That cannot be told now.
        """
        return self._sure(there=address in self._index.snapshot.parties)

    async def subject(self, subject: bytes) -> SubjectEntry | None:
        """Return a subject, once the index has all that is final."""
        found = await self._index.subject(subject)
        if found is None:
            await self.catch_up()
            found = await self._index.subject(subject)
        return found

    async def link_bounds(self, subject: bytes) -> LinkBounds:
        """Return which links of a subject count.

        Raises:
            UnavailableError: That cannot be told now.
        """
        registrar = self._registrars.get(subject)
        if registrar is None:
            registrar = (await self._read_registrars.get([subject])).get(subject)
            if registrar is None:
                await self.catch_up()
                registrar = (await self._read_registrars.get([subject])).get(subject)
            if registrar is None:
                # Not for good: an embedded chain may have forgotten the registration, and gets it back.
                raise UnavailableError("the index does not know the subject", "index-behind")
            self._registrars[subject] = registrar  # who registered a subject never changes
            while len(self._registrars) > _MAX_REGISTRARS:
                self._registrars.popitem(last=False)
        known = self._index.snapshot
        may = (registrar, known.successors.get(registrar, registrar))
        active = [
            authority
            for authority in may
            if known.party(authority, Roles.IDENTITY_AUTHORITY) is not None
        ]
        self._sure(there=bool(active))
        return LinkBounds(active, known.ended_links.get(subject, 0))

    async def is_granted(self, subject: bytes, dataset: bytes) -> bool:
        """Tell whether an authorization of a subject over a dataset is not over and not revoked."""
        return await self._index.is_granted(subject, dataset)

    def _sure(self, *, there: bool) -> bool:
        if not there and self._index.head.number + _FAR < self._newest():
            raise UnavailableError("the index is behind the chain", "index-behind")
        return there

    async def _ask_final(self, _: Sequence[None]) -> Mapping[None, int]:
        """Return the newest final block's number, -1 before there is any; nothing when the node does not answer."""
        try:
            newest = await final_block(self._rpc, self._finality)
        except RpcError:
            return {}
        return {None: -1 if newest is None else newest.number}
