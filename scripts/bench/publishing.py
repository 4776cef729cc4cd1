"""Publishing a department's file: from the file until it is served, with the root on chain; then a delta."""

import os
from pathlib import Path
from typing import Final

import msgspec

from scripts.bench.baselines import primitives
from scripts.bench.bench import Bench, run_module
from scripts.bench.city import FullCity, full_city
from scripts.bench.department import PublishedFile
from scripts.bench.machine import forget_peak, peak_memory
from scripts.bench.results import Line, Part, Sense
from scripts.city.delta import Amounts
from scripts.city.write import Size
from scripts.demo.cast import REAL_ESTATE

SUBJECT: Final = "publishing"
QUICK: Final = 100_000
FULL: Final = 1_000_000
_RECORDS_OF_ONE: Final = 20
_BLOCK_TIME: Final = 0.1
_TIMEOUT: Final = 3600.0
_PRIMITIVES: Final = 2.0


def run(bench: Bench) -> None:
    """Measure a whole version, then one that changes 1 % of it."""
    records = FULL if bench.full else QUICK
    size = Size(records // _RECORDS_OF_ONE, 10, 1, records)
    with (
        bench.directory(SUBJECT) as home,
        full_city(bench, home / "city", size, _BLOCK_TIME) as city,
    ):
        files = city.world.files
        memory: dict[str, float] = {}
        whole = _publish(bench, city, files.path(REAL_ESTATE), memory)
        target = home / f"next{files.path(REAL_ESTATE).suffix}"
        percent = records // 100
        amounts = Amounts(percent * 8 // 10, percent // 10, percent // 10)
        files.write_next_version(REAL_ESTATE, target, amounts)
        delta = _publish(bench, city, target, memory)
    cores = len(os.sched_getaffinity(0))
    alone = primitives.records_per_second(_PRIMITIVES) * cores
    _lines(bench, whole, delta, memory, alone)


def _publish(bench: Bench, city: FullCity, file: Path, memory: dict[str, float]) -> PublishedFile:
    """Publish in a process of its own; note everybody's peak memory."""
    pids = {name: pid for name, pid in city.supervisor.pids.items() if name != "node"}
    for pid in pids.values():
        forget_peak(pid)
    plan = city.publishing_plan(file)
    printed = run_module("scripts.bench.department", msgspec.msgpack.encode(plan), timeout=_TIMEOUT)
    published = msgspec.msgpack.decode(printed, type=PublishedFile)
    stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in published.stages.items())
    bench.say(f"version {published.version}: {published.sent:,} sent in {published.seconds:.1f} s")
    bench.say(stages)
    found = {name: peak_memory(pid) for name, pid in pids.items()}
    found |= {"department": published.memory, "its largest child": published.child_memory}
    for name, most in found.items():
        memory[name] = max(memory.get(name, 0.0), most)
    return published


def _lines(
    bench: Bench,
    whole: PublishedFile,
    delta: PublishedFile,
    memory: dict[str, float],
    alone: float,
) -> None:
    bench.add(
        Line(
            subject=SUBJECT,
            what=f"publish {whole.records:,} records of 12 fields, from a file to served",
            ours=whole.records / whole.seconds,
            unit="records/s",
            peer="the primitives alone, all cores",
            theirs=alone,
            bound=4000,
            remark=f"{whole.seconds:.1f} s, three seeds, root on chain; every process on these cores.",
        )
    )
    bench.add(
        Line(
            subject=SUBJECT,
            what="the same, largest peak memory of a process",
            ours=max(memory.values()),
            unit="MiB",
            sense=Sense.LESS,
            peer="the department's process",
            theirs=memory["department"],
            bound=400,
            remark="of version and delta together; the breakdown has every process.",
        )
    )
    bench.add(
        Line(
            subject=SUBJECT,
            what=f"a delta of 1 % on {whole.records:,} records",
            ours=delta.seconds,
            unit="s",
            sense=Sense.LESS,
            peer="the whole version",
            theirs=whole.seconds,
            bound=10,
            remark=f"{delta.sent:,} lines travelled; the whole file is read and compared.",
        )
    )
    seconds = [Part(name, spent) for name, spent in whole.stages.items()]
    bench.explain(SUBJECT, f"publishing {whole.records:,} records", "s", seconds)
    seconds = [Part(name, spent) for name, spent in delta.stages.items()]
    bench.explain(SUBJECT, "publishing the delta", "s", seconds)
    parts = [Part(name, most) for name, most in memory.items()]
    bench.explain(SUBJECT, "peak memory while publishing", "MiB", parts)
