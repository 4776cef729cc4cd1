"""(c) Check by `eth_call`, serve at once, record afterwards as best one can: Vana's kind.

An access is served as soon as a view says that the authorization stands. Records follow in batches;
between check and record anything may change, and what waits when the process ends is lost. That is
the price of not waiting for a block, and the line says how many were not on record when served.
"""

import asyncio
import time
from typing import Final

from ledger.chain import contract_reads, eth_methods
from ledger.chain.rpc import AsyncRpc
from ledger.typed_data import AccessRequest
from scripts.bench.bare_chain import BareChain, record_all
from scripts.bench.baselines.served import Served
from scripts.bench.bench import BenchError
from scripts.scenario import Chain, Party

_BATCH: Final = 100
_PACE: Final = 0.02


class CheckThenServe:
    """A server that checks first and records later."""

    def __init__(self, chain: Chain, recorder: Party, rpc: AsyncRpc, nonce: int) -> None:
        self._chain = chain
        self._recorder = recorder
        self._rpc = rpc
        self._nonce = nonce
        self._to_record: list[AccessRequest] = []
        self.sent = 0

    async def serve(self, request: AccessRequest) -> float:
        """Serve one access; return the seconds that it took."""
        began = time.perf_counter()
        grant = await self._rpc.send(
            contract_reads.grant_of(self._chain.deployment.contracts, request.basis)
        )
        over = grant.revoked or grant.halted or grant.expires_at <= time.time()
        if over or not grant.uses_left:
            raise BenchError("an authorization does not stand")
        self._to_record.append(request)
        return time.perf_counter() - began

    async def record(self) -> None:
        """Send what waits, again and again; nobody waits for it."""
        while True:
            await asyncio.sleep(_PACE)
            while self._to_record:
                some, self._to_record = self._to_record[:_BATCH], self._to_record[_BATCH:]
                transaction = record_all(self._chain, self._recorder, some, self._nonce)
                self._nonce += 1
                await self._rpc.send(eth_methods.send_raw_transaction(transaction.raw))
                self.sent += len(some)


async def _run(chain: BareChain, accesses: int, in_flight: int) -> Served:
    requests = iter(chain.requests(accesses))
    latencies: list[float] = []
    async with AsyncRpc(chain.node.url) as rpc:
        account = chain.parties.recorder.address
        state = contract_reads.log_state(chain.deployment.contracts)
        before = (await rpc.send(state)).sequence
        nonce = await rpc.send(eth_methods.transaction_count(account, "pending"))
        server = CheckThenServe(chain, chain.parties.recorder, rpc, nonce)
        recording = asyncio.create_task(server.record())

        async def work() -> None:
            latencies.extend([await server.serve(request) for request in requests])

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(in_flight)))
        seconds = time.perf_counter() - began
        recorded = (await rpc.send(state)).sequence - before
        while server.sent < accesses:  # noqa: ASYNC110 - let the chain be in order for the next one
            await asyncio.sleep(_PACE)
        recording.cancel()
    return Served(accesses, seconds, latencies, recorded)


def run(chain: BareChain, accesses: int, in_flight: int) -> Served:
    """Serve so many accesses, so many at once."""
    return asyncio.run(_run(chain, accesses, in_flight))
