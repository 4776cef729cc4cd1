"""The load generator: a consumer in a process of its own. `python -m scripts.bench.load < plan > report`.

Each worker signs a request, sends it, and waits until the answer is opened and every check of the SDK
is made against the consumer's own node; then it takes the next one. So as many requests are in flight
as there are workers. Answers that came together are opened together, as a consumer would.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import cycle
from typing import Final

import msgspec
import uvloop

from ledger.api import AccessResult, KeyedSubmission, SignedLink, Submissions
from ledger.api.access import decode_result, decode_results, encode_submissions
from ledger.chain.deployment import decode_deployment
from ledger.chain.http_client import HttpClient
from ledger.typed_data import AccessRequest, Authorization, struct_hash
from scripts.answer_keys import DrawnKeys
from scripts.bench.bench import BenchError
from scripts.bench.blocks import BlockClock
from scripts.bench.machine import cpu_of
from wallet.client.chain_cache import ChainCache
from wallet.client.party import ChainAccess, PartyKey
from wallet.client.transports import AsyncClient, Endpoints
from wallet.client.verification import Basis, Opened, learn_subjects, open_result

_LIFETIME: Final = 300
_TIMEOUT: Final = 120.0
_MOST: Final = 64 * 2**20
_IDLE: Final = 4.0
_OK: Final = 200


class Grant(msgspec.Struct, frozen=True):
    """An authorization, and the link from its person to the record."""

    authorization: Authorization
    link: SignedLink

    @property
    def basis(self) -> bytes:
        """Id of the authorization."""
        return struct_hash(self.authorization)


class Plan(msgspec.Struct, frozen=True):
    """Plan of a load.

    Attributes:
        gateway, node: where they are.
        deployment: the deployment file.
        key: the consumer's private key.
        grants: authorizations that are used in turn.
        fields: asked for.
        workers: requests in flight.
        size: accesses in one request; 1 sends them by themselves.
        warm_up, seconds: how long, before and while it counts.
        pids: processes whose cost is taken, by name.
    """

    gateway: str
    node: str
    deployment: bytes
    key: bytes
    grants: tuple[Grant, ...]
    fields: int
    workers: int
    size: int
    warm_up: float
    seconds: float
    pids: dict[str, int]


class Report(msgspec.Struct, frozen=True):
    """Result of a load.

    Attributes:
        accesses: opened and verified while it counted.
        seconds: for which it counted.
        latencies: seconds from signing a request to its opened payload, of each request.
        added: the part of them after the first block that the request could have been in.
        cpu: processor seconds of each process, the load generator's own as `client`.
        failures: kinds of failures, with how many there were of each.
    """

    accesses: int
    seconds: float
    latencies: tuple[float, ...]
    added: tuple[float, ...]
    cpu: dict[str, float]
    failures: dict[str, int]


class _Answer(msgspec.Struct):
    submission: KeyedSubmission
    basis: Basis
    result: AccessResult
    opened: "asyncio.Future[Opened]"


class Load:
    """One run of a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        deployment = decode_deployment(plan.deployment)
        self._ledger = ChainAccess(deployment, own_node=True)
        self._domain = deployment.domain_of(AccessRequest)
        self._key = PartyKey(plan.key)
        bases = [Basis(grant.authorization, grant.link) for grant in plan.grants]
        ids = [grant.basis for grant in plan.grants]
        self._bases = cycle(zip(ids, bases, strict=True))
        self._answer_keys = DrawnKeys(self._domain, self._key.address)
        self._gateway = HttpClient(
            plan.gateway, timeout=_TIMEOUT, connections=plan.workers, most=_MOST, idle=_IDLE
        )
        self._waiting: asyncio.Queue[_Answer] = asyncio.Queue()
        self._memory = ChainCache()
        self._clock = BlockClock(plan.node)
        self._done: list[tuple[float, float]] = []
        self._failures: dict[str, int] = {}
        self._counting = self._stopping = False
        self._accesses = 0

    async def run(self) -> Report:
        plan = self._plan
        endpoints = Endpoints(plan.gateway, node=plan.node)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._gateway.close)
            client = await stack.enter_async_context(AsyncClient(endpoints))
            await stack.enter_async_context(self._clock)
            opening = asyncio.create_task(self._open_all(client))
            workers = [asyncio.create_task(self._work()) for _ in range(plan.workers)]
            await asyncio.sleep(plan.warm_up)
            before, began = _cpu(plan.pids), time.perf_counter()
            self._counting = True
            await asyncio.sleep(plan.seconds)
            self._counting = False
            seconds, after = time.perf_counter() - began, _cpu(plan.pids)
            self._stopping = True
            await asyncio.gather(*workers)
            opening.cancel()
        cpu = {name: after[name] - before[name] for name in after}
        return Report(
            accesses=self._accesses,
            seconds=seconds,
            latencies=tuple(done - began for began, done in self._done),
            added=tuple(self._clock.after_block(began, done) for began, done in self._done),
            cpu=cpu,
            failures=self._failures,
        )

    async def _work(self) -> None:
        while not self._stopping:
            began = time.perf_counter()
            try:
                await self._access()
            except Exception as error:  # noqa: BLE001 - counted, and shown by name
                name = f"{type(error).__name__}: {error}"
                self._failures[name] = self._failures.get(name, 0) + 1
            else:
                if self._counting:
                    self._done.append((began, time.perf_counter()))

    async def _access(self) -> None:
        single = self._plan.size == 1
        prepared = [self._sign() for _ in range(self._plan.size)]
        submissions = tuple(submission for submission, _ in prepared)
        body = encode_submissions(Submissions(submissions, single))
        response = await self._gateway.ask("POST", "/v1/accesses", body)
        if response.status != _OK:
            raise BenchError(f"status {response.status}: {response.body[:200]!r}")
        body = response.body
        results = (decode_result(body),) if single else decode_results(body)
        await asyncio.gather(
            *(
                self._opened(submission, basis, result)
                for (submission, basis), result in zip(prepared, results, strict=True)
            )
        )

    def _sign(self) -> tuple[KeyedSubmission, Basis]:
        id_, basis = next(self._bases)
        submission = self._answer_keys.submission(
            self._plan.key,
            id_,
            fields=self._plan.fields,
            deadline=int(time.time()) + _LIFETIME,
        )
        return submission, basis

    def _opened(
        self, submission: KeyedSubmission, basis: Basis, result: AccessResult
    ) -> "asyncio.Future[Opened]":
        opened: asyncio.Future[Opened] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait(_Answer(submission, basis, result, opened))
        return opened

    async def _open_all(self, client: AsyncClient) -> None:
        """Open what has come: the node is asked once for what answers share."""
        while True:
            answers = [await self._waiting.get()]
            while not self._waiting.empty():
                answers.append(self._waiting.get_nowait())
            pairs = [(answer.result, answer.basis) for answer in answers]
            await client.run(learn_subjects(self._ledger, self._memory, pairs))
            for answer in answers:
                try:
                    answer.opened.set_result(await client.run(self._checked(answer)))
                    self._accesses += self._counting
                except Exception as error:  # noqa: BLE001 - the worker counts it
                    answer.opened.set_exception(error)

    async def _checked(self, answer: _Answer) -> Opened:
        opened = await open_result(
            self._ledger,
            self._answer_keys.opening(answer.submission.request.nonce),
            answer.submission,
            answer.result,
            answer.basis,
            self._memory,
        )
        if opened.unchecked or not opened.records:
            raise BenchError("something was left unchecked, or nothing released")
        return opened


def _cpu(pids: dict[str, int]) -> dict[str, float]:
    own = time.process_time()
    return cpu_of(pids) | {"client": own}


def main(arguments: Sequence[str]) -> int:
    """Read a plan, carry it out, write the report."""
    del arguments
    plan = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Plan)
    report = uvloop.run(Load(plan).run())
    sys.stdout.buffer.write(msgspec.msgpack.encode(report))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
