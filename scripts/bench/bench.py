"""State shared by all subjects: where they may write, how large they are, and where results go."""

import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from scripts.bench.results import Breakdown, Line, Part, Point


class BenchError(Exception):
    """Something cannot be measured; the message is one line."""


def _console() -> Console:
    """Return where to print: wide enough for the table, also into a file."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 170)


@dataclass
class Bench:
    """One run of the benchmark.

    Attributes:
        home: directory for everything that the subjects write; removed at the end.
        full: large sizes instead of quick ones.
        huge: the index at ten times the largest size too.
        seconds: for each measurement under load.
    """

    home: Path
    full: bool
    huge: bool
    seconds: float
    console: Console = field(default_factory=_console)
    lines: list[Line] = field(default_factory=list)
    breakdowns: list[Breakdown] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    node: str = ""

    def say(self, text: str) -> None:
        """Tell who watches what is going on."""
        self.console.print(f"   [cyan]·[/cyan] {text}", soft_wrap=True)

    def add(self, line: Line) -> None:
        theirs = "" if line.theirs is None else f"; {line.peer}: {line.theirs:,.4g}"
        self.say(f"{line.what}: [bold]{line.ours:,.4g}[/bold] {line.unit}{theirs}")
        self.lines.append(line)

    def explain(self, subject: str, title: str, unit: str, parts: Sequence[Part]) -> None:
        """Take in where a cost comes from."""
        self.breakdowns.append(Breakdown(subject, title, unit, tuple(parts)))

    @contextmanager
    def directory(self, name: str) -> Iterator[Path]:
        path = self.home / f"{name}-{secrets.token_hex(3)}"
        path.mkdir(parents=True)
        yield path


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value below which a part of the values lies; the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait until something holds; return the seconds that it took.

    Raises:
        BenchError: it took too long.
    """
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise BenchError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.01)
    return time.monotonic() - began


def run_module(module: str, stdin: bytes, *, timeout: float) -> bytes:
    """Run a module of ours as a process of its own, with something to read; return what it prints.

    Raises:
        BenchError: it failed.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        printed, _ = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{module}: no end within {timeout:.0f} s") from error
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        raise BenchError(f"{module} ended with status {process.returncode}")
    return printed
