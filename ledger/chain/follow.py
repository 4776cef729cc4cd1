"""Following a chain: which block is final now, and whether the chain is still the one that it was.

A final block is relied on for ever: keys are released because of it. So everybody who follows a chain
remembers the last final block seen, and whatever comes after must stand on it. A node that lost
blocks, that was started anew or that follows another chain is found out and not followed.

Source: DESIGN 3.6.
"""

import asyncio
import time
from contextlib import suppress
from typing import Final

from ledger.chain import eth_methods
from ledger.chain.eth_methods import Block
from ledger.chain.finality import BlockRef, BlocksLostError, ChainError, Finality
from ledger.chain.rpc import AsyncRpc, RpcError
from ledger.errors import LedgerError
from ledger.hexstr import to_hex

_MIN_POLL: Final = 0.005
_IDLE_POLL: Final = 0.25
_LONGEST_POLL: Final = 1.0
_RETRY: Final = 0.25
_WEIGHT: Final = 0.2
_EARLY: Final = 0.9
_OFTEN: Final = 0.05


async def final_block(rpc: AsyncRpc, finality: Finality) -> Block | None:
    """Return the newest final block; None when there is none yet.

    Raises:
        RpcError: the node cannot be asked.
    """
    newest = await rpc.send(eth_methods.block(finality.tag))
    if newest is None or not finality.blocks:
        return newest
    number = finality.final_number(newest.number)
    return await rpc.send(eth_methods.block(number)) if number >= 0 else None


async def verify_descends(rpc: AsyncRpc, known: BlockRef, newest: Block) -> Block:
    """Return the final block `newest` if it stands on the block `known` that was final before.

    Raises:
        BlocksLostError: it is older, or at the known block's number there is another one.
        RpcError: the node cannot be asked.
    """
    if newest.number < known.number:
        raise BlocksLostError(
            f"block {known.number} was final, now the newest final one is {newest.number}"
        )
    if newest.number == known.number:
        actual = newest.hash
    elif newest.number == known.number + 1:
        actual = newest.parent
    else:
        between = await rpc.send(eth_methods.block(known.number))
        actual = between.hash if between is not None else b""
    if actual != known.hash:
        raise BlocksLostError(
            f"block {known.number} was {to_hex(known.hash)}, now it is {to_hex(actual)}"
        )
    return newest


async def final_block_after(
    rpc: AsyncRpc, finality: Finality, known: BlockRef | None
) -> Block | None:
    """Return the newest final block, which stands on `known`; None when it is `known`, or there is none.

    Raises:
        ChainError: as `verify_descends`.
        RpcError: the node cannot be asked.
    """
    newest = await final_block(rpc, finality)
    if newest is None or known is None:
        return newest
    await verify_descends(rpc, known, newest)
    return newest if newest.number > known.number else None


class Follower:
    """Follows a chain's final blocks for any number of waiters, with one question at a time.

    An unreachable node is asked again until it answers; `problem` says so meanwhile. A chain that is
    not the one it was stops the following: `after` raises until `restart`.
    """

    def __init__(
        self,
        rpc: AsyncRpc,
        finality: Finality,
        *,
        genesis_hash: bytes,
        known: BlockRef | None = None,
    ) -> None:
        self.last: Block | None = None
        """The newest final block seen."""
        self.problem: LedgerError | None = None
        """Why nothing is followed just now."""
        self._rpc = rpc
        self._finality = finality
        self._genesis_hash = genesis_hash
        self._known = known
        self._checked = False
        self._changed = asyncio.Event()
        self._hurried = asyncio.Event()
        self._hurried_at = 0.0
        self._seen_at = 0.0
        self._interval = _MIN_POLL
        """Seconds between blocks, as observed when one was waited for: idle chains make fewer."""

    @property
    def rpc(self) -> AsyncRpc:
        return self._rpc

    async def run(self) -> None:
        """Follow until cancelled, or until the chain is not the one it was."""
        while not isinstance(self.problem, ChainError):
            try:
                await self.step()
            except RpcError as error:
                self._checked = False
                self.problem = error
                self._wake()
                await asyncio.sleep(_RETRY)
            except ChainError as error:
                self.problem = error
                self._wake()
            else:
                await self._pause()

    def hurry(self, *, wanted: bool) -> None:
        """Say whether somebody waits for the next block; else it is noticed a little later."""
        if wanted and not self._hurried.is_set():
            self._hurried_at = time.monotonic()
            self._hurried.set()
        elif not wanted:
            self._hurried.clear()

    async def step(self) -> None:
        """Ask once for a new final block.

        Raises:
            ChainError: the chain is not the one it was.
            RpcError: the node cannot be asked.
        """
        if not self._checked:
            # It may be another node that answers now, or the same one on another chain.
            await self._check_genesis()
            self._checked = True
        newest = await final_block(self._rpc, self._finality)
        if newest is None or self._is_last(newest):
            self.problem = None
            return
        if self._known is not None:
            await verify_descends(self._rpc, self._known, newest)
        self._note(newest)

    async def after(self, number: int) -> Block:
        """Wait for a final block newer than `number`, and return the newest.

        Raises:
            ChainError: the chain is not the one it was.
        """
        while True:
            if isinstance(self.problem, ChainError):
                raise self.problem
            if self.last is not None and self.last.number > number:
                return self.last
            await self._changed.wait()

    def restart(self, known: BlockRef | None) -> None:
        """Forget what went wrong and stand on another block; `run` has to be called again."""
        self.problem = None
        self.last = None
        self._known = known
        self._checked = False

    async def _check_genesis(self) -> None:
        first = await self._rpc.send(eth_methods.block(0))
        actual = first.hash if first is not None else b""
        if actual != self._genesis_hash:
            raise ChainError(
                f"the node's chain began with {to_hex(actual)}, not {to_hex(self._genesis_hash)}"
            )

    def _is_last(self, newest: Block) -> bool:
        return self._known is not None and self.last is not None and newest.hash == self.last.hash

    def _note(self, newest: Block) -> None:
        now = time.monotonic()
        if self.last is not None and self._seen_at and self._hurried.is_set():
            waited = now - max(self._seen_at, self._hurried_at)
            observed = waited / max(newest.number - self.last.number, 1)
            self._interval += _WEIGHT * (min(observed, _LONGEST_POLL) - self._interval)
        self._seen_at = now
        self.last, self.problem = newest, None
        self._known = BlockRef(newest.number, newest.hash)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _pause(self) -> None:
        if not self._hurried.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(max(_IDLE_POLL, self._interval)):
                    await self._hurried.wait()
            return
        # Most of the interval passes before the next block can be there; then it is asked for often.
        expected = self._seen_at + _EARLY * self._interval - time.monotonic()
        await asyncio.sleep(max(expected, _MIN_POLL, _OFTEN * self._interval))
