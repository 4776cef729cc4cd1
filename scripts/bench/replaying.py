"""A regulator's process: replays from a node, exports, replays the file. Peak memory is its own.

`python -m scripts.bench.replaying < plan > replayed`
"""

import os
import sys
import time
from itertools import pairwise
from pathlib import Path

import msgspec

from ledger.chain.deployment import decode_deployment
from ledger.chain.rpc import Rpc
from ledger.replay.report import ReplayReport
from ledger.replay.sources import export_trail, replay_node, replay_trail
from scripts.bench.bench import BenchError
from scripts.bench.machine import peak_memory


class ReplayPlan(msgspec.Struct, frozen=True):
    """Node and deployment to replay, and where the export may be written."""

    node: str
    deployment: bytes
    path: str


class Replayed(msgspec.Struct, frozen=True):
    """Seconds of each step, accesses found, peak memory in MiB."""

    accesses: int
    node: float
    export: float
    trail: float
    memory: float


def carry_out(plan: ReplayPlan) -> Replayed:
    """Replay twice, and export between.

    Raises:
        BenchError: a replay found something wrong.
    """
    deployment, path = decode_deployment(plan.deployment), Path(plan.path)
    times = [time.perf_counter()]
    with Rpc(plan.node) as rpc:
        replayed = _clean(replay_node(rpc, deployment))
        times.append(time.perf_counter())
        export_trail(rpc, deployment, path)
        times.append(time.perf_counter())
    again = _clean(replay_trail(path, deployment))
    times.append(time.perf_counter())
    path.unlink()
    if again.accesses != replayed.accesses:
        raise BenchError("node and export differ")
    node, export, trail = (after - before for before, after in pairwise(times))
    return Replayed(replayed.accesses, node, export, trail, peak_memory(os.getpid()))


def _clean(report: ReplayReport) -> ReplayReport:
    if not report.is_clean:
        raise BenchError(f"the replay found {report.findings[0]}")
    return report


if __name__ == "__main__":
    done = carry_out(msgspec.msgpack.decode(sys.stdin.buffer.read(), type=ReplayPlan))
    sys.stdout.buffer.write(msgspec.msgpack.encode(done))
