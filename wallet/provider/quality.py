"""The quality report: what is wrong in a file, and where.

It names lines, columns and kinds of defects and repeats no value, so it may be shown and kept. Its
SHA-256 goes on chain with the publication: later nobody can say that another report was meant.
"""

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from hashlib import sha256
from typing import Final, Literal

import msgspec

MOST_LISTED: Final = 1000
"""Defects that a report lists; beyond that they are only counted."""


class Kind(StrEnum):
    """What can be wrong with a record."""

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
    kind: Kind
    column: str = ""
    detail: str = ""

    def __str__(self) -> str:
        place = f"line {self.line}" + (f", {self.column}" if self.column else "")
        return f"{place}: {self.kind}" + (f" ({self.detail})" if self.detail else "")


class QualityReport(msgspec.Struct, frozen=True, tag_field="v", tag=1):
    """What was found in a file. Its text begins with the version of this format, `v`.

    Attributes:
        dataset: its code.
        records: records in the file, sound or not.
        sound: those without a defect.
        counts: how many defects there are of each kind.
        defects: the first `MOST_LISTED`, by line.
        remarks: what may be a mistake, and stops nothing.
    """

    dataset: str
    unit: Literal["line", "row"]
    records: int
    sound: int
    counts: tuple[tuple[Kind, int], ...]
    defects: tuple[Defect, ...]
    remarks: tuple[str, ...] = ()

    @property
    def defective(self) -> int:
        """Records that have a defect."""
        return self.records - self.sound

    def encode(self) -> bytes:
        """Return the report as JSON: the bytes whose hash goes on chain."""
        return msgspec.json.encode(self)

    def digest(self) -> bytes:
        """Return the SHA-256 of `encode`, 32 bytes: the publication's `manifest`."""
        return sha256(self.encode()).digest()


class QualityLog:
    """Collects defects while a file passes; memory does not grow with their number."""

    def __init__(self) -> None:
        self.records = 0
        self.sound = 0
        self._counts: Counter[Kind] = Counter()
        self._defects: list[Defect] = []
        self._remarks: list[str] = []

    def add(self, defects: Iterable[Defect]) -> None:
        """Note defects of one record."""
        for defect in defects:
            self._counts[defect.kind] += 1
            if len(self._defects) < MOST_LISTED:
                self._defects.append(defect)

    def remark(self, text: str) -> None:
        """Note once what may be a mistake."""
        if text not in self._remarks:
            self._remarks.append(text)

    def report(self, dataset: str, unit: Literal["line", "row"]) -> QualityReport:
        """Return what was found."""
        return QualityReport(
            dataset=dataset,
            unit=unit,
            records=self.records,
            sound=self.sound,
            counts=tuple(sorted(self._counts.items())),
            defects=tuple(sorted(self._defects, key=lambda defect: defect.line)),
            remarks=tuple(self._remarks),
        )
