"""Following the keyholder's own node: every event of every final block, once, in order.

After a start everything is read again from the deployment's first block, so there is no state that
could be lost or forged; of the accesses only those of the release window are read. If the chain is not
the one that was followed (a final block gone, another genesis), nothing is released until it was read
anew. The same holds if the node tells what no contract can have emitted in its place, since then it
lies or lacks events; and nothing is released while its newest final block is not of now.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from ledger.chain import contract_reads, eth_methods
from ledger.chain.deploy import verify_deployment
from ledger.chain.deployment import Deployment
from ledger.chain.eth_methods import EventError
from ledger.chain.events import Block, Event
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.finality import BlockRef, ChainError, Finality
from ledger.chain.follow import final_block_after
from ledger.chain.log_reader import LogPart, LogReader, logs_between_async
from ledger.chain.rpc import AsyncRpc, Call
from ledger.errors import LedgerError
from ledger.hexstr import to_hex
from ledger.service.logs import get_logger
from ledger.state import ImpossibleEventError
from wallet.keyholder.chain_state import ChainState
from wallet.keyholder.errors import NotFollowingError

_log = get_logger()


class EventsMissingError(LedgerError):
    """The node lacks events that its contracts count."""


_CONTRADICTIONS: Final = (ImpossibleEventError, EventError, EventsMissingError)
"""Errors that only a node that lies or lacks events can cause."""


@dataclass(frozen=True, slots=True)
class Following:
    """How the node is followed.

    Attributes:
        finality: When a block counts as final.
        poll: Seconds between two looks at the node when nobody waits for a block.
        eager_poll: Seconds from one look to the next at least, while somebody waits.
        stale_after: Seconds without an answer of the node after which nothing is released any more.
        release_window: Seconds, in block times, for which accesses are known.
        head_age: Seconds that the newest final block may be apart from the clock.
        reread_pause: Seconds until a chain that cannot be right is read anew.
    """

    finality: Finality
    release_window: int
    head_age: int
    poll: float = 0.25
    eager_poll: float = 0.005
    stale_after: float = 30.0
    reread_pause: float = 30.0


class Follower:
    """Keeps a `ChainState` in step with the keyholder's own node.

    Args:
        rpc: To the node.
        deployment: Which contracts, on which chain.
        following: How.
        clock: Monotonic seconds.
        wall: The present, seconds since 1970.
    """

    def __init__(
        self,
        rpc: AsyncRpc,
        deployment: Deployment,
        following: Following,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._rpc = rpc
        self._deployment = deployment
        self._following = following
        self._clock = clock
        self._wall = wall
        self._register = self._new_register()
        self._decoder = EventDecoder(deployment.contracts)
        at = deployment.contracts
        others = [at.registry, at.catalogue, at.agreements, at.authorizations]
        self._others = LogReader(others)
        self._all = LogReader([*others, at.access_log])
        self._known: BlockRef | None = None
        self._read_to = -1
        self._verified = False
        self._answered_at: float | None = None
        self._problem = "the node was not asked yet"
        self._wanted = asyncio.Event()
        self._stepped = asyncio.Condition()
        self._rests = False
        self._contradictions = 0

    @property
    def register(self) -> ChainState:
        """The state of the chain; another object after the chain changed."""
        return self._register

    def require(self) -> ChainState:
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
        age = self._wall() - self._register.block.timestamp
        # A clock that is behind would let a node that is stuck pass for longer, so it counts as well.
        if abs(age) > self._following.head_age:
            apart = "old" if age > 0 else "ahead of this machine's clock"
            raise NotFollowingError(f"the newest final block is {abs(age):.0f} s {apart}")
        return self._register

    @property
    def problem(self) -> str | None:
        """Why nothing is released now; None when something can be."""
        try:
            self.require()
        except NotFollowingError as error:
            return str(error)
        return None

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

    async def until(self, holds: Callable[[ChainState], bool], patience: float) -> None:
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
            await verify_deployment(self._rpc, self._deployment)
            self._verified = True
        newest = await final_block_after(self._rpc, self._following.finality, self._known)
        if newest is not None:
            await self._read_up_to(newest)
        self._answered_at, self._problem, self._rests = self._clock(), "", False
        self._contradictions = 0

    async def _read_up_to(self, newest: eth_methods.Block) -> None:
        # Asked first: from here on the register is the state of one block, with no pause in between.
        counts, sequence = await self._counts(newest)
        async for part in self._unread(newest):
            events = list(self._decoder.decode_all(part.logs))
            if part.last == newest.number and self._shortfall(events, counts, sequence):
                # A node that makes a block just then may have answered by that one; this one is old by now.
                counts, sequence = await self._counts(newest)
            if part.last < newest.number:
                # More is to come, and until it has, the register is the state of no single block.
                self._answered_at, self._problem = None, f"read up to block {part.last}"
            for event in events:
                self._register.apply(event)
            self._read_to = part.last
        # Behind the last event no number shows that another is missing.
        shortfall = self._shortfall((), counts, sequence)
        if shortfall:
            raise EventsMissingError(shortfall)
        self._known = BlockRef(newest.number, newest.hash)
        self._register.reach(Block(newest.number, newest.hash, newest.timestamp))

    async def _counts(self, newest: eth_methods.Block) -> tuple[dict[bytes, int], int]:
        """Return how many events each contract counts, and the number of the last access."""
        at, number = self._deployment.contracts, newest.number
        contracts = (at.registry, at.catalogue, at.agreements, at.authorizations)
        calls: list[Call[Any]] = [
            contract_reads.event_state(contract, number) for contract in contracts
        ]
        *states, log = await self._rpc.send_many([*calls, contract_reads.log_state(at, number)])
        counts = {contract: state.count for contract, state in zip(contracts, states, strict=True)}
        return counts, log.sequence

    def _shortfall(self, events: Sequence[Event], counts: dict[bytes, int], sequence: int) -> str:
        """Say which count is not reached by all events so far and these; empty if all are."""
        known, last = self._register, self._register.sequence
        new = Counter(event.contract for event in events)
        for contract, count in counts.items():
            seen = known.count(contract) + new[contract]
            if count != seen:
                return f"{to_hex(contract)} counts {count} events, the node told of {seen}"
        for event in events:
            last = getattr(event, "sequence", last) if event.contract not in counts else last
        if last not in (None, sequence):
            return f"the access log counts {sequence} accesses, the node told of {last}"
        return ""

    async def _unread(self, newest: eth_methods.Block) -> AsyncIterator[LogPart]:
        if self._read_to < 0:
            window = await self._window_start(newest)
            self._register = self._new_register(window)
            self._read_to = self._deployment.block_number - 1
        window = self._register.first_block
        first = self._read_to + 1
        async for part in logs_between_async(self._rpc, self._others, first, window - 1):
            yield part
        first = max(first, window)
        async for part in logs_between_async(self._rpc, self._all, first, newest.number):
            yield part

    async def _window_start(self, newest: eth_methods.Block) -> int:
        """Return the number of the first block that is in the release window."""
        oldest = newest.timestamp - self._following.release_window
        first, last = min(self._deployment.block_number, newest.number), newest.number
        while first < last:
            middle = (first + last) // 2
            block = await self._rpc.send(eth_methods.block(middle))
            if block is None:
                raise ChainError(f"the node does not have block {middle}")
            first, last = (first, middle) if block.timestamp >= oldest else (middle + 1, last)
        return first

    def _new_register(self, first_block: int = 0) -> ChainState:
        return ChainState(self._deployment.delays, self._following.release_window, first_block)

    def _fail(self, error: LedgerError) -> None:
        if isinstance(error, (ChainError, *_CONTRADICTIONS)):
            # Forget everything: the chain is not the one that was followed.
            self._register = self._new_register()
            self._known, self._read_to = None, -1
            self._verified, self._answered_at = False, None
        # Everything is read again, in case the node only lacked something for a while; not at once.
        self._rests = isinstance(error, _CONTRADICTIONS)
        self._contradictions += self._rests
        if str(error) != self._problem:
            _log.warning("node_not_followed", problem=str(error))
        self._problem = str(error)

    async def _pause(self, began: float) -> None:
        """Wait until the next look: until somebody waits for a block, else for a while."""
        if self._rests:
            # Soon at first: an embedded chain that forgot blocks contradicts itself for a moment. Then rarely.
            soon = self._following.poll * 2 ** min(self._contradictions, 16)
            await asyncio.sleep(min(soon, self._following.reread_pause))
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self._following.poll):
                await self._wanted.wait()
        if (early := began + self._following.eager_poll - self._clock()) > 0:
            await asyncio.sleep(early)
