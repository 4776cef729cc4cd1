"""What each record of a file must satisfy by itself."""

import datetime as dt
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from ledger.identifiers import (
    IdentifierError,
    verify_credit_code,
    verify_resident_id,
)
from wallet.provider.description import Description, FieldDescription, FieldType, KeyKind
from wallet.provider.quality import Defect, Kind
from wallet.provider.rows import Cells, Row

MOST_VALUE: Final = 65_536
"""Characters of a value at most."""

_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# Also the controls of C1, and of writing from right to left: they act on whoever sees the value.
_CONTROL: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_NUMBER_LIMIT: Final = 2**63
_KEYS_REMEMBERED: Final = 2**16
"""Keys that were checked and need not be again: some ten megabytes."""

_WORDS: Final = {
    FieldType.INTEGER: "not an integer",
    FieldType.DECIMAL: "not a decimal number",
    FieldType.DATE: "not a date as in 2026-11-01",
}


class RowChecker:
    """Turns records of a described file into rows, or says what is wrong with them."""

    def __init__(self, description: Description) -> None:
        self._fields = tuple((field, _test(field.type)) for field in description.fields)
        self._number_column = description.number_column
        self._key_column = description.key_column
        # Most people have several records.
        self._verify_key = lru_cache(_KEYS_REMEMBERED)(_KEYS[description.key_kind])

    def check(self, cells: Cells) -> Row | tuple[Defect, ...]:
        """Return the row, or all its defects."""
        line, texts = cells
        defects: list[Defect] = []
        key = ""
        if self._key_column is not None:
            key = self._key(line, texts[0], defects)
            texts = texts[1:]
        number = self._number(line, texts[0], defects)
        values = texts[1:]
        plain = "".join(values).isprintable()
        for (field, fits), text in zip(self._fields, values, strict=True):
            if not text:
                if not field.optional:
                    defects.append(Defect(line, Kind.MISSING_VALUE, field.name))
            elif len(text) > MOST_VALUE or (not plain and _CONTROL.search(text)):
                defects.append(Defect(line, Kind.NOT_TEXT, field.name))
            elif not fits(text):
                defects.append(_wrong_type(line, field))
        return tuple(defects) if defects else Row(line, key, number, values)

    def _key(self, line: int, text: str, defects: list[Defect]) -> str:
        column = self._key_column or ""
        if not text.strip():
            defects.append(Defect(line, Kind.MISSING_KEY, column))
            return ""
        try:
            return self._verify_key(text)
        except IdentifierError as error:
            if error.wrong_check_character:
                defects.append(Defect(line, Kind.WRONG_CHECK_CHARACTER, column))
            else:
                defects.append(Defect(line, Kind.MALFORMED_KEY, column, str(error)))
        return ""

    def _number(self, line: int, text: str, defects: list[Defect]) -> int:
        number = record_number(text)
        if number is None:
            defects.append(Defect(line, Kind.WRONG_NUMBER, self._number_column))
            return 0
        return number


def record_number(text: str) -> int | None:
    """Return the record number that a text is, 0 to 2^63 - 1; None when it is none."""
    if _NUMBER.fullmatch(text) is None:
        return None
    number = int(text)
    return number if number < _NUMBER_LIMIT else None


def _wrong_type(line: int, field: FieldDescription) -> Defect:
    return Defect(line, Kind.WRONG_TYPE, field.name, _WORDS.get(field.type, ""))


def _test(kind: FieldType) -> Callable[[str], object]:
    tests: dict[FieldType, Callable[[str], object]] = {
        FieldType.TEXT: bool,
        FieldType.INTEGER: _INTEGER.fullmatch,
        FieldType.DECIMAL: _DECIMAL.fullmatch,
        FieldType.DATE: _is_date,
    }
    return tests[kind]


def _is_date(text: str) -> bool:
    if _DATE.fullmatch(text) is None:
        return False
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


_KEYS: Final[dict[KeyKind, Callable[[str], str]]] = {
    KeyKind.RESIDENT: verify_resident_id,
    KeyKind.ENTERPRISE: verify_credit_code,
    KeyKind.NONE: str,
}
