"""Reading a person's data for a command: from a file or the terminal, never from the command line.

What stands on a command line is seen by every user of the machine, and kept in the shell's history.
"""

import sys
from pathlib import Path

import msgspec
import typer

from ledger.decode_errors import UNREADABLE
from wallet.cli.errors import InputError
from wallet.cli.values import read_file
from wallet.client.identity import Person, PersonKind


def person_of(file: Path | None) -> Person:
    """Return a person: from a JSON file {"kind", "id_number", "name"}, `-` for standard input, or asked.

    Raises:
        InputError: it is no such file, or there is nobody to ask.
    """
    if file is None:
        return _asked()
    data = sys.stdin.buffer.read() if str(file) == "-" else read_file(file, 2**16)
    try:
        return msgspec.json.decode(data, type=Person)
    except UNREADABLE as error:
        raise InputError(f'{file}: needs {{"kind", "id_number", "name"}}') from error


def _asked() -> Person:
    if not sys.stdin.isatty():
        raise InputError("whom? name --person FILE (JSON with kind, id_number, name), - for stdin")
    kind = typer.prompt("resident or enterprise", default="resident", err=True)
    if kind not in tuple(PersonKind):
        raise InputError(f"{kind!r} is neither resident nor enterprise")
    name = typer.prompt("name", err=True)
    number = typer.prompt("id number", hide_input=True, err=True)
    return Person(PersonKind(kind), number, name)
