"""An idle gateway: how soon it is ready, what it holds, what it costs while nothing happens."""

import asyncio
import statistics
import time
from typing import Final

from scripts.bench.bare_chain import bare_chain
from scripts.bench.baselines.bare_server import bare_server
from scripts.bench.bench import Bench
from scripts.bench.gateway_process import GatewayProcess
from scripts.bench.http_client import knock
from scripts.bench.machine import cpu_seconds, resident_memory
from scripts.bench.results import Line, Sense

SUBJECT: Final = "idle"
_BLOCK_TIME: Final = 0.1
_STARTS: Final = 3
_QUIET: Final = 5.0


def run(bench: Bench) -> None:
    """Measure: several starts of the same gateway, then a while of nothing."""
    starts = []
    with (
        bench.directory(SUBJECT) as home,
        bare_chain(home, 10, _BLOCK_TIME, bench.say) as chain,
    ):
        gateway = GatewayProcess(chain, home / "gateway")
        for _ in range(_STARTS):
            began = time.perf_counter()
            gateway.start()
            try:
                gateway.wait_until_ready()
                starts.append(time.perf_counter() - began)
                if len(starts) == _STARTS:
                    before = cpu_seconds(gateway.pid)
                    time.sleep(_QUIET)
                    share = (cpu_seconds(gateway.pid) - before) / _QUIET
                    memory = resident_memory(gateway.pid)
            finally:
                gateway.stop()
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
            remark=f"median of {_STARTS}; the first one also makes the database.",
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
