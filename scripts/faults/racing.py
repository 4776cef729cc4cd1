"""The second control's server: (c) of the benchmark, check by `eth_call` and serve, in the gateway's place."""

import asyncio
import time
from typing import Final

from ledger.api import RecordedAccess, Submission, encode_proof
from ledger.api.access import decode_submissions, encode_release, encode_result, encode_results
from ledger.chain import eth_methods
from ledger.chain.rpc import AsyncRpc
from ledger.crypto.merkle import RangeProof, TreeHead
from ledger.model import Outcome
from ledger.typed_data import AccessRequest, digest_of, struct_hash
from scripts.bench.baselines.check_then_serve import CheckThenServe
from scripts.bench.bench import BenchError
from scripts.faults.planning import FaultRunError
from scripts.faults.proxy import Proxy, Upstream
from scripts.faults.stage import Stage
from scripts.faults.town import SECOND_RECORDER

_PATH: Final = b"POST /v1/accesses "
_ZERO: Final = bytes(32)
_TIMEOUT: Final = 30.0


class Racing(Proxy):
    """Answers accesses by itself, and hands everything else on to the gateway.

    What it hands out is empty, as no keyholder releases for a view. What it says of the record is made up:
    there is none yet. Otherwise its answers have the gateway's form.

    Args:
        stage: with the gateway, and with a second recorder's account that is not in use.
    """

    def __init__(self, stage: Stage) -> None:
        super().__init__([stage.gateway.port], b"")
        town = stage.town
        self._domain = town.chain.deployment.domain_of(AccessRequest)
        self._release = _empty_release(town.terms.dataset)
        account = SECOND_RECORDER.address
        nonce = town.chain.rpc.send(eth_methods.transaction_count(account, "pending"))
        self._rpc = AsyncRpc(stage.node.url)
        self._checking = CheckThenServe(town.chain, SECOND_RECORDER, self._rpc, nonce)
        self._served = 0
        self._recording: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Listen, and record what was served, later."""
        super().start()
        self.run(self._begin())

    def finish(self) -> None:
        """Return when everything that was served is recorded.

        Raises:
            FaultRunError: it takes too long.
        """
        until = time.monotonic() + _TIMEOUT
        while self._checking.sent < self._served:
            if time.monotonic() > until:
                raise FaultRunError(f"{self._checking.sent} of {self._served} accesses are sent")
            time.sleep(0.05)
        time.sleep(1)

    def stop(self) -> None:
        """Close everything."""
        self.run(self._end())
        super().stop()

    async def answer(self, request: bytes, upstream: Upstream) -> bytes | None:
        """See `Proxy`."""
        if not request.startswith(_PATH):
            return await upstream.ask(request)
        submitted = decode_submissions(request.partition(b"\r\n\r\n")[2])
        results = [await self._serve_one(submission) for submission in submitted.submissions]
        body = results[0] if submitted.single else encode_results(results)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
        return b"%s%d\r\n\r\n%s" % (head, len(body), body)

    async def _serve_one(self, submission: Submission) -> bytes:
        request = submission.request
        access = struct_hash(request)
        try:
            await self._checking.serve(request)
        except BenchError:
            outcome, release = Outcome.REVOKED, None
        else:
            outcome, release = Outcome.ALLOWED, self._release
            self._served += 1
        said = RecordedAccess(access, 0, outcome, 0, _ZERO, 0, _ZERO, 0)
        return encode_result((request, digest_of(access, self._domain), said), release)

    async def _begin(self) -> None:
        self._recording = asyncio.get_running_loop().create_task(self._checking.record())

    async def _end(self) -> None:
        if self._recording is not None:
            self._recording.cancel()
        await self._rpc.close()


def _empty_release(dataset: bytes) -> bytes:
    proof = encode_proof(RangeProof(0, 0, 0, ()))
    return encode_release(dataset, 1, TreeHead(0, _ZERO), records=b"[]", proof=proof, keys=())
