"""Which consumers named this gateway's recorder: asked of the chain, before anything is queued.

The contract decides again when the batch is recorded, and passes over whom this was wrong about. So an
answer may be a little old: that saves a question for each access, and can cost nobody a use.
"""

import time
from typing import Final

from ledger.chain import contract_reads
from ledger.chain.events import Contracts
from ledger.chain.rpc import AsyncRpc

_KEPT: Final = 60.0
"""Seconds for which a consumer that named us is not asked about again. One that did not is each time."""


class Namings:
    """Asks who named a recorder. Belongs to one event loop."""

    def __init__(self, rpc: AsyncRpc, contracts: Contracts, recorder: bytes) -> None:
        self._rpc = rpc
        self._contracts = contracts
        self._recorder = recorder
        self._named: dict[bytes, float] = {}
        """When we asked last (monotonic seconds). Bounded: only parties of the registry name anybody."""

    async def ask(self, consumer: bytes) -> bool:
        """Return whether a consumer named our recorder.

        Raises:
            RpcError: the node cannot be asked.
        """
        if self._named.get(consumer, float("-inf")) > time.monotonic() - _KEPT:
            return True
        call = contract_reads.may_record(self._contracts, consumer, self._recorder)
        named = await self._rpc.send(call)
        if named:
            self._named[consumer] = time.monotonic()
        return named

    def forget(self, consumer: bytes) -> None:
        """Ask about a consumer again: the contract has passed it over."""
        self._named.pop(consumer, None)
