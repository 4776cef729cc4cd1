"""Accesses through the whole system: one by one, alone, and in batches; and what peers do.

Ours is everything: the consumer signs, the gateway verifies, journals and records, the chain decides,
2 of 3 keyholders check and release, the consumer opens and checks against its own node. The peers
leave most of that out, in their favour.
"""

import asyncio
from typing import Final

from scripts.bench.bare_chain import bare_chain
from scripts.bench.baselines import (
    audit_table,
    awaited_web3,
    check_then_serve,
    pipelined,
    prepared_batches,
)
from scripts.bench.baselines.bare_server import bare_server
from scripts.bench.baselines.served import Served
from scripts.bench.bench import Bench, percentile
from scripts.bench.city import PEOPLE_FOR_ONE_GRANT, FullCity, full_city
from scripts.bench.knocking import knock
from scripts.bench.load import Report
from scripts.bench.machine import cpu_seconds, node_version
from scripts.bench.results import Line, Part, Sense
from scripts.city.write import NATURAL, Size

SUBJECT: Final = "accesses"
IN_FLIGHT: Final = 64
MORE_IN_FLIGHT: Final = 256
BLOCK_TIME: Final = 0.02
"""Seconds. With 64 in flight, blocks of 0.1 s alone would bound any system to 640 accesses a second."""
SLOW_BLOCK_TIME: Final = 0.1
BATCHES: Final = ((100, 4), (1000, 2))
"""Accesses in a request, requests in flight."""
_LONG: Final = 15.0
"""Seconds of a load in a full run: the embedded chain may stop for one of them to write its state."""
_LONE: Final = 20
_MS: Final = 1000.0


def run(bench: Bench) -> None:
    with bench.directory(SUBJECT) as home:
        people = 1000 if bench.full else 300
        inhabitants = Size(people * PEOPLE_FOR_ONE_GRANT, 20, 1, NATURAL)
        with full_city(bench, home / "city", inhabitants, BLOCK_TIME) as city:
            bench.node = node_version(city.supervisor.addresses.node)
            city.publish()
            city.grant(people)
            bench.say(f"{len(city.grants)} people granted")
            single = _load(bench, city, IN_FLIGHT, 1)
            more = _load(bench, city, MORE_IN_FLIGHT, 1)
            batches = {size: _load(bench, city, workers, size) for size, workers in BATCHES}
            city.restart(SLOW_BLOCK_TIME)
            lone = _load(bench, city, 1, 1)
        _costs(bench, single, "one by one, 64 in flight")
        for size, report in batches.items():
            _costs(bench, report, f"in batches of {size:,}")
        with bare_chain(home, people, BLOCK_TIME, bench.say) as chain:
            seconds = bench.seconds
            awaited = awaited_web3.run(chain, int(50 * seconds), IN_FLIGHT)
            piped = pipelined.run(chain, int(200 * seconds), IN_FLIGHT)
            checked = check_then_serve.run(chain, int(300 * seconds), IN_FLIGHT)
            prepared = {
                size: prepared_batches.record(chain, int(4000 * seconds) // size * size, size)
                for size, _ in BATCHES
            }
            audited = audit_table.run(home, chain.requests(int(1000 * seconds)), IN_FLIGHT)
        with bare_chain(home / "slow", 1, SLOW_BLOCK_TIME, bench.say) as chain:
            alone = awaited_web3.run(chain, _LONE, 1)
        _against_peers(bench, single, more, (awaited, piped, checked, audited))
        _gateway_share(bench, single)
        _latencies(bench, single, piped, lone, alone)
        for size, report in batches.items():
            _batch(bench, size, report, prepared[size].rate)


def _load(bench: Bench, city: FullCity, workers: int, size: int) -> Report:
    seconds = max(bench.seconds, _LONG) if bench.full else bench.seconds
    report = city.load(workers=workers, size=size, seconds=seconds)
    rate = report.accesses / report.seconds
    bench.say(f"{workers} requests of {size:,} in flight: {rate:,.0f} accesses/s")
    for failure, count in report.failures.items():
        bench.say(f"{count} times: {failure}")
    return report


def _rate(report: Report) -> float:
    return report.accesses / report.seconds


def _failed(report: Report) -> str:
    count = sum(report.failures.values())
    return f" {count} requests FAILED: {'; '.join(report.failures)}." if count else ""


def _costs(bench: Bench, report: Report, how: str) -> None:
    accesses = max(report.accesses, 1)
    parts = [Part(name, _MS * spent / accesses) for name, spent in report.cpu.items()]
    parts.append(Part("all", sum(part.value for part in parts)))
    title = f"processor time of an access, {how}"
    bench.explain(SUBJECT, title, "ms/access", parts)
    bench.say(", ".join(f"{part.name} {part.value:.2f} ms" for part in parts))


def _against_peers(
    bench: Bench, single: Report, more: Report, peers: tuple[Served, Served, Served, Served]
) -> None:
    awaited, piped, checked, audited = peers
    what = f"accesses one by one, {IN_FLIGHT} in flight, blocks of {BLOCK_TIME:g} s"

    def line(peer: str, theirs: float, remark: str, **goals: float) -> Line:
        return Line(
            subject=SUBJECT,
            what=what,
            ours=_rate(single),
            unit="accesses/s",
            peer=peer,
            theirs=theirs,
            remark=remark,
            **goals,  # type: ignore[arg-type]
        )

    everything = "verified, recorded, released by 2 of 3, opened and checked; all on these cores."
    bench.add(
        line(
            "(a) a transaction each, awaited, web3",
            awaited.rate,
            everything + _failed(single),
            bound=1000,
            ratio_bound=8,
        )
    )
    bench.add(
        line(
            "(b) a transaction each, pipelined",
            piped.rate,
            "the peer is the chain's part alone, without HTTP, journal, keys and checks.",
            ratio_bound=2,
        )
    )
    unrecorded = checked.accesses - checked.recorded
    bench.add(
        line(
            "(c) check, serve, record later",
            checked.rate,
            f"{unrecorded} of {checked.accesses} were served and not on record yet at the end.",
        )
    )
    bench.add(
        line(
            "(d) append-only PostgreSQL table",
            audited.rate,
            "the peer keeps no evidence that its owner could not change, and releases nothing.",
        )
    )
    bench.add(
        Line(
            subject=SUBJECT,
            what=f"the same, {MORE_IN_FLIGHT} in flight",
            ours=_rate(more),
            unit="accesses/s",
            peer=f"ours, {IN_FLIGHT} in flight",
            theirs=_rate(single),
            remark=_failed(more),
        )
    )


def _gateway_share(bench: Bench, single: Report) -> None:
    spent = max(single.cpu["gateway"], 1e-9)
    bench.add(
        Line(
            subject=SUBJECT,
            what="the gateway's own share: accesses for a second of processor time",
            ours=single.accesses / spent,
            unit="accesses/CPU-s",
            peer="(f) a route that does nothing",
            theirs=_bare_server_rate(bench.seconds),
            bound=3000,
            ratio_bound=0.3,
            remark="both counted alike: user and system time of the server's process.",
        )
    )


def _latencies(bench: Bench, single: Report, piped: Served, lone: Report, alone: Served) -> None:
    for part, bound in ((0.5, 15), (0.99, 60)):
        bench.add(
            Line(
                subject=SUBJECT,
                what=f"latency added over the wait for the block, p{part * 100:.0f}",
                ours=_MS * percentile(single.added, part),
                unit="ms",
                sense=Sense.LESS,
                bound=bound,
                peer="(b) whole latency",
                theirs=_MS * percentile(piped.latencies, part),
                remark="from the first block after the request was signed to the opened payload; "
                "if that block comes too early for the request, waiting for the next one counts.",
            )
        )
    bench.add(
        Line(
            subject=SUBJECT,
            what=f"a lone request, blocks of {SLOW_BLOCK_TIME:g} s, p50",
            ours=_MS * percentile(lone.latencies, 0.5),
            unit="ms",
            sense=Sense.LESS,
            bound=150,
            peer="(a) one at a time",
            theirs=_MS * percentile(alone.latencies, 0.5),
            remark="from signing the request to the opened and checked payload." + _failed(lone),
        )
    )


def _batch(bench: Bench, size: int, report: Report, prepared: float) -> None:
    bench.add(
        Line(
            subject=SUBJECT,
            what=f"accesses in batches of {size:,}",
            ours=_rate(report),
            unit="accesses/s",
            peer="(e) the bare chain, prepared batches",
            theirs=prepared,
            ratio_bound=0.8,
            remark="the peer's transactions were encoded and signed before the clock started."
            + _failed(report),
        )
    )


def _bare_server_rate(seconds: float) -> float:
    """Return how many requests it answers for a second of its processor time."""
    with bare_server() as server:
        asyncio.run(knock(server.url, 0.5))
        before = cpu_seconds(server.pid)
        answered = asyncio.run(knock(server.url, seconds / 2))
        return answered / (cpu_seconds(server.pid) - before)
