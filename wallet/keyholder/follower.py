"""Following the keyholder's own node: every event of every final block, once, in order.

After a start everything is read again from the deployment's first block, so there is no state that
could be lost or forged; of the accesses only the latest blocks are read, older ones when somebody asks
for them. If the chain is not the one that was followed (a final block gone, another genesis), nothing
is released until it was read anew.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from ledger import queries
from ledger.chain import (
    BlockRef,
    ChainError,
    Finality,
    final_block_after,
)
from ledger.deployment import Deployment, verify_deployment_async
from ledger.errors import LedgerError
from ledger.events import EventDecoder
from ledger.log_reader import LogPart, LogReader, logs_between_async, next_part
from ledger.logs import get_logger
from ledger.rpc import AsyncRpc
from wallet.keyholder.errors import NotFollowingError
from wallet.keyholder.register import Register

_log = get_logger()


@dataclass(frozen=True, slots=True)
class Following:
    """How the node is followed.

    Attributes:
        finality: When a block counts as final.
        poll: Seconds between two looks at the node when nobody waits for a block.
        eager_poll: Seconds from one look to the next at least, while somebody waits.
        stale_after: Seconds without an answer of the node after which nothing is released any more.
        recent_blocks: Blocks of which the accesses are read at the start.
        window: Accesses kept in memory.
    """

    finality: Finality
    poll: float = 0.25
    eager_poll: float = 0.005
    stale_after: float = 30.0
    recent_blocks: int = 2_000
    window: int = 50_000


class Follower:
    """Keeps a `Register` in step with a node.

    Args:
        rpc: The keyholder's own node.
        deployment: Which contracts, on which chain.
        following: How.
        clock: Steady seconds.
    """

    def __init__(
        self,
        rpc: AsyncRpc,
        deployment: Deployment,
        following: Following,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rpc = rpc
        self._deployment = deployment
        self._following = following
        self._clock = clock
        self._register = Register(following.window)
        self._decoder = EventDecoder(deployment.contracts)
        at = deployment.contracts
        others = [at.registry, at.catalogue, at.agreements, at.authorizations]
        self._others = LogReader(others)
        self._accesses = LogReader([at.access_log])
        self._all = LogReader([*others, at.access_log])
        self._known: BlockRef | None = None
        self._read_to = -1
        self._verified = False
        self._answered_at: float | None = None
        self._problem = "the node was not asked yet"
        self._wanted = asyncio.Event()
        self._stepped = asyncio.Condition()

    @property
    def register(self) -> Register:
        """What is known of the chain; after the chain changed it is another object."""
        return self._register

    def require(self) -> Register:
        """Return the register, if what is in it can be relied on now.

        Raises:
            NotFollowingError: The node cannot be followed; the message says why.
        """
        answered = self._answered_at
        if answered is None:
            raise NotFollowingError(self._problem)
        silent = self._clock() - answered
        if silent > self._following.stale_after:
            raise NotFollowingError(f"no news of the node for {silent:.0f} s: {self._problem}")
        return self._register

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            self._wanted.clear()
            began = self._clock()
            try:
                await self.step()
            except LedgerError as error:
                self._fail(error)
            async with self._stepped:
                self._stepped.notify_all()
            await self._pause(began)

    async def until(self, holds: Callable[[Register], bool], patience: float) -> None:
        """Wait until something holds of the register, at most `patience` seconds."""
        until = self._clock() + patience
        async with self._stepped:
            while not holds(self._register) and (left := until - self._clock()) > 0:
                self._wanted.set()
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._stepped.wait()

    async def step(self) -> None:
        """Read what became final since the last step.

        Raises:
            LedgerError: The node does not answer, or has another chain.
        """
        if not self._verified:
            await verify_deployment_async(self._rpc, self._deployment)
            self._verified = True
        newest = await final_block_after(self._rpc, self._following.finality, self._known)
        if newest is not None:
            await self._read_up_to(newest)
        self._answered_at, self._problem = self._clock(), ""

    async def recall(self, block_number: int) -> None:
        """Read the accesses of one old block again.

        Raises:
            LedgerError: The node does not answer.
        """
        if self._deployment.block_number <= block_number <= self._register.height:
            self._apply(await next_part(self._rpc, self._accesses, block_number, block_number))

    async def _read_up_to(self, newest: queries.Block) -> None:
        last = newest.number
        first = max(self._read_to + 1, self._deployment.block_number)
        recent = max(first, last - self._following.recent_blocks + 1)
        await self._read(first, recent - 1, self._others)
        await self._read(recent, last, self._all)
        self._known = BlockRef(last, newest.hash)
        self._register.reach(last)

    async def _read(self, first: int, last: int, reader: LogReader) -> None:
        async for part in logs_between_async(self._rpc, reader, first, last):
            self._apply(part)
            self._read_to = part.last

    def _apply(self, part: LogPart) -> None:
        for event in self._decoder.decode_all(part.logs):
            self._register.apply(event)

    def _start_over(self) -> None:
        """Forget everything: the chain is not the one that was followed."""
        self._register = Register(self._following.window)
        self._known, self._read_to = None, -1
        self._verified, self._answered_at = False, None

    def _fail(self, error: LedgerError) -> None:
        if isinstance(error, ChainError):
            self._start_over()
        if str(error) != self._problem:
            _log.warning("node_not_followed", problem=str(error))
        self._problem = str(error)

    async def _pause(self, began: float) -> None:
        """Wait until the next look: for the next who waits for a block, else for a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._following.poll):
                await self._wanted.wait()
        if (early := began + self._following.eager_poll - self._clock()) > 0:
            await asyncio.sleep(early)
