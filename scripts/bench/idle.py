"""An idle gateway: how soon it is ready, what it holds, what it costs while nothing happens."""

import asyncio
import statistics
import time
from typing import Final

from scripts.bench.baselines.bare_server import bare_server
from scripts.bench.bench import Bench
from scripts.bench.city import PASSWORD, FullCity, full_city
from scripts.bench.knocking import knock
from scripts.bench.machine import cpu_seconds, resident_memory
from scripts.bench.results import Line, Sense
from scripts.city.write import NATURAL, Size
from wallet.passwords import Password
from wallet.supervisor.processes import Process
from wallet.supervisor.services import Services

SUBJECT: Final = "idle"
_BLOCK_TIME: Final = 0.1
_STARTS: Final = 3
_QUIET: Final = 5.0
_START_TIMEOUT: Final = 60.0
_STOP_TIMEOUT: Final = 30.0


def run(bench: Bench) -> None:
    """Measure: several starts of a gateway in a city, then a while of nothing."""
    with (
        bench.directory(SUBJECT) as home,
        full_city(bench, home / "city", Size(100, 10, 1, NATURAL), _BLOCK_TIME) as city,
    ):
        starts, memory, share = _starts(city)
    with bare_server() as server:
        asyncio.run(knock(server.url, 0.2))
        theirs = resident_memory(server.pid)
    bench.add(
        Line(
            subject=SUBJECT,
            what="gateway, from start to ready",
            ours=statistics.median(starts),
            unit="s",
            sense=Sense.LESS,
            bound=2,
            peer="(f) a server with one route",
            theirs=server.seconds,
            remark=f"median of {_STARTS}, from starting the process to 200 on /readyz.",
        )
    )
    bench.add(
        Line(
            subject=SUBJECT,
            what="idle gateway, memory",
            ours=memory,
            unit="MiB",
            sense=Sense.LESS,
            bound=150,
            peer="(f) a server with one route",
            theirs=theirs,
            remark=f"it uses {share:.1%} of a core while nothing happens.",
        )
    )


def _starts(city: FullCity) -> tuple[list[float], float, float]:
    """Start the gateway again and again; return seconds, memory in MiB, share of a core when idle."""
    city.stop_gateway()
    service = Services(city.supervisor.settings, city.supervisor.addresses).gateway()
    starts, memory, share = [], 0.0, 0.0
    for _ in range(_STARTS):
        process = Process(service, Password(PASSWORD))
        began = time.perf_counter()
        process.start()
        try:
            process.wait_until_ready(_START_TIMEOUT)
            starts.append(time.perf_counter() - began)
            pid = process.pid or 0
            before = cpu_seconds(pid)
            time.sleep(_QUIET)
            share = (cpu_seconds(pid) - before) / _QUIET
            memory = resident_memory(pid)
        finally:
            process.stop(_STOP_TIMEOUT)
    return starts, memory, share
