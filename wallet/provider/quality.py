"""The quality of a file: what each record must satisfy by itself, what is wrong, and where.

A report names lines, columns and kinds of defects and repeats no value, so it may be shown and kept. Its
SHA-256 goes on chain with the publication: later nobody can say that another report was meant.
"""

import datetime as dt
import re
from collections import Counter
from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, Literal, NamedTuple

import msgspec

from ledger.errors import ExitCode
from ledger.identifiers import IdentifierError, verify_credit_code, verify_resident_id
from wallet.provider.description import Description, FieldDescription, FieldType, KeyKind
from wallet.provider.errors import ProviderError
from wallet.provider.staging import Row

MAX_LISTED: Final = 1000
"""Defects that a report lists; beyond that they are only counted."""


class DefectKind(StrEnum):
    """A way in which a record is defective."""

    WRONG_ENCODING = "wrong-encoding"
    """A line is not in the encoding that the description says."""
    BROKEN_LINE = "broken-line"
    """A quotation mark is not closed, or is followed by more text; or the line is no JSON object."""
    WRONG_COLUMNS = "wrong-columns"
    """More or fewer values than columns, or other members."""
    TRUNCATED = "truncated"
    """The file ends in the middle of a record."""
    MISSING_KEY = "missing-key"
    """The record does not say whom it is about."""
    MALFORMED_KEY = "malformed-key"
    """The key is no resident id or credit code."""
    WRONG_CHECK_CHARACTER = "wrong-check-character"
    """The key is mistyped: its check character belongs to another one."""
    WRONG_NUMBER = "wrong-number"
    """The record number is missing, no number, or 2^63 and above."""
    DUPLICATE_NUMBER = "duplicate-number"
    """An earlier record has the same number."""
    MISSING_VALUE = "missing-value"
    """A value that must be there is not."""
    WRONG_TYPE = "wrong-type"
    """The value is not of the field's type."""
    NOT_TEXT = "not-text"
    """The value has control characters, half a surrogate pair, or is too long."""


class Defect(msgspec.Struct, frozen=True, gc=False):
    """One thing that is wrong."""

    line: int
    """Counted from 1, a header included; the line on which the record, or the open quotation, begins.
    In a Parquet file the number of the row, counted from 1."""
    kind: DefectKind
    column: str = ""
    detail: str = ""

    def __str__(self) -> str:
        place = f"line {self.line}" + (f", {self.column}" if self.column else "")
        return f"{place}: {self.kind}" + (f" ({self.detail})" if self.detail else "")


class Cells(NamedTuple):
    """A record as its file has it: texts in the order of the description's columns, "" if missing."""

    line: int
    texts: tuple[str, ...]


Read = Cells | Defect
"""A record, or a place where none can be made out."""


class QualityReport(msgspec.Struct, frozen=True, tag_field="v", tag=1):
    """The defects of a file. Its text begins with the version of this format, `v`.

    Attributes:
        dataset: its code.
        records: records in the file, sound or not.
        sound: those without a defect.
        counts: how many defects there are of each kind.
        defects: the first `MAX_LISTED`, by line.
        remarks: what may be a mistake, and stops nothing.
    """

    dataset: str
    unit: Literal["line", "row"]
    records: int
    sound: int
    counts: tuple[tuple[DefectKind, int], ...]
    defects: tuple[Defect, ...]
    remarks: tuple[str, ...] = ()

    @property
    def defective(self) -> int:
        return self.records - self.sound

    def encode(self) -> bytes:
        """Return the report as JSON: the bytes whose hash goes on chain."""
        return msgspec.json.encode(self)

    def digest(self) -> bytes:
        """Return the SHA-256 of `encode`, 32 bytes: the publication's `manifest`."""
        return sha256(self.encode()).digest()


class QualityError(ProviderError):
    """The file has defects, and the provider did not allow to leave records out."""

    exit_code = ExitCode.BAD_INPUT

    def __init__(self, message: str, report: QualityReport) -> None:
        super().__init__("Quality", message)
        self.report = report

    def __reduce__(self) -> Any:
        return type(self), (str(self), self.report)


class QualityLog:
    """Collects defects while a file passes; memory does not grow with their number."""

    def __init__(self) -> None:
        self.records = 0
        self.sound = 0
        self._counts: Counter[DefectKind] = Counter()
        self._defects: list[Defect] = []
        self._remarks: list[str] = []

    def add(self, defects: Iterable[Defect]) -> None:
        """Note defects of one record."""
        for defect in defects:
            self._counts[defect.kind] += 1
            if len(self._defects) < MAX_LISTED:
                self._defects.append(defect)

    def remark(self, text: str) -> None:
        """Note once what may be a mistake."""
        if text not in self._remarks:
            self._remarks.append(text)

    def report(self, dataset: str, unit: Literal["line", "row"]) -> QualityReport:
        return QualityReport(
            dataset=dataset,
            unit=unit,
            records=self.records,
            sound=self.sound,
            counts=tuple(sorted(self._counts.items())),
            defects=tuple(sorted(self._defects, key=lambda defect: defect.line)),
            remarks=tuple(self._remarks),
        )


MAX_VALUE: Final = 65_536
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
                    defects.append(Defect(line, DefectKind.MISSING_VALUE, field.name))
            elif len(text) > MAX_VALUE or (not plain and _CONTROL.search(text)):
                defects.append(Defect(line, DefectKind.NOT_TEXT, field.name))
            elif not fits(text):
                defects.append(_wrong_type(line, field))
        return tuple(defects) if defects else Row(line, key, number, values)

    def _key(self, line: int, text: str, defects: list[Defect]) -> str:
        column = self._key_column or ""
        if not text.strip():
            defects.append(Defect(line, DefectKind.MISSING_KEY, column))
            return ""
        try:
            return self._verify_key(text)
        except IdentifierError as error:
            if error.wrong_check_character:
                defects.append(Defect(line, DefectKind.WRONG_CHECK_CHARACTER, column))
            else:
                defects.append(Defect(line, DefectKind.MALFORMED_KEY, column, str(error)))
        return ""

    def _number(self, line: int, text: str, defects: list[Defect]) -> int:
        number = record_number(text)
        if number is None:
            defects.append(Defect(line, DefectKind.WRONG_NUMBER, self._number_column))
            return 0
        return number


def record_number(text: str) -> int | None:
    """Return the record number that a text is, 0 to 2^63 - 1; None when it is none."""
    if _NUMBER.fullmatch(text) is None:
        return None
    number = int(text)
    return number if number < _NUMBER_LIMIT else None


def _wrong_type(line: int, field: FieldDescription) -> Defect:
    return Defect(line, DefectKind.WRONG_TYPE, field.name, _WORDS.get(field.type, ""))


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
