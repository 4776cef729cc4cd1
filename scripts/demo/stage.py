"""Output for the person who watches: acts, steps, tables; and the checks that each step makes."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from ledger.crypto.statement import Statement
from ledger.plain_text import escape_text

T = TypeVar("T")

_MAX_SHOWN: Final = 300


class DemoError(Exception):
    """The demo cannot run; the message is one line."""


class DifferenceError(Exception):
    """Something is not as the story says; the message names what, and how it differs."""


@dataclass(slots=True)
class Act:
    """How long an act took, and what it checked."""

    title: str
    seconds: float = 0.0
    checks: int = 0


@dataclass(slots=True)
class Stage:
    """Shows the story and holds it to what it says."""

    console: Console = field(default_factory=lambda: Console(file=sys.stdout, highlight=False))
    acts: list[Act] = field(default_factory=list)

    @contextmanager
    def act(self, title: str) -> Iterator[None]:
        act = Act(title)
        self.acts.append(act)
        self.console.print(f"\n[bold]{len(self.acts)}. {title}[/bold]")
        began = time.monotonic()
        try:
            yield
        finally:
            act.seconds = time.monotonic() - began

    def step(self, text: str) -> None:
        """Say what happens."""
        self.console.print(f"   [cyan]·[/cyan] {_plain(text)}", soft_wrap=True)

    def show_statement(self, statement: Statement) -> None:
        """Show what a person reads, word for word, before signing it."""
        self.step("the person reads, and signs word for word:")
        for text in (statement.zh, statement.en, f"No. {statement.reference}"):
            shown = Text(escape_text(text), style="italic", overflow="fold")
            self.console.print(Padding(shown, (0, 0, 0, 5)))

    def check(self, what: str, found: T, expected: T) -> T:
        """Return what was found if it is what the story expects, and say so.

        Raises:
            DifferenceError: it is not.
        """
        self.require(what, found, expected)
        self.console.print(f"   [green]✓[/green] {_plain(what)}", soft_wrap=True)
        return found

    def require(self, what: str, found: T, expected: T) -> T:
        """Check without a word.

        Raises:
            DifferenceError: it is not.
        """
        if found != expected:
            act = self.acts[-1].title if self.acts else "before the first act"
            raise DifferenceError(
                f"{act}: {what}: expected {_short(expected)}, found {_short(found)}"
            )
        if self.acts:
            self.acts[-1].checks += 1
        return found

    def fail(self, text: str) -> None:
        """Say why the story ends badly."""
        self.console.print(f"\n[bold red]✗[/bold red] {_plain(text)}", soft_wrap=True)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        heads = [Column(name, overflow="fold") for name in columns]
        table = Table(*heads, title=title, title_justify="left")
        for row in rows:
            table.add_row(*map(_plain, row))
        self.console.print(Padding(table, (0, 0, 0, 3)))

    def show_lines(self, title: str, lines: Iterable[tuple[str, str]]) -> None:
        """Show names and values, each whole on a line of its own, to be copied."""
        self.console.print(f"\n[bold]{title}[/bold]")
        for name, value in lines:
            self.console.print(f"   {name:<22}{escape_text(value)}", markup=False, soft_wrap=True)

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Show bars while something takes long; on a terminal only."""
        columns = (
            TextColumn("     {task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        hidden = not self.console.is_terminal
        with Progress(*columns, console=self.console, transient=True, disable=hidden) as progress:
            yield progress

    def summarize(self) -> None:
        """Show how long each act took, and the verdict: whoever gets here found no difference."""
        rows = [
            (f"{number}. {act.title}", str(act.checks), f"{act.seconds:.1f}")
            for number, act in enumerate(self.acts, 1)
        ]
        checks, seconds = (
            sum(act.checks for act in self.acts),
            sum(one.seconds for one in self.acts),
        )
        self.console.print()
        self.table("The story", ("act", "checks", "seconds"), rows)
        self.console.print(
            f"[bold green]✓ {checks} checks in {len(rows)} acts, {seconds:.0f} s: "
            "everything is as the story says[/bold green]"
        )


def _plain(text: str) -> str:
    """Return a text, which may be a party's, for Rich's markup."""
    return escape(escape_text(text))


def _short(value: object) -> str:
    text = value.hex() if isinstance(value, bytes) else repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
