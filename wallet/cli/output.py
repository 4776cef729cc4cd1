"""What a command takes and says: values, people's data, tables for people, one JSON document for machines."""

import datetime as dt
import io
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import msgspec
import typer
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from ledger.api.identity import PersonKind
from ledger.chain.deployment import Deployment
from ledger.errors import LedgerError
from ledger.hexstr import from_hex, parse_address, to_hex
from ledger.jsonio import UNREADABLE
from ledger.model import CLASSES, Class, Roles
from ledger.plain_text import escape_json, escape_surrogates, escape_text, is_moment, moment
from wallet.client.decryption import field_index
from wallet.client.identity import Person
from wallet.errors import InputError
from wallet.files import write_whole

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


_SPAN: Final = re.compile(r"([0-9]{1,9})([smhdw]?)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_ROLES: Final = {role.name.lower().replace("_", "-"): role for role in Roles if role.name}

PersonFile = Annotated[
    Path | None,
    typer.Option(
        "--person", help="JSON with kind, id_number, name; - for stdin; asked for if not given."
    ),
]


def hash_of(text: str, what: str) -> bytes:
    """Read 32 bytes; `what` they are stands in the error's message."""
    try:
        return from_hex(text, 32)
    except LedgerError as error:
        raise InputError(f"{what}: {error}") from error


def address_of(text: str, what: str) -> bytes:
    """Read an address; `what` it is stands in the error's message."""
    try:
        return parse_address(text)
    except LedgerError as error:
        raise InputError(f"{what}: {error}") from error


def mask_of(names: Sequence[str], chosen: str) -> int:
    """Read a choice of a dataset's fields: `all`, or names or numbers by commas; return the bitmap.

    Raises:
        ClientError (UNKNOWN_NAME): a field is not there.
        InputError: none is chosen.
    """
    if chosen == "all":
        return (1 << len(names)) - 1
    indices = {field_index(names, name.strip()) for name in chosen.split(",") if name.strip()}
    if not indices:
        raise InputError("no field is chosen: name fields by commas, or all")
    return sum(1 << index for index in indices)


def span_of(text: str) -> int:
    """Read a span of time in seconds: 30, 90s, 15m, 12h, 7d, 2w."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise InputError(f"{text!r} is no span of time: 90s, 15m, 12h, 7d, 2w")
    return int(match[1]) * _SECONDS[match[2]]


def time_of(text: str, now: float | None = None) -> int:
    """Read a moment: seconds since 1970, +SPAN from now, or an ISO date or time."""
    present = int(time.time() if now is None else now)
    if text.startswith("+"):
        return present + span_of(text[1:])
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{text!r} is no moment: +7d, 2026-12-01T18:00+08:00, or seconds"
        ) from error
    return int(moment.timestamp() if moment.tzinfo else moment.astimezone().timestamp())


def moment_text(seconds: int) -> str:
    """Return a moment for people, in the local time zone; what has no date as the number that it is."""
    if not is_moment(seconds):
        return str(seconds)
    return moment(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")


def release_text(release: str, *, voided: bool) -> str:
    """Return what became of an access, for people."""
    return f"{release}; use given back".removeprefix("; ") if voided else release


def roles_of(text: str) -> Roles:
    """Read roles by commas."""
    roles = Roles(0)
    for name in text.split(","):
        if name.strip() not in _ROLES:
            raise InputError(f"{name!r} is no role: {', '.join(_ROLES)}")
        roles |= _ROLES[name.strip()]
    return roles


def class_of(text: str) -> Class:
    """Read a sharing class."""
    if text not in CLASSES:
        raise InputError(f"{text!r} is no class: {', '.join(CLASSES)}")
    return CLASSES[text]


def read_file(path: Path, most: int = 2**26) -> bytes:
    """Return what a file holds."""
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    if len(data) > most:
        raise InputError(f"{path} has more than {most} bytes")
    return data


def write_file(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write a file whole."""
    try:
        write_whole(path, data, 0o600 if private else 0o644)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def person_of(file: Path | None) -> Person:
    """Return a person: from a JSON file {"kind", "id_number", "name"}, `-` for standard input, or asked.

    Never from the command line: every user of the machine sees it, and the shell's history keeps it.
    """
    if file is None:
        return _asked_person()
    data = sys.stdin.buffer.read() if str(file) == "-" else read_file(file, 2**16)
    try:
        return msgspec.json.decode(data, type=Person)
    except UNREADABLE as error:
        raise InputError(f'{file}: needs {{"kind", "id_number", "name"}}') from error


def _asked_person() -> Person:
    if not sys.stdin.isatty():
        raise InputError("whom? name --person FILE (JSON with kind, id_number, name), - for stdin")
    kind = typer.prompt("resident or enterprise", default="resident", err=True)
    if kind not in tuple(PersonKind):
        raise InputError(f"{kind!r} is neither resident nor enterprise")
    name = typer.prompt("name", err=True)
    number = typer.prompt("id number", hide_input=True, err=True)
    return Person(PersonKind(kind), number, name)
