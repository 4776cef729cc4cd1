"""Publishing a department's file: from the file until it is served, with the root on chain; then deltas."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from scripts.bench.baselines import primitives
from scripts.bench.bench import Bench, run_module
from scripts.bench.city import FullCity, full_city
from scripts.bench.department import PublishedFile, PublishingPlan
from scripts.bench.machine import cpu_of, forget_peak, peak_memory
from scripts.bench.results import Line, Part, Sense
from scripts.city.delta import Amounts
from scripts.city.files import read_rows, write_rows
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
    """Measure a whole version, one that changes 1 % by a file of the changes, and one by a whole file."""
    records = FULL if bench.full else QUICK
    size = Size(records // _RECORDS_OF_ONE, 10, 1, records)
    with (
        bench.directory(SUBJECT) as home,
        full_city(bench, home / "city", size, _BLOCK_TIME) as city,
    ):
        first = city.world.files.path(REAL_ESTATE)
        desk = _Desk(bench, city)
        whole = desk.publish(city.publishing_plan(first))
        changes, gone = _write_changes(city, home, records)
        plan = city.publishing_plan(changes)
        delta = desk.publish(msgspec.structs.replace(plan, changes=True, withdraw=str(gone)))
        # The first file again: what was changed is changed back.
        compared = desk.publish(city.publishing_plan(first))
    cores = len(os.sched_getaffinity(0))
    alone = primitives.records_per_second(_PRIMITIVES) * cores
    _lines(bench, whole, delta, compared, alone)
    _memory_line(bench, desk.memory)
    _explain(bench, {"version": whole, "delta": delta, "delta, whole file": compared})
    parts = [Part(name, most) for name, most in desk.memory.items()]
    bench.explain(SUBJECT, "peak memory while publishing", "MiB", parts)


class _Measured(msgspec.Struct, frozen=True):
    """One publication, and the processor seconds of each process meanwhile."""

    file: PublishedFile
    cpu: dict[str, float]

    @property
    def cpu_seconds(self) -> float:
        return sum(self.cpu.values())


class _Desk:
    """Publishes, each time in a process of its own; notes everybody's memory and processor time."""

    def __init__(self, bench: Bench, city: FullCity) -> None:
        self._bench = bench
        self._city = city
        self.memory: dict[str, float] = {}

    def publish(self, plan: PublishingPlan) -> _Measured:
        pids = self._city.supervisor.pids
        for pid in pids.values():
            forget_peak(pid)
        before = cpu_of(pids)
        encoded = msgspec.msgpack.encode(plan)
        printed = run_module("scripts.bench.department", encoded, timeout=_TIMEOUT)
        done = msgspec.msgpack.decode(printed, type=PublishedFile)
        cpu = {name: spent - before[name] for name, spent in cpu_of(pids).items()}
        cpu |= {"department": done.cpu, "department, encrypting": done.child_cpu}
        self._note_memory(pids, done)
        stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in done.stages.items())
        self._bench.say(f"version {done.version}: {done.sent:,} sent in {done.seconds:.1f} s")
        self._bench.say(f"{stages}; {sum(cpu.values()):.1f} s of processor time")
        return _Measured(done, cpu)

    def _note_memory(self, pids: Mapping[str, int], done: PublishedFile) -> None:
        peaks = {name: peak_memory(pid) for name, pid in pids.items() if name != "node"}
        peaks |= {"department": done.memory, "its largest child": done.child_memory}
        for name, most in peaks.items():
            self.memory[name] = max(self.memory.get(name, 0.0), most)


def _write_changes(city: FullCity, home: Path, records: int) -> tuple[Path, Path]:
    """Write a next version, and of it only the changes; return their file and the list of numbers."""
    files, dataset = city.world.files, city.world.files.dataset(REAL_ESTATE)
    suffix = files.path(REAL_ESTATE).suffix
    target, changes, gone = home / f"next{suffix}", home / f"changes{suffix}", home / "gone.txt"
    percent = records // 100
    amounts = Amounts(percent * 8 // 10, percent // 10, percent // 10)
    delta = files.write_next_version(REAL_ESTATE, target, amounts)
    changed = {one.number for one in (*delta.changed, *delta.new)}
    rows = (row for row in read_rows(target, dataset) if row.number in changed)
    write_rows(changes, dataset, rows)
    gone.write_text("".join(f"{one.number}\n" for one in delta.withdrawn), encoding="utf-8")
    return changes, gone


def _lines(
    bench: Bench, whole: _Measured, delta: _Measured, compared: _Measured, alone: float
) -> None:
    records = whole.file.records
    cores = len(os.sched_getaffinity(0))
    bench.add(
        Line(
            subject=SUBJECT,
            what=f"publish {records:,} records of 12 fields, from a file to served",
            ours=records / whole.file.seconds,
            unit="records/s",
            peer="the primitives alone, all cores",
            theirs=alone,
            bound=4000,
            remark=(
                f"{whole.file.seconds:.1f} s, three seeds, root on chain; every process on these "
                f"cores. {_cpu(whole)}: {cores * records / whole.cpu_seconds:,.0f} records/s if "
                "every core worked all the time; reading, sorting and noting in the book use one."
            ),
        )
    )
    bench.add(_delta_line(records, delta, whole, "a delta of 1 %, from a file of the changes", 10))
    bench.add(_delta_line(records, compared, whole, "a delta of 1 %, from the whole file", None))


def _memory_line(bench: Bench, memory: Mapping[str, float]) -> None:
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
            remark="of all three versions; the breakdown has every process.",
        )
    )


def _delta_line(
    records: int, delta: _Measured, whole: _Measured, what: str, bound: float | None
) -> Line:
    return Line(
        subject=SUBJECT,
        what=f"{what}, on {records:,} records",
        ours=delta.file.seconds,
        unit="s",
        sense=Sense.LESS,
        peer="the whole version",
        theirs=whole.file.seconds,
        bound=bound,
        remark=f"{delta.file.sent:,} lines travelled. {_cpu(delta)}.",
    )


def _cpu(measured: _Measured) -> str:
    """Say where most processor time went."""
    most = sorted(measured.cpu.items(), key=lambda one: -one[1])[:3]
    parts = ", ".join(f"{name} {spent:.1f}" for name, spent in most)
    return f"{measured.cpu_seconds:.1f} s of processor time ({parts})"


def _explain(bench: Bench, versions: Mapping[str, _Measured]) -> None:
    for name, one in versions.items():
        seconds = [Part(stage, spent) for stage, spent in one.file.stages.items()]
        bench.explain(SUBJECT, f"publishing, {name}", "s", seconds)
        cpu = [Part(process, spent) for process, spent in one.cpu.items()]
        bench.explain(SUBJECT, f"publishing, {name}: processor time", "s", cpu)
