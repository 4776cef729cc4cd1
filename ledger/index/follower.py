"""Keeps an index up to date from a node: reads final blocks' events and hands them on in order."""

import asyncio
from dataclasses import dataclass

import msgspec

from ledger.chain import eth_methods
from ledger.chain.eth_methods import Block, EventError
from ledger.chain.events import Contracts, Event
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.finality import BlocksLostError, ChainError, Finality
from ledger.chain.log_reader import LogPart, LogReader, next_part
from ledger.chain.rpc import AsyncRpc, RpcError
from ledger.hexstr import ZERO_WORD
from ledger.index.faults import malformed
from ledger.index.index import Index
from ledger.index.rows import Fault


@dataclass(frozen=True, slots=True)
class FollowerSettings:
    """How a node is read.

    Attributes:
        poll_interval: seconds between two looks for a new block.
        most_blocks: in one question for logs at most.
        wanted_logs: how many one question should bring; the number of blocks is chosen by it.
    """

    poll_interval: float = 0.05
    most_blocks: int = 5_000
    wanted_logs: int = 5_000


class Follower:
    """Follows one chain. `run` it as a task; `problem` says why it stands still."""

    def __init__(
        self,
        rpc: AsyncRpc,
        contracts: Contracts,
        finality: Finality,
        index: Index,
        settings: FollowerSettings | None = None,
    ) -> None:
        self._rpc = rpc
        self._decoder = EventDecoder(contracts)
        self._finality = finality
        self._index = index
        self._settings = settings or FollowerSettings()
        self._reader = LogReader(
            msgspec.structs.astuple(contracts),
            wanted=self._settings.wanted_logs,
            longest=self._settings.most_blocks,
        )
        self.problem: RpcError | ChainError | None = None
        """None while all is well."""
        self.final_block = -1
        """Number of the newest final block of the node."""

    @property
    def lag(self) -> int:
        """How many final blocks the index is behind."""
        return max(self.final_block - self._index.head.number, 0)

    async def run(self) -> None:
        """Follow the chain until cancelled; what fails is tried again.

        Raises:
            LedgerError, and what the database raises: only what trying again does not mend.
        """
        while True:
            try:
                moved = await self.step()
                self.problem = None
            except (RpcError, ChainError) as error:
                self.problem, moved = error, False
            if not moved:
                await asyncio.sleep(self._settings.poll_interval)

    async def catch_up(self) -> None:
        """Follow the chain until everything is in the index that is final now.

        Raises:
            RpcError: The node cannot be asked.
            BlocksLostError: It is not the chain that it was.
        """
        while await self.step():
            pass

    async def step(self) -> bool:
        """Write the next final blocks; return whether there were any.

        Raises:
            RpcError: The node cannot be asked.
            BlocksLostError: It is not the chain that it was.
        """
        head = self._index.head
        newest, last = await self._rpc.send_many(
            [eth_methods.block(self._finality.tag), eth_methods.block(head.number)]
        )
        if newest is None:
            return False  # nothing is final yet
        self.final_block = self._finality.final_number(newest)
        self._check(last, newest)
        if self.final_block <= head.number:
            return False
        part = await next_part(self._rpc, self._reader, head.number + 1, self.final_block)
        end: Block | None = newest
        if part.last != newest.number:
            end = await self._rpc.send(eth_methods.block(part.last))
        if end is None:
            raise BlocksLostError(f"the node told of block {part.last} and does not have it")
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

    def _check(self, last: Block | None, newest: Block) -> None:
        head = self._index.head
        known = head.hash != ZERO_WORD  # a new index knows only a number
        if last is None:
            raise BlocksLostError(
                f"the node is at block {newest.number}, block {head.number} was final before: "
                "it is behind, or has lost blocks"
            )
        if known and last.hash != head.hash:
            raise BlocksLostError(f"block {head.number} is another one than it was when final")
