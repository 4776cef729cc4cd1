"""Keeps an index up to date from a node: reads final blocks' events and hands them on in order."""

import msgspec

from ledger.chain import eth_methods
from ledger.chain.eth_methods import EventError
from ledger.chain.events import Contracts, Event
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.finality import BlockRef, BlocksLostError, Finality
from ledger.chain.follow import final_block_after
from ledger.chain.log_reader import LogPart, LogReader, next_part
from ledger.chain.rpc import AsyncRpc
from ledger.index.faults import malformed
from ledger.index.index import Index
from ledger.index.rows import Fault
from ledger.model import ZERO_WORD

_MAX_BLOCKS = 5_000
"""In one question for logs."""
_WANTED_LOGS = 5_000


class Follower:
    """Follows one chain, a step at a time."""

    def __init__(
        self,
        rpc: AsyncRpc,
        contracts: Contracts,
        finality: Finality,
        index: Index,
        *,
        wanted_logs: int = _WANTED_LOGS,
    ) -> None:
        """Take `wanted_logs`: how many one question should bring; the number of blocks is chosen by it."""
        self._rpc = rpc
        self._decoder = EventDecoder(contracts)
        self._finality = finality
        self._index = index
        self._reader = LogReader(
            msgspec.structs.astuple(contracts), wanted=wanted_logs, longest=_MAX_BLOCKS
        )
        self.final_block = -1
        """Number of the newest final block of the node."""

    @property
    def lag(self) -> int:
        """How many final blocks the index is behind."""
        return max(self.final_block - self._index.head.number, 0)

    async def catch_up(self) -> None:
        """Follow the chain until everything is in the index that is final now; see `step`."""
        while await self.step():
            pass

    async def step(self) -> bool:
        """Write the next final blocks; return whether there were any.

        Raises:
            RpcError: The node cannot be asked.
            BlocksLostError: It is not the chain that it was.
        """
        head = self._index.head
        # A new index knows only a number.
        known = None if head.hash == ZERO_WORD else BlockRef(head.number, head.hash)
        newest = await final_block_after(self._rpc, self._finality, known)
        self.final_block = head.number if newest is None else newest.number
        if newest is None or newest.number <= head.number:
            return False
        part = await next_part(self._rpc, self._reader, head.number + 1, newest.number)
        end = newest
        if part.last != newest.number:
            last = await self._rpc.send(eth_methods.block(part.last))
            if last is None:
                raise BlocksLostError(f"the node told of block {part.last} and does not have it")
            end = last
        events, faults = self._decoded(part)
        await self._index.apply(events, end.number, end.hash, end.timestamp, faults)
        return True

    def _decoded(self, part: LogPart) -> tuple[list[Event], list[Fault]]:
        """Return the events of logs, and what is none: nothing stops over it."""
        events: list[Event] = []
        faults: list[Fault] = []
        for log in part.logs:
            try:
                event = self._decoder.decode(log)
            except EventError as error:
                faults.append(malformed(log, error, part.last))
                continue
            if part.first <= event.block.number <= part.last:
                events.append(event)
            else:
                problem = f"of blocks {part.first} to {part.last} the node gives one of another"
                faults.append(Fault(part.last, 0, event.name, problem))
        return events, faults
