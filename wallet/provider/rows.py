"""Rows on their way from a file to a publication."""

from typing import NamedTuple

from wallet.provider.quality import Defect


class Cells(NamedTuple):
    """A record as its file has it: texts in the order of the description's columns, "" if missing."""

    line: int
    texts: tuple[str, ...]


class Row(NamedTuple):
    """A record that passed the checks."""

    line: int
    key: str
    """Resident id or credit code in its usual form; empty when the data is about nobody."""
    number: int
    values: tuple[str, ...]
    """In the order of the fields."""


Read = Cells | Defect
"""What a reader finds: a record, or a place where none can be made out."""
