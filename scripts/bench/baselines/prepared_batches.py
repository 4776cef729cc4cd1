"""(e) The bare chain: prepared batches by raw JSON-RPC, with nothing else around them.

The requests are encoded and the transactions signed before the clock starts. Several are on their way
at once, as in the recorder. That a batch is mined shows in the account's nonce, which costs the node
next to nothing; that every access was recorded shows in the sequence at the end.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ledger.chain import contract_reads, eth_methods
from ledger.chain.rpc import AsyncRpc, Call
from ledger.chain.transactions import SignedTransaction
from scripts.bench.bare_chain import BareChain
from scripts.bench.bench import wait_until

IN_FLIGHT: Final = 8
_POLL: Final = 0.004
_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Batches:
    """Cost of sending batches.

    Attributes:
        accesses: how many were recorded.
        seconds: from the first sending until the last batch was mined.
        last: the last of them.
    """

    accesses: int
    seconds: float
    last: SignedTransaction

    @property
    def rate(self) -> float:
        """Accesses a second."""
        return self.accesses / self.seconds


def record(chain: BareChain, accesses: int, size: int, in_flight: int = IN_FLIGHT) -> Batches:
    """Record so many accesses in batches of a size.

    Raises:
        BenchError: not all of them were recorded.
    """
    prepared = list(chain.transactions(chain.requests(accesses), size))
    state = contract_reads.log_state(chain.deployment.contracts)
    wanted = chain.rpc.send(state).sequence + accesses
    began = time.perf_counter()
    asyncio.run(_send_all(chain.node.url, prepared, in_flight))
    # anvil counts a transaction a moment before its block can be asked.
    wait_until(lambda: chain.rpc.send(state).sequence >= wanted, _TIMEOUT, "prepared batches")
    return Batches(accesses, time.perf_counter() - began, prepared[-1])


async def _send_all(url: str, prepared: Sequence[SignedTransaction], in_flight: int) -> None:
    first = prepared[0].content.nonce
    mined = eth_methods.transaction_count(prepared[0].sender)
    async with AsyncRpc(url) as rpc:
        for place, transaction in enumerate(prepared):
            await _wait(rpc, mined, first + place - in_flight + 1)
            await rpc.send(eth_methods.send_raw_transaction(transaction.raw))
        await _wait(rpc, mined, first + len(prepared))


async def _wait(rpc: AsyncRpc, mined: Call[int], nonce: int) -> None:
    while await rpc.send(mined) < nonce:  # noqa: ASYNC110 - a node tells only when it is asked
        await asyncio.sleep(_POLL)
