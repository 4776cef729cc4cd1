"""Results of a fault run, and their report."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from scripts.bench.bench import percentile
from scripts.bench.machine import Machine
from scripts.faults.campaign import Struck
from scripts.faults.controls import Control
from scripts.faults.counting import MUST_BE_ZERO, Counts

_NAMES: Final = {
    "requests": "requests of consumers",
    "attempts": "times that they were sent",
    "acts": "grants, revocations, freezes acknowledged",
    "released": "released",
    "recorded": "recorded on chain",
    "denied": "of these denied",
    "released_unrecorded": "released without record",
    "acknowledged_lost": "acknowledged and lost",
    "second_uses": "second use from a retry",
    "allowed_after_revocation": "allowed after revocation was final",
    "unanswered": "never answered",
    "unopened": "released and could not be opened",
    "misled": "told to give up what worked when sent again",
    "findings": "findings of the independent replay",
}


class FaultKind(msgspec.Struct, frozen=True):
    """One kind of fault: how often it struck, and seconds until an access was served again."""

    kind: str
    count: int
    median: float
    p99: float
    worst: float


class FaultResults(msgspec.Struct, frozen=True):
    """One run.

    Attributes:
        planned: faults that were to strike.
        kinds: those that struck, by kind.
        recovery: the same for all together.
        counts: of all campaigns together.
        controls: with a protection off.
        answers: what callers got instead of an answer, by kind, with how many there were.
        failures: faults that did not strike, or after which nothing was served.
    """

    machine: Machine
    began: str
    seconds: float
    seed: int
    planned: int
    kinds: tuple[FaultKind, ...]
    recovery: FaultKind
    counts: Counts
    controls: tuple[Control, ...]
    answers: dict[str, int]
    failures: tuple[str, ...]

    @property
    def problems(self) -> list[str]:
        """Why the run has failed; empty when all is well."""
        found = [
            f"{_NAMES[name]}: {number}" for name, number in self.counts.wrongs.items() if number
        ]
        if self.recovery.count < self.planned:
            found.append(f"{self.recovery.count} of {self.planned} faults struck")
        found += [
            f"the control shows nothing: {control.name}"
            for control in self.controls
            if not control.is_good
        ]
        return found


def summarize(struck: Iterable[Struck]) -> tuple[tuple[FaultKind, ...], FaultKind]:
    by_kind: dict[str, list[float]] = defaultdict(list)
    for one in struck:
        by_kind[one.kind].append(one.recovery)
    everything = [one for some in by_kind.values() for one in some]
    kinds = tuple(_kind(name, by_kind[name]) for name in sorted(by_kind))
    return kinds, _kind("all", everything)


def _kind(name: str, seconds: list[float]) -> FaultKind:
    if not seconds:
        return FaultKind(name, 0, 0.0, 0.0, 0.0)
    return FaultKind(
        name, len(seconds), percentile(seconds, 0.5), percentile(seconds, 0.99), max(seconds)
    )


def show(results: FaultResults, console: Console) -> None:
    """Print everything."""
    faults = Table("fault", "struck", "p50, s", "p99, s", "worst, s")
    faults.title = f"make faults, {results.began}, {results.seconds:,.0f} s, seed {results.seed}"
    for one in (*results.kinds, results.recovery):
        faults.add_row(*_fault_cells(one))
    console.print(faults)
    counted = Table("counted", "number", "must be")
    for row in _count_rows(results.counts):
        counted.add_row(*row)
    console.print(counted)
    controls = Table("control", "shows", "number", "")
    for row in _control_rows(results.controls):
        controls.add_row(*row)
    console.print(controls)
    for problem in (*results.failures, *results.problems):
        console.print(f"✗ {problem}", style="bold red", markup=False)
    console.print(results.machine.describe(), markup=False)


def markdown(results: FaultResults) -> str:
    """Return the part of `docs/faults.md` that a run writes."""
    text = [
        f"Run {results.began}, {results.seconds:,.0f} s, seed {results.seed}: "
        f"{results.recovery.count:,} of {results.planned:,} faults struck.",
        "",
        results.machine.describe(),
        "",
        *_rows("| counted | number | must be |", _count_rows(results.counts)),
        "",
        "Seconds from the fault to the answer of the first new request that was served:",
        "",
        *_rows(
            "| fault | struck | p50 | p99 | worst |",
            map(_fault_cells, (*results.kinds, results.recovery)),
        ),
        "",
        *_rows("| control | shows | number | |", _control_rows(results.controls)),
        "",
        "What callers got instead of an answer, and sent the same again:",
        "",
        *_rows("| instead of an answer | times |", _answer_rows(results.answers)),
    ]
    if results.failures or results.problems:
        text += ["", "What failed:", ""]
        text += [f"- {one}" for one in (*results.failures, *results.problems)]
    return "\n".join(text) + "\n"


def _rows(head: str, rows: Iterable[tuple[str, ...]]) -> list[str]:
    columns = head.count("|") - 1
    return [head, "|---" * columns + "|", *(f"| {' | '.join(row)} |" for row in rows)]


def _fault_cells(one: FaultKind) -> tuple[str, ...]:
    return (one.kind, f"{one.count:,}", *(f"{s:.2f}" for s in (one.median, one.p99, one.worst)))


def _count_rows(counts: Counts) -> list[tuple[str, ...]]:
    return [
        (_NAMES[name], f"{getattr(counts, name):,}", "0" if name in MUST_BE_ZERO else "")
        for name in counts.__struct_fields__
    ]


def _control_rows(controls: Iterable[Control]) -> list[tuple[str, ...]]:
    return [
        (
            control.name,
            _NAMES[name],
            f"{getattr(control.counts, name):,}",
            "" if control.is_good else "NOTHING",
        )
        for control in controls
        for name in control.shows
    ]


def _answer_rows(answers: dict[str, int]) -> list[tuple[str, ...]]:
    ordered = sorted(answers.items(), key=lambda item: -item[1])
    return [(kind, f"{times:,}") for kind, times in ordered]
