"""What a command says: for people on a terminal, or one JSON document for machines.

Results go to standard output, everything else (progress, questions, errors) to standard error. With
`--json` a command that succeeds prints exactly one JSON object, and one that fails prints one on
standard error: {"error": {"kind", "message", "exit_code", ...}}.

Everything that is printed passes through here and is escaped (`ledger.plain_text`), so that no command
can forget it: names, messages, reasons and data are somebody else's. Callers hand over text, one line
each; only here is it laid out. Nothing is cropped, whatever the width.
"""

import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TextIO

import msgspec
import typer
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from ledger.chain.deployment import Deployment
from ledger.hexstr import to_hex
from ledger.plain_text import escape_json, escape_surrogates, escape_text

GATEWAYS_WORD: Final = "NOT CHECKED: this is what the gateway says"
"""Of what a command shows that nothing on the own node confirms."""
_SHORT: Final = 10
_WIDE: Final = 2
"""Cells of a Han character."""


class Output:
    """Where a command writes.

    Args:
        machine: one JSON document instead of text.
    """

    def __init__(self, *, machine: bool) -> None:
        self.machine = machine
        self._trial: bool | None = None
        self._out = _Screen(sys.stdout)
        self._err = _Screen(sys.stderr)

    def tell_trial(self, deployment: Deployment) -> None:
        """Say with whatever is printed whether the deployment is a trial: people at once, machines in the document."""
        self._trial = deployment.trial
        if deployment.trial and not self.machine:
            self.warn(f"trial       {deployment.trial_text}")

    def result(self, document: object, *lines: str) -> None:
        """Print what came out: the document for machines, the lines for people."""
        if self.machine:
            self._out.document(self._with_trial(document), indent=2)
            return
        for line in lines:
            self._out.line(line)

    def document(self, text: bytes) -> None:
        """Print a JSON document as it is, to machines and people alike."""
        if self.machine and self._trial:
            self.warn("trial")
        self._out.document(msgspec.Raw(text), indent=2)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Show people a table."""
        if not self.machine:
            self._out.table(title, columns, rows)

    def terms(self, rows: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Show people what things are: each name with its values, one below the other."""
        if not self.machine:
            self._out.terms(rows)

    def statement(self, title: str, paragraphs: Sequence[str]) -> None:
        """Show people, word for word, what they would sign.

        Broken into lines of the terminal's width: what is printed between the two rules is, line after
        line, exactly the paragraphs.
        """
        if not self.machine:
            self._out.statement(title, paragraphs)

    def say(self, line: str) -> None:
        """Tell people how it goes."""
        if not self.machine:
            self._err.line(line)

    def warn(self, line: str) -> None:
        """Tell people what they should know, also machines' people."""
        self._err.line(line, style="yellow")

    def error(self, message: str, members: Mapping[str, object]) -> None:
        """Say why the command failed: to people the message, to machines the members, which it is one of."""
        if self.machine:
            told = {**members, "message": escape_text(message)}
            self._err.document({"error": told}, indent=0)
        else:
            self._err.error(message)

    def ask(self, question: str) -> bool:
        """Ask the person at the terminal."""
        return typer.confirm(escape_text(question), err=True)

    def _with_trial(self, document: object) -> object:
        if self._trial is None:
            return document
        plain = msgspec.to_builtins(document, enc_hook=_plain)
        if isinstance(plain, dict):
            return {**plain, "trial": self._trial}
        if self._trial:  # a list has no member for it
            self.warn("trial")
        return document

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Show bars while something takes long; only on a terminal."""
        columns = (
            TextColumn("{task.description:<12}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        console = self._err.console
        hidden = self.machine or not console.is_terminal
        with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
            yield progress


class _Screen:
    """A stream on which only plain text is printed, none of it cropped."""

    def __init__(self, stream: TextIO) -> None:
        if isinstance(stream, io.TextIOWrapper):
            # For what others print (questions, usage): never an exception because of a character.
            stream.reconfigure(errors="backslashreplace")
        self.console = Console(file=stream, highlight=False)
        self._stream = stream
        self._encoding = stream.encoding or "utf-8"

    def line(self, line: str, style: str = "") -> None:
        self.console.print(self._text(line, style), soft_wrap=True)

    def error(self, message: str) -> None:
        told = self._text("error: ", "bold red") + self._text(message, "default")
        self.console.print(told, soft_wrap=True)

    def document(self, document: object, indent: int) -> None:
        text = _encoded(document)
        shaped = msgspec.json.format(text, indent=indent) if indent else text
        self._stream.write(escape_json(shaped.decode(), self._encoding) + "\n")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        heads = [Column(self._text(name), overflow="fold") for name in columns]
        table = Table(*heads, title=self._text(title), title_justify="left")
        for row in rows:
            table.add_row(*(self._text(str(cell)) for cell in row))
        self.console.print(table)

    def terms(self, rows: Sequence[tuple[str, Sequence[str]]]) -> None:
        grid = Table.grid(Column(overflow="fold"), Column(overflow="fold"), padding=(0, 2))
        for name, values in rows:
            shown = Text("\n").join(map(self._text, values))
            grid.add_row(self._text(name, "bold"), shown)
        self.console.print(grid)

    def statement(self, title: str, paragraphs: Sequence[str]) -> None:
        self.line(f"—— {title} ——", "bold")
        for paragraph in paragraphs:
            for line in broken(escape_text(paragraph, self._encoding), self.console.width):
                self.console.print(Text(line), soft_wrap=True)
        self.line("")

    def _text(self, text: str, style: str = "") -> Text:
        return Text(escape_text(text, self._encoding), style=style)


def _encoded(document: object) -> bytes:
    """Return a document as JSON. Half surrogate pairs, which names of files may have, are escaped as text."""
    try:
        return msgspec.json.encode(document, enc_hook=_plain)
    except UnicodeEncodeError:
        return msgspec.json.encode(_whole(msgspec.to_builtins(document, enc_hook=_plain)))


def _whole(value: object) -> object:
    if isinstance(value, str):
        return value if value.isascii() else escape_surrogates(value)
    if isinstance(value, dict):
        return {_whole(name): _whole(member) for name, member in value.items()}
    return list(map(_whole, value)) if isinstance(value, list | tuple) else value


def broken(text: str, width: int) -> list[str]:
    """Return a text in lines of at most `width` cells, which put together are the text.

    Lines end after a blank or between Han characters where that is possible.
    """
    lines, begin, breakable, cells = [], 0, 0, 0
    for place, character in enumerate(text):
        size = cell_len(character)
        if cells + size > width and place > begin:
            end = breakable if breakable > begin and character != " " else place
            lines.append(text[begin:end])
            begin, cells = end, cell_len(text[end:place])
        cells += size
        if character == " " or size == _WIDE:
            breakable = place + 1
    return [*lines, text[begin:]]


def short(data: bytes | str) -> str:
    """Return the beginning of an id, for tables."""
    text = to_hex(data) if isinstance(data, bytes) else data
    return text if len(text) <= _SHORT + 2 else f"{text[: _SHORT + 2]}…"


def named(name: str | None, id_: bytes | str) -> str:
    """Return a name with the beginning of its id: others may be called the same, or as an id looks."""
    return f"{name} ({short(id_)})" if name and id_ else name or short(id_)


def _plain(value: Any) -> object:
    raise NotImplementedError(f"{type(value).__name__} has no JSON form")
