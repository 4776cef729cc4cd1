"""Reading the registers of residents and enterprises: CSV in UTF-8 with a header line.

Only what this service needs is taken over; telephone numbers, birth dates and addresses are not.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ledger.api.identity import PersonKind
from ledger.identifiers import IdentifierError, verify_resident_id
from wallet.identity.errors import REGISTER_UNREADABLE, IdentityError
from wallet.identity.store import RegisterEntry, make_identity

_KEYS: Final = {PersonKind.RESIDENT: "resident_id", PersonKind.ENTERPRISE: "credit_code"}
_REPRESENTATIVE: Final = "legal_representative_id"


def read_register(path: Path) -> Iterator[RegisterEntry]:
    """Yield a register's entries. Its header says which register it is.

    Raises:
        IdentityError: It cannot be read, has another header, or a line is not an entry. The message
            names the line and shows nothing of it.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.DictReader(file, strict=True)
            kind = _kind(path, lines.fieldnames or ())
            for line in lines:
                yield _entry(kind, line, f"{path}, line {lines.line_num}")
    except UnicodeDecodeError:
        raise _unreadable(f"{path} is not UTF-8") from None
    except csv.Error as error:
        raise _unreadable(f"{path} is no CSV file: {error}") from error
    except OSError as error:
        raise _unreadable(f"{path} cannot be read: {error.strerror}") from error


def _kind(path: Path, columns: object) -> PersonKind:
    names = frozenset(columns) if isinstance(columns, list) else frozenset()
    for kind, key in _KEYS.items():
        if {"name", key} <= names:
            return kind
    raise _unreadable(f"{path}: the header has neither name, resident_id nor name, credit_code")


def _entry(kind: PersonKind, line: dict[str, str | None], place: str) -> RegisterEntry:
    name, number = line.get("name") or "", line.get(_KEYS[kind]) or ""
    if None in line.values() or None in line or not name.strip():
        raise _unreadable(f"{place}: a column is missing, or there is one too many")
    try:
        representative = line.get(_REPRESENTATIVE) or None
        checked = None if representative is None else verify_resident_id(representative)
        return RegisterEntry(make_identity(kind, number, name), checked)
    except IdentifierError as error:
        raise _unreadable(f"{place}: {error}") from error


def _unreadable(detail: str) -> IdentityError:
    return IdentityError(REGISTER_UNREADABLE, detail)
