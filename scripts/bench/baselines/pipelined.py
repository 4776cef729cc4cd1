"""(b) One transaction per access, pipelined by raw JSON-RPC: a recorder with group commit off.

Nonces are counted here, transactions sent without waiting for the ones before, and each block is
asked once for all receipts in it. As many accesses are in flight as with us. Nothing is encrypted,
journaled, released or verified by the consumer: that is left out in its favour.
"""

import asyncio
import time
from typing import Final

from ledger.chain import eth_methods
from ledger.chain.rpc import AsyncRpc
from ledger.typed_data import AccessRequest
from scripts.bench.bare_chain import BareChain, record_all
from scripts.bench.baselines.served import Served
from scripts.bench.bench import BenchError

_POLL: Final = 0.004


class Pipeline:
    """Sends transactions of one account, and tells who waits when a block has one."""

    def __init__(self, chain: BareChain, rpc: AsyncRpc, nonce: int, block: int) -> None:
        self._chain = chain
        self._rpc = rpc
        self._nonce = nonce
        self._block = block
        self._waiting: dict[bytes, asyncio.Future[bool]] = {}

    async def serve(self, request: AccessRequest) -> float:
        """Record one access; return the seconds that it took."""
        began = time.perf_counter()
        transaction = record_all(self._chain, self._chain.parties.recorder, [request], self._nonce)
        self._nonce += 1
        mined: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[transaction.hash] = mined
        await self._rpc.send(eth_methods.send_raw_transaction(transaction.raw))
        if not await mined:
            raise BenchError("an access failed")
        return time.perf_counter() - began

    async def follow(self) -> None:
        """Take in the receipts of each new block."""
        while True:
            newest = await self._rpc.send(eth_methods.block_number())
            if newest == self._block:
                await asyncio.sleep(_POLL)
            while self._block < newest:
                receipts = await self._rpc.send(eth_methods.block_receipts(self._block + 1))
                if receipts is None:
                    break
                self._block += 1
                for receipt in receipts:
                    waiter = self._waiting.pop(receipt.transaction_hash, None)
                    if waiter is not None:
                        waiter.set_result(receipt.succeeded)


async def _run(chain: BareChain, accesses: int, in_flight: int) -> Served:
    requests = iter(chain.requests(accesses))
    latencies: list[float] = []
    async with AsyncRpc(chain.node.url) as rpc:
        account = chain.parties.recorder.address
        nonce = await rpc.send(eth_methods.transaction_count(account, "pending"))
        pipeline = Pipeline(chain, rpc, nonce, await rpc.send(eth_methods.block_number()))
        following = asyncio.create_task(pipeline.follow())

        async def work() -> None:
            latencies.extend([await pipeline.serve(request) for request in requests])

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(in_flight)))
        seconds = time.perf_counter() - began
        following.cancel()
    return Served(accesses, seconds, latencies, accesses)


def run(chain: BareChain, accesses: int, in_flight: int) -> Served:
    """Serve so many accesses, so many at once."""
    return asyncio.run(_run(chain, accesses, in_flight))
