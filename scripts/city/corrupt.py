"""Copies a dataset's CSV file with one defect, and says in which line it is.

For tests of whoever reads such files: the defect is the only one, and everything before it is sound.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from io import StringIO
from pathlib import Path
from random import Random
from typing import Final

from scripts.city.catalogue import Dataset
from scripts.city.errors import CityError
from scripts.city.randomness import stream
from wallet.provider.description import Encoding, FieldType, FileFormat, KeyKind


class Defect(StrEnum):
    """A kind of defect."""

    WRONG_HEADER = "wrong-header"
    """A field's column has another name."""
    BROKEN_LINE = "broken-line"
    """A value begins with a quotation mark that nothing closes."""
    WRONG_ENCODING = "wrong-encoding"
    """A UTF-8 file is in GB18030; a GB18030 file has a byte that GB18030 never has (FF)."""
    DUPLICATE_NUMBER = "duplicate-number"
    """A record has the number (and the key) of an earlier one."""
    MISSING_KEY = "missing-key"
    """A record does not say whom it is about."""
    WRONG_CHECK_CHARACTER = "wrong-check-character"
    """The last character of a resident id or credit code is another one."""
    WRONG_TYPE = "wrong-type"
    """Words stand where a number or a date belongs."""
    TRUNCATED = "truncated"
    """The file ends in the middle of a line."""


@dataclass(frozen=True, slots=True)
class Corruption:
    """A copy with its defect.

    Attributes:
        path: the copy.
        line: the line of the file, counted from 1 (the header), where the defect is. With a wrong
            encoding, the first that cannot be decoded.
        column: the column's right name, empty when the defect is not in one.
        first_line: of a duplicate, the line of the record that it repeats; otherwise 0.
    """

    defect: Defect
    path: Path
    line: int
    column: str = ""
    first_line: int = 0


@dataclass(frozen=True, slots=True)
class _Damage:
    """The bytes of a damaged file, and where the damage is."""

    data: bytes
    line: int
    column: str = ""
    first_line: int = 0


def corrupt(
    source: Path, dataset: Dataset, defect: Defect, target: Path, seed: int = 1
) -> Corruption:
    """Write a copy of a CSV file with one defect to `target`.

    The file is held in memory. `seed` decides which line is damaged; never the header, except by
    `WRONG_HEADER`.

    Raises:
        CityError: the file is no CSV file with at least three records, is the target itself, or the
            dataset has nothing that the defect could damage (a key, a typed field).
    """
    if dataset.format is not FileFormat.CSV or source.resolve() == target.resolve():
        raise CityError(f"{source} cannot be copied to {target} with a defect")
    with source.open(encoding=dataset.encoding, newline="\n") as file:
        lines = file.readlines()
    if len(lines) < 4:
        raise CityError(f"{source} has too few records for a defect")
    damage = _DAMAGES[defect](_Sheet(dataset, lines), stream(seed, "corrupt", dataset.code, defect))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(damage.data)
    return Corruption(defect, target, damage.line, damage.column, damage.first_line)


def corrupt_all(source: Path, dataset: Dataset, directory: Path, seed: int = 1) -> list[Corruption]:
    """Write a copy for each defect that the dataset can have, named after the defect.

    Raises:
        CityError: as `corrupt`.
    """
    keyed = {Defect.MISSING_KEY, Defect.WRONG_CHECK_CHARACTER}
    possible = [defect for defect in Defect if dataset.key_column or defect not in keyed]
    return [
        corrupt(source, dataset, defect, directory / f"{defect}.csv", seed) for defect in possible
    ]


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A file's lines, with the header first; indexes count from 0."""

    dataset: Dataset
    lines: list[str]

    def any_index(self, rng: Random) -> int:
        """Return a line that is not the header, the first record or the last."""
        return rng.randrange(2, len(self.lines) - 1)

    def cells(self, index: int) -> list[str]:
        return next(csv.reader([self.lines[index]]))

    def with_cells(self, index: int, cells: list[str]) -> bytes:
        buffer = StringIO()
        csv.writer(buffer, lineterminator="\n").writerow(cells)
        return self.with_line(index, buffer.getvalue())

    def with_line(self, index: int, line: str) -> bytes:
        lines = [*self.lines[:index], line, *self.lines[index + 1 :]]
        return "".join(lines).encode(self.dataset.encoding)


def _wrong_header(sheet: _Sheet, rng: Random) -> _Damage:
    place = rng.randrange(len(sheet.cells(0)) - len(sheet.dataset.fields), len(sheet.cells(0)))
    cells = sheet.cells(0)
    column, cells[place] = cells[place], f"{cells[place]}_old"
    return _Damage(sheet.with_cells(0, cells), 1, column)


def _broken_line(sheet: _Sheet, rng: Random) -> _Damage:
    index = sheet.any_index(rng)
    # Before the first field; the values before it (key and number) never need quotation marks.
    head = sheet.dataset.columns.index(sheet.dataset.fields[0].name)
    parts = sheet.lines[index].split(",", head)
    parts[head] = '"' + parts[head].replace('"', "")
    column = sheet.dataset.fields[0].name
    return _Damage(sheet.with_line(index, ",".join(parts)), index + 1, column)


def _wrong_encoding(sheet: _Sheet, rng: Random) -> _Damage:
    if sheet.dataset.encoding is Encoding.GB18030:
        index = sheet.any_index(rng)
        before = "".join(sheet.lines[:index]).encode(Encoding.GB18030)
        return _Damage(
            before + b"\xff" + "".join(sheet.lines[index:]).encode(Encoding.GB18030), index + 1
        )
    lines = [line.encode(Encoding.GB18030) for line in sheet.lines]
    for index, line in enumerate(lines):
        try:
            line.decode(Encoding.UTF_8)
        except UnicodeDecodeError:
            return _Damage(b"".join(lines), index + 1)
    raise CityError("the file has only characters that all encodings share")


def _duplicate_number(sheet: _Sheet, rng: Random) -> _Damage:
    index = sheet.any_index(rng)
    earlier = rng.randrange(1, index)
    cells, original = sheet.cells(index), sheet.cells(earlier)
    identifying = len(cells) - len(sheet.dataset.fields)
    damaged = sheet.with_cells(index, original[:identifying] + cells[identifying:])
    return _Damage(damaged, index + 1, sheet.dataset.number_column, earlier + 1)


def _missing_key(sheet: _Sheet, rng: Random) -> _Damage:
    column = _key_column(sheet)
    index = sheet.any_index(rng)
    return _Damage(sheet.with_cells(index, ["", *sheet.cells(index)[1:]]), index + 1, column)


def _wrong_check_character(sheet: _Sheet, rng: Random) -> _Damage:
    column = _key_column(sheet)
    index = sheet.any_index(rng)
    key, *others = sheet.cells(index)
    characters = "0123456789X" if sheet.dataset.key_kind is KeyKind.RESIDENT else "0123456789ABCDEF"
    check = rng.choice([character for character in characters if character != key[-1]])
    return _Damage(sheet.with_cells(index, [key[:-1] + check, *others]), index + 1, column)


def _wrong_type(sheet: _Sheet, rng: Random) -> _Damage:
    typed = [field for field in sheet.dataset.fields if field.type is not FieldType.TEXT]
    if not typed:
        raise CityError(f"{sheet.dataset.code} has only fields of text")
    field = rng.choice(typed)
    index = sheet.any_index(rng)
    cells = sheet.cells(index)
    cells[sheet.dataset.columns.index(field.name)] = "不详"
    return _Damage(sheet.with_cells(index, cells), index + 1, field.name)


def _truncated(sheet: _Sheet, rng: Random) -> _Damage:
    index = sheet.any_index(rng)
    cells = sheet.cells(index)
    kept = ",".join(cells[: len(cells) // 2])
    text = "".join(sheet.lines[:index]) + kept
    return _Damage(text.encode(sheet.dataset.encoding), index + 1)


def _key_column(sheet: _Sheet) -> str:
    if not sheet.dataset.key_column:
        raise CityError(f"{sheet.dataset.code} is about nobody and has no key")
    return sheet.dataset.key_column


_DAMAGES: Final[dict[Defect, Callable[[_Sheet, Random], _Damage]]] = {
    Defect.WRONG_HEADER: _wrong_header,
    Defect.BROKEN_LINE: _broken_line,
    Defect.WRONG_ENCODING: _wrong_encoding,
    Defect.DUPLICATE_NUMBER: _duplicate_number,
    Defect.MISSING_KEY: _missing_key,
    Defect.WRONG_CHECK_CHARACTER: _wrong_check_character,
    Defect.WRONG_TYPE: _wrong_type,
    Defect.TRUNCATED: _truncated,
}
