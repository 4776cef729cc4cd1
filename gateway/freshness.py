"""Looking again before saying that something is not there: it may have been put on chain a moment ago.

The index follows the chain, a fraction of a second behind. Whoever has just registered a dataset, been
admitted or enrolled (by a node or a service of its own) must not be told that it does not exist, and a list
for which somebody waits must not lack its newest line.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from ledger.chain import Finality, final_block
from ledger.gathering import Gatherer
from ledger.index.index import Index
from ledger.rpc import AsyncRpc, RpcError

FoundT = TypeVar("FoundT")

_PATIENCE: Final = 5.0
"""Seconds to wait for the index; then it is asked as it is."""


class Freshness:
    """An index and the node that it follows.

    Anybody may ask for ids that are not there, unsigned. So all who come while the node is asked share the next
    question, which begins after they came.
    """

    def __init__(self, rpc: AsyncRpc, finality: Finality, index: Index) -> None:
        self._rpc = rpc
        self._finality = finality
        self._index = index
        self._newest: Gatherer[None, int] = Gatherer(self._ask_newest)

    async def catch_up(self) -> bool:
        """Wait until the index has every block that is final now; not for ever, and not for a dead node.

        Returns:
            Whether it has: what it does not know then was not on chain when this was called.
        """
        try:
            async with asyncio.timeout(_PATIENCE):
                newest = (await self._newest.get([None])).get(None)
                if newest is not None:
                    await self._index.wait_for(newest)
                return newest is not None
        except TimeoutError:
            return False

    async def _ask_newest(self, _: Sequence[None]) -> Mapping[None, int]:
        """Return the newest final block's number, -1 before there is any; nothing when the node does not answer."""
        try:
            newest = await final_block(self._rpc, self._finality)
        except RpcError:
            return {}
        return {None: -1 if newest is None else newest.number}

    async def find(self, look: Callable[[], FoundT | None]) -> FoundT | None:
        """Return what there is, looking again when all that is final is in the index."""
        found = look()
        if found is None:
            await self.catch_up()
            found = look()
        return found
