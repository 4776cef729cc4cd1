"""Values on the command line: ids, fields, times, spans, roles, files, people.

A value that is not as it must be is an `InputError`.
"""

import datetime as dt
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from ledger.errors import UNREADABLE, LedgerError
from ledger.hexstr import from_hex, parse_address
from ledger.model import Class, Roles
from ledger.plain_text import is_moment, moment
from wallet.client.datasets import CLASSES
from wallet.client.identity import Person, PersonKind
from wallet.client.opening import field_index
from wallet.errors import InputError
from wallet.files import write_whole

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
