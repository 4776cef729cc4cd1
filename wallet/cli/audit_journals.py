"""Journals on the command line: files, named by whose they are."""

from collections.abc import Sequence
from pathlib import Path

from wallet.cli.errors import InputError
from wallet.cli.values import address_of
from wallet.regulator.journals import KeyholderJournal


def named_file(text: str) -> tuple[bytes | None, Path]:
    """Return whose file it is, where that is named (ADDRESS=FILE), and the file."""
    name, equals, file = text.partition("=")
    if not equals or not name.startswith("0x"):
        return None, Path(text)
    return address_of(name, "journal's owner"), Path(file)


def keyholder_journals(texts: Sequence[str]) -> list[KeyholderJournal]:
    """Return keyholders' journals, of each keyholder one.

    Raises:
        InputError: A file has no owner, or two have the same.
    """
    found: dict[bytes, KeyholderJournal] = {}
    for text in texts:
        owner, path = named_file(text)
        if owner is None:
            raise InputError(f"whose journal is {text}? name it ADDRESS=FILE")
        if owner in found:
            raise InputError(f"two journals of {text.partition('=')[0]}: which one?")
        found[owner] = KeyholderJournal(path, str(path), owner)
    return list(found.values())
