"""A trail that grows: replay from a node and from a file, the index, and the pages made of it.

One chain, with prepared batches; at each size everything is measured from zero. So the curve says
what a rate does when there is ten times as much.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx
import msgspec

from ledger.chain import eth_methods
from ledger.chain.deployment import encode_deployment
from scripts.bench.bare_chain import BareChain, bare_chain
from scripts.bench.baselines import prepared_batches, web3_logs
from scripts.bench.bench import Bench, BenchError, percentile, run_module, wait_until
from scripts.bench.machine import peak_memory, wait_until_calm
from scripts.bench.replaying import Replayed, ReplayPlan
from scripts.bench.results import Line, Part, Point, Sense
from scripts.processes import GatewayProcess
from wallet.client.calls import HttpCall
from wallet.client.party import PartyKey
from wallet.client.relays import my_history
from wallet.client.supervision import trace
from wallet.client.transports import Client, Endpoints

SUBJECT: Final = "trail"
PEOPLE: Final = 1000
BLOCK_TIME: Final = 0.05
BATCH: Final = 500
QUICK: Final = (10_000, 100_000)
FULL: Final = (10_000, 100_000, 1_000_000)
HUGE: Final = 10_000_000
"""For the index alone: 13 GB of node, and a quarter of an hour."""
_WEB3: Final = 5_000
"""Accesses that web3 decodes; it takes as long for each of the next ones."""
_PAGES: Final = 1000
_CALM: Final = 300.0
"""Seconds at most until a new gateway has also looked through what it indexed."""
_INDEX_TIMEOUT: Final = 1800.0
_REPLAY_TIMEOUT: Final = 1800.0
_MS: Final = 1000.0
_GOAL_NODE: Final = 1_000_000 / 60
_GOAL_EXPORT: Final = 1_000_000 / 20


def run(bench: Bench) -> None:
    """Measure at each size."""
    sizes = FULL if bench.full else QUICK
    with bench.directory(SUBJECT) as home, bare_chain(home, PEOPLE, BLOCK_TIME, bench.say) as chain:
        there, memory = 0, []
        for size in sizes:
            top = _extend(bench, chain, size - there)
            there = size
            replayed = _replay(bench, chain, size, home)
            memory.append(Part(f"replay of {size:,} accesses", replayed.memory))
            _index(bench, chain, size, home, top, last=size == sizes[-1])
            if size == sizes[-1]:
                _replay_lines(bench, chain, size, replayed)
        bench.explain(SUBJECT, "peak memory of a replay", "MiB", memory)
        if bench.huge:
            top = _extend(bench, chain, HUGE - there)
            _index(bench, chain, HUGE, home, top, last=True)


def _extend(bench: Bench, chain: BareChain, accesses: int) -> float:
    """Record more accesses; return the rate at which the bare chain took them."""
    seconds, step = 0.0, 50_000
    for start in range(0, accesses, step):
        count = min(step, accesses - start)
        seconds += prepared_batches.record(chain, count, BATCH).seconds
    rate = accesses / seconds
    bench.say(f"{accesses:,} more accesses on the chain, {rate:,.0f}/s")
    return rate


# Replay


def _replay(bench: Bench, chain: BareChain, size: int, home: Path) -> Replayed:
    """Replay from the node, export, replay the export, in a process of its own."""
    plan = ReplayPlan(
        chain.node.url, encode_deployment(chain.deployment), str(home / f"trail-{size}.jsonl")
    )
    printed = run_module(
        "scripts.bench.replaying", msgspec.msgpack.encode(plan), timeout=_REPLAY_TIMEOUT
    )
    replayed = msgspec.msgpack.decode(printed, type=Replayed)
    if replayed.accesses != size:
        raise BenchError(f"the replay found {replayed.accesses} of {size} accesses")
    for name, seconds in (
        ("replay from a node", replayed.node),
        ("export from a node", replayed.export),
        ("replay from an export", replayed.trail),
    ):
        bench.say(f"{size:,}: {name}: {seconds:.2f} s")
        bench.points.append(Point(name, size, size / seconds))
    return replayed


def _replay_lines(bench: Bench, chain: BareChain, size: int, replayed: Replayed) -> None:
    decoded, seconds = web3_logs.decode(chain, min(_WEB3, size))
    for name, spent, bound in (
        ("from a node", replayed.node, _GOAL_NODE),
        ("from an export", replayed.trail, _GOAL_EXPORT),
    ):
        bench.add(
            Line(
                subject=SUBJECT,
                what=f"replay and verify {size:,} accesses {name}",
                ours=size / spent,
                unit="accesses/s",
                peer="web3 decodes logs, checks nothing",
                theirs=decoded / seconds,
                bound=bound,
                ratio_bound=50,
                remark=f"{spent:.1f} s, peak memory {replayed.memory:.0f} MiB; every decision is "
                f"made again. web3 was stopped after {decoded:,}.",
            )
        )


# The index


def _index(
    bench: Bench, chain: BareChain, size: int, home: Path, top: float, *, last: bool
) -> None:
    """Let a new gateway index everything; then ask it for pages."""
    gateway = GatewayProcess(chain, home / f"gateway-{size}", chain.parties.recorder)
    with ExitStack() as stack:
        gateway.process.start()
        stack.callback(gateway.stop)
        rate = _catch_up(chain, gateway, size)
        bench.say(f"{size:,}: index catching up: {rate:,.0f} accesses/s")
        bench.points.append(Point("index catching up", size, rate))
        wait_until_calm(gateway.pid, _CALM)
        history = _pages(
            gateway, chain, [(person.subject.private_key, my_history()) for person in chain.people]
        )
        traced = _pages(
            gateway,
            chain,
            [
                (
                    chain.parties.regulator.private_key,
                    trace(subject=person.subject.id).asked_by(None),
                )
                for person in chain.people
            ],
        )
        memory = peak_memory(gateway.pid)
    for name, latencies in (("history pages", history), ("trace pages", traced)):
        bench.points.append(Point(name, size, len(latencies) / sum(latencies)))
    if last:
        _index_lines(bench, size, rate, top, memory, history, traced)


def _index_lines(
    bench: Bench,
    size: int,
    rate: float,
    top: float,
    memory: float,
    history: Sequence[float],
    traced: Sequence[float],
) -> None:
    single = [line for line in bench.lines if line.what.startswith("accesses in batches")]
    recorder = max((line.ours for line in single), default=None)
    bench.add(
        Line(
            subject=SUBJECT,
            what=f"index catching up, {size:,} accesses",
            ours=rate,
            unit="accesses/s",
            peer="the recorder's top rate" if recorder else "(e) the bare chain's top rate",
            theirs=recorder or top,
            ratio_bound=1,
            remark=f"from the gateway's start with an empty database; peak memory {memory:.0f} MiB.",
        )
    )
    for name, latencies in (("citizen's history page", history), ("regulator's trace", traced)):
        bench.add(
            Line(
                subject=SUBJECT,
                what=f"{name} with {size:,} accesses indexed, p99",
                ours=_MS * percentile(latencies, 0.99),
                unit="ms",
                sense=Sense.LESS,
                bound=20,
                peer="the same, p50",
                theirs=_MS * percentile(latencies, 0.5),
                remark=f"once supervision has looked through what was indexed: {len(latencies)} "
                "signed requests over HTTP, one after the other, each for "
                "another person; the client's part is in it.",
            )
        )


def _catch_up(chain: BareChain, gateway: GatewayProcess, size: int) -> float:
    """Wait until everything is indexed; return the rate from when the index began to move."""
    newest = chain.rpc.send(eth_methods.block_number())
    first: list[tuple[float, int]] = []

    def indexed() -> bool:
        try:
            stats = httpx.get(f"{gateway.url}/v1/stats", timeout=30, trust_env=False).json()
        except httpx.TransportError:
            return False
        if not first:
            first.append((time.perf_counter(), stats["accesses"]))
        return bool(stats["block_number"] >= newest)

    began = time.perf_counter()
    wait_until(indexed, _INDEX_TIMEOUT, "indexing")
    done = time.perf_counter()
    at, already = first[0]
    # A short trail is indexed before the first answer: then the start counts too.
    return size / (done - began) if already > size / 2 else (size - already) / (done - at)


def _pages(
    gateway: GatewayProcess, chain: BareChain, asked: Sequence[tuple[bytes, HttpCall[object]]]
) -> list[float]:
    """Ask for pages, each signed by who may see it; return the seconds of each."""
    latencies = []
    with Client(Endpoints(gateway.url), chain_id=chain.deployment.chain_id) as client:
        for key, call in asked[:_PAGES]:
            signed = call.asked_by(PartyKey(key))
            began = time.perf_counter()
            client.run(signed)
            latencies.append(time.perf_counter() - began)
    return latencies
