"""Measurements: lines with two sides, notes, and how they are shown."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from scripts.bench.machine import Machine


class Sense(StrEnum):
    """Which of two figures is better."""

    MORE = "more"
    LESS = "less"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of ours beside one of a peer's.

    Attributes:
        subject: module that measured it.
        what: what was measured, in one phrase.
        ours: our figure.
        unit: of both figures.
        sense: whether more or less of it is better.
        peer: what the other side is.
        theirs: its figure; None where nothing comparable exists.
        bound: goal for our figure; None when there is none.
        ratio_bound: goal for how many times better than the peer; None when there is none.
        remark: what one must know to read the line.
    """

    subject: str
    what: str
    ours: float
    unit: str
    sense: Sense = Sense.MORE
    peer: str = ""
    theirs: float | None = None
    bound: float | None = None
    ratio_bound: float | None = None
    remark: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times better ours is."""
        if not self.theirs or not self.ours:
            return None
        return self.ours / self.theirs if self.sense is Sense.MORE else self.theirs / self.ours

    @property
    def met(self) -> bool | None:
        """Whether the goals are reached; None without any."""
        goals = []
        if self.bound is not None:
            more = self.sense is Sense.MORE
            goals.append(self.ours >= self.bound if more else self.ours <= self.bound)
        if self.ratio_bound is not None:
            goals.append((self.ratio or 0.0) >= self.ratio_bound)
        return all(goals) if goals else None

    @property
    def goal(self) -> str:
        sign = "≥" if self.sense is Sense.MORE else "≤"
        parts = [] if self.bound is None else [f"{sign} {number(self.bound)} {self.unit}"]
        if self.ratio_bound is not None:
            parts.append(f"≥ {number(self.ratio_bound)} x the peer")
        return ", ".join(parts)


class Part(msgspec.Struct, frozen=True):
    """A share of some cost: what a process, a step or a kind of work took."""

    name: str
    value: float


class Breakdown(msgspec.Struct, frozen=True):
    """Where a cost comes from."""

    subject: str
    title: str
    unit: str
    parts: tuple[Part, ...]


class Point(msgspec.Struct, frozen=True):
    """One point of a curve."""

    curve: str
    """Name of the curve, as `replay from a node`."""
    accesses: int
    rate: float


class Results(msgspec.Struct, frozen=True):
    """One run."""

    machine: Machine
    began: str
    seconds: float
    full: bool
    lines: tuple[Line, ...]
    breakdowns: tuple[Breakdown, ...]
    points: tuple[Point, ...]
    failures: tuple[str, ...]
    """Subjects that could not be measured, and why."""


_MARKS: Final[dict[bool | None, str]] = {True: "met", False: "MISSED", None: ""}


def number(value: float) -> str:
    """Write a figure with three significant digits, and thousands in groups."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def show(results: Results, console: Console) -> None:
    """Print everything."""
    table = Table("what", "ours", "unit", "peer", "its figure", "times better", "goal", "")
    table.title = f"make bench, {results.began}, {results.seconds:,.0f} s"
    for line in results.lines:
        table.add_row(*_cells(line, lambda text: f"[bold]{text}[/bold]"))
    console.print(table)
    for breakdown in results.breakdowns:
        shown = Table(breakdown.title, breakdown.unit)
        for part in breakdown.parts:
            shown.add_row(part.name, number(part.value))
        console.print(shown)
    for line in results.lines:
        if line.remark:
            console.print(f"· {line.what}: {line.remark}", markup=False)
    for failure in results.failures:
        console.print(f"✗ {failure}", style="bold red", markup=False)
    console.print(results.machine.describe(), markup=False)


def write_json(results: Results, path: Path) -> None:
    """Write everything, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")
    beside.replace(path)


def markdown(results: Results) -> str:
    """Return the part of `docs/measurements.md` that a run writes."""
    said = "a full run" if results.full else "a quick run"
    text = [
        f"Measured {results.began} by {said} of `make bench` ({results.seconds:,.0f} s).",
        "",
        results.machine.describe(),
        "",
        "| what | ours | unit | peer | its figure | times better | goal | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    text += [f"| {' | '.join(_cells(line, _plain))} |" for line in results.lines]
    text += ["", "What one must know to read the lines:", ""]
    text += [f"- *{line.what}*: {line.remark}" for line in results.lines if line.remark]
    for breakdown in results.breakdowns:
        text += ["", f"| {breakdown.title} | {breakdown.unit} |", "|---|---|"]
        text += [f"| {part.name} | {number(part.value)} |" for part in breakdown.parts]
    if results.failures:
        text += ["", "Not measured:", "", *(f"- {failure}" for failure in results.failures)]
    return "\n".join(text) + "\n"


def _plain(text: str) -> str:
    return text


def _cells(line: Line, strong: Callable[[str], str]) -> tuple[str, ...]:
    theirs = "" if line.theirs is None else number(line.theirs)
    ratio = "" if line.ratio is None else f"{number(line.ratio)} x"
    ours, mark = strong(number(line.ours)), _MARKS[line.met]
    return (line.what, ours, line.unit, line.peer, theirs, ratio, line.goal, mark)
