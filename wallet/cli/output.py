"""What a command says: for people with Rich, or one JSON document for machines.

Results go to standard output, everything else (progress, questions, errors) to standard error. With
`--json` a command that succeeds prints exactly one JSON object, and one that fails prints one on
standard error: {"error": {"kind", "message", "exit_code", ...}}.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ledger.evidence import EvidenceCheckError
from ledger.hexes import to_hex
from wallet.cli.exit_codes import ExitCode
from wallet.client.errors import DeniedError, ProblemError, RefusedError, VerificationError

_SHORT: Final = 10


class Output:
    """Where a command writes.

    Args:
        machine: one JSON document instead of text.
    """

    def __init__(self, *, machine: bool) -> None:
        self.machine = machine
        self._out = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self._err = Console(file=sys.stderr, highlight=False, soft_wrap=True)

    def result(self, document: object, *lines: str) -> None:
        """Print what came out: the document for machines, the lines for people."""
        if self.machine:
            text = msgspec.json.encode(document, enc_hook=_plain)
            sys.stdout.write(msgspec.json.format(text, indent=2).decode() + "\n")
            return
        for line in lines:
            self._out.print(Text(line))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Show a table to people."""
        if self.machine:
            return
        table = Table(*columns, title=title, title_justify="left")
        for row in rows:
            table.add_row(*(Text(str(cell)) for cell in row))
        self._out.print(table)

    def show(self, what: RenderableType) -> None:
        """Show people something that Rich draws."""
        if not self.machine:
            self._out.print(what)

    def say(self, line: str) -> None:
        """Tell people how it goes."""
        if not self.machine:
            self._err.print(Text(line))

    def warn(self, line: str) -> None:
        """Tell people what they should know, also machines' people."""
        self._err.print(Text(line, style="yellow"))

    def error(self, error: Exception, code: ExitCode) -> None:
        """Say why the command failed."""
        if self.machine:
            sys.stderr.write(msgspec.json.encode({"error": described(error, code)}).decode() + "\n")
        else:
            self._err.print(Text("error: ", style="bold red") + Text(str(error), style="default"))

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Show bars while something takes long; only on a terminal."""
        columns = (
            TextColumn("{task.description:<12}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        hidden = self.machine or not self._err.is_terminal
        with Progress(*columns, console=self._err, transient=True, disable=hidden) as progress:
            yield progress


def described(error: Exception, code: ExitCode) -> dict[str, object]:
    """Return an error for machines."""
    told: dict[str, object] = {
        "kind": type(error).__name__.removesuffix("Error"),
        "message": str(error),
        "exit_code": int(code),
    }
    if isinstance(error, DeniedError):
        told |= {"outcome": error.outcome, "sequence": error.recorded.sequence}
    elif isinstance(error, VerificationError):
        told |= {"check": error.check.value}
    elif isinstance(error, EvidenceCheckError):
        told |= {"check": error.check.value, "number": error.check.number}
    elif isinstance(error, RefusedError):
        told |= {"contract_error": error.error, "arguments": error.arguments}
    elif isinstance(error, ProblemError):
        told |= {"type": error.problem.type, "status": error.problem.status}
    return told


def short(data: bytes | str) -> str:
    """Return the beginning of an id, for tables."""
    text = to_hex(data) if isinstance(data, bytes) else data
    return text if len(text) <= _SHORT + 2 else f"{text[: _SHORT + 2]}…"


def _plain(value: Any) -> object:
    raise NotImplementedError(f"{type(value).__name__} has no JSON form")
