"""Accounts that are contracts: what counts as their signature only their code can tell (ERC-1271)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Final

from gateway.errors import ThrottledError, UnauthenticatedError, UnavailableError
from ledger.chain import eth_methods
from ledger.chain.rpc import AsyncRpc, CallError, RpcError
from ledger.fair_queue import FairQueue
from ledger.service.rate_limit import STRANGERS, RateLimit

_SELECTOR: Final = bytes.fromhex("1626ba7e")
"""Of `isValidSignature(bytes32,bytes)`; the answer that means yes, too."""
_WORD: Final = 32
_MAX_SIGNATURE: Final = 4096
_GAS: Final = 1_000_000
"""For one question. Much more than a wallet needs; a contract made to be slow gets no more."""
_AT_ONCE: Final = 8
"""Questions under way about accounts of whom something is known: a wrong signature costs its sender nothing, and
the node a call."""
_STRANGERS_AT_ONCE: Final = 2
_STRANGERS_RATE: Final = 20.0
"""Questions per second about all other accounts together. Their code may be made to be slow."""
_STRANGERS_BURST: Final = 40
_MAX_WAITING: Final = 100
"""Questions that wait about one account, and about all strangers."""


class ContractAccounts:
    """Asks accounts that are contracts, by a node, as of its newest block.

    Anybody may name any account. So strangers have a line of their own, which keeps nobody who is known waiting,
    and in the other one accounts take turns: who sends in a contract's name makes that contract wait, no other.
    """

    def __init__(self, rpc: AsyncRpc, bucket_of: Callable[[bytes], Awaitable[Hashable]]) -> None:
        self._rpc = rpc
        self._bucket_of = bucket_of
        self._known = _Line(_AT_ONCE)
        self._strangers = _Line(_STRANGERS_AT_ONCE)
        self._strangers_rate = RateLimit(_STRANGERS_RATE, _STRANGERS_BURST)

    async def verify(self, account: bytes, digest: bytes, signature: bytes) -> None:
        """Return if the account accepts a signature over a digest.

        Raises:
            UnauthenticatedError: It does not, or is no contract.
            ThrottledError: Too much is asked about it, or about accounts of whom nothing is known.
            UnavailableError: The chain cannot be asked now.
        """
        refused = UnauthenticatedError(
            "neither the account's key nor, as a contract, it itself signed"
        )
        if len(signature) > _MAX_SIGNATURE:
            raise refused
        question = eth_methods.call(account, _question(digest, signature), gas=_GAS)
        bucket = await self._bucket_of(account)
        line = self._known
        if bucket == STRANGERS:
            self._strangers_rate.take(STRANGERS)
            line = self._strangers
        try:
            async with line.turn(bucket):
                answer = await self._rpc.send(question)
        except CallError as error:
            raise refused from error  # its code failed
        except RpcError as error:
            raise UnavailableError(str(error), "chain-unavailable") from error
        # An account without code answers with nothing.
        if answer != _SELECTOR + bytes(_WORD - len(_SELECTOR)):
            raise refused


class _Line:
    """So many at once; the others wait in turns, a bounded number of each owner's."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: FairQueue[asyncio.Future[None]] = FairQueue()

    @asynccontextmanager
    async def turn(self, owner: Hashable) -> AsyncIterator[None]:
        """Wait for an owner's turn.

        Raises:
            ThrottledError: So many of the owner's wait already.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(owner)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, owner: Hashable) -> None:
        if self._waiting.waiting_of(owner) >= _MAX_WAITING:
            raise ThrottledError(1, "too much is asked about such accounts")
        turn = asyncio.get_running_loop().create_future()
        self._waiting.put(owner, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it came in the moment in which nobody waited any more
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while next_turn := self._waiting.take(1):
            if not next_turn[0].done():
                next_turn[0].set_result(None)
                return
        self._free += 1


def _question(digest: bytes, signature: bytes) -> bytes:
    padded = signature + bytes(-len(signature) % _WORD)
    words = (2 * _WORD).to_bytes(_WORD, "big") + len(signature).to_bytes(_WORD, "big")
    return _SELECTOR + digest + words + padded
