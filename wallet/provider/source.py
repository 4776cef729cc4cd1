"""A dataset's file, whatever its format: a stream of records and defects; and a list of numbers.

CSV is read as departments write it (RFC 4180), line by line. A quotation mark that nothing closes would
swallow the rest of the file: the line on which it opened is reported, and reading goes on after it. JSON
Lines has an object a line, its members the columns, nothing nested. Parquet is read in batches of rows.
"""

import csv
import json
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, NamedTuple, NoReturn

from wallet.provider.description import Description, Encoding, FileFormat
from wallet.provider.errors import ProviderError
from wallet.provider.quality import Cells, Defect, DefectKind, QualityLog, Read, record_number

MAX_LINE: Final = 2**20
"""Bytes of a line at most: what a file without line feeds may make us hold."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """One physical line, line feed included."""

    number: int
    text: str
    sound: bool
    """Whether all of it could be decoded."""


class Lines:
    """The lines of a file, decoded; those of the record being read can be given back."""

    def __init__(self, file: BinaryIO, encoding: Encoding, log: QualityLog) -> None:
        self._file = file
        self._encoding = encoding.value
        self._log = log
        self._count = 0
        self._waiting: deque[Line] = deque()
        self.record: list[Line] = []
        """The lines of the record being read."""

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else self._read()
        self.record.append(line)
        return line.text

    def give_back(self, start: int) -> None:
        """Read the current record's lines again, from the `start`-th on."""
        self._waiting.extendleft(reversed(self.record[start:]))
        del self.record[start:]

    def _read(self) -> Line:
        data = self._file.readline(MAX_LINE + 1)
        if not data:
            raise StopIteration
        if len(data) > MAX_LINE:
            raise ProviderError("Source", f"line {self._count + 1} has more than {MAX_LINE} bytes")
        if not self._count and self._encoding == Encoding.UTF_8:
            data = data.removeprefix(_BYTE_ORDER_MARK)
        self._count += 1
        try:
            return Line(self._count, data.decode(self._encoding), sound=True)
        except UnicodeDecodeError:
            other = Encoding.GB18030 if self._encoding == Encoding.UTF_8 else Encoding.UTF_8
            with suppress(UnicodeDecodeError):
                data.decode(other)
                self._log.remark(f"the file may be in {other}: say so in its description")
            return Line(self._count, data.decode(self._encoding, "replace"), sound=False)


def read_csv(lines: Lines, columns: tuple[str, ...]) -> Iterator[Read]:
    """Yield the records of a CSV file whose first line names its columns, in any order.

    Raises:
        ProviderError: columns are missing, unknown or repeated, or a line is too long.
    """
    order = _order(lines, columns)
    while True:
        record = _record(lines, len(columns))
        if record is None:
            return
        if isinstance(record, Defect):
            yield record
        elif record.texts:  # a blank line is no record
            texts = record.texts
            yield Cells(record.line, tuple([texts[place] for place in order]))


def _order(lines: Lines, columns: tuple[str, ...]) -> tuple[int, ...]:
    header = _record(lines, None)
    if not isinstance(header, Cells):
        problem = "is empty" if header is None else f"begins with a damaged header: {header}"
        raise ProviderError("Source", f"the file {problem}")
    names = tuple(name.strip() for name in header.texts)
    missing = [name for name in columns if name not in names]
    unknown = [name[:40] for name in names if name not in columns]
    if missing or unknown or len(names) != len(columns):
        problems = [("missing", missing), ("unknown", unknown)]
        listed = "; ".join(f"{word}: {', '.join(each)}" for word, each in problems if each)
        raise ProviderError(
            "Source", f"line 1: the columns are not the dataset's ({listed or 'repeated'})"
        )
    return tuple(names.index(name) for name in columns)


def _record(lines: Lines, width: int | None) -> Cells | Defect | None:
    """Read one record; None at the end of the file."""
    lines.record.clear()
    try:
        # A reader of its own for each record: after damage, nothing of the old state is left.
        texts = next(csv.reader(lines, strict=True))
    except StopIteration:
        return None
    except csv.Error as error:
        return _broken(lines, str(error))
    first = lines.record[0]
    bad = next((line for line in lines.record if not line.sound), None)
    if bad is not None:
        lines.give_back(1)
        if bad is not first:  # the quotation may be the damage: begin again after its line
            return Defect(
                first.number, DefectKind.BROKEN_LINE, detail="a quotation over damaged lines"
            )
        return Defect(first.number, DefectKind.WRONG_ENCODING)
    if width is None or not texts or len(texts) == width:
        return Cells(first.number, tuple(texts))
    return _wrong_width(lines, len(texts), width)


def _wrong_width(lines: Lines, found: int, width: int) -> Defect:
    first, last = lines.record[0], lines.record[-1]
    lines.give_back(1)
    cut = first is last and found < width and not last.text.endswith(("\n", "\r"))
    kind = DefectKind.TRUNCATED if cut else DefectKind.WRONG_COLUMNS
    detail = f"{found} values for {width} columns"
    if first is not last:
        detail += f", up to line {last.number}"
    return Defect(first.number, kind, detail=detail)


def _broken(lines: Lines, problem: str) -> Defect:
    opened = _open_quotation([line.text for line in lines.record])
    at = 0 if opened is None else opened
    number = lines.record[at].number
    lines.give_back(at + 1)
    detail = problem if opened is None else "a quotation that opens here is not closed properly"
    return Defect(number, DefectKind.BROKEN_LINE, detail=detail)


def _open_quotation(texts: list[str]) -> int | None:
    """Return on which line the quotation opens that is not closed before the record breaks."""
    quoted, opened, at_start, closed = False, 0, True, False
    for place, text in enumerate(texts):
        for character in text:
            if quoted:
                if character == '"':
                    quoted, closed = False, True
            elif closed and character == '"':  # two in a row stand for one
                quoted, closed = True, False
            elif closed and character not in ",\r\n":
                return opened
            elif at_start and character == '"':
                quoted, opened = True, place
            else:
                closed = False
            at_start = not quoted and not closed and character == ","
    return opened if quoted else None


_MAX_BRACKETS: Final = 512
"""More opening brackets than an honest line has; deep nesting would overflow the parser's stack."""


class _Pairs(list[tuple[str, object]]):
    """The members of an object, in the order of the text, repeated ones too."""


def read_json_lines(lines: Lines, columns: tuple[str, ...]) -> Iterator[Read]:
    """Yield the records of a JSON Lines file.

    Numbers keep their text: 12.50 stays 12.50.

    Raises:
        ProviderError: a line is too long.
    """
    expected = frozenset(columns)
    for text in lines:
        line = lines.record.pop()
        if not text.strip():
            continue
        if not line.sound:
            yield Defect(line.number, DefectKind.WRONG_ENCODING)
            continue
        pairs = _pairs(text)
        if pairs is None:
            cut = not text.endswith("\n")
            yield Defect(line.number, DefectKind.TRUNCATED if cut else DefectKind.BROKEN_LINE)
            continue
        members = dict(pairs)
        if len(members) != len(pairs) or members.keys() != expected:
            yield Defect(
                line.number, DefectKind.WRONG_COLUMNS, detail=_difference(members, columns)
            )
            continue
        unfit = [name for name in columns if not isinstance(members[name], str | None)]
        if unfit:
            detail = "neither text nor number nor null"
            yield Defect(line.number, DefectKind.WRONG_TYPE, unfit[0], detail)
            continue
        yield Cells(line.number, tuple([str(members[name] or "") for name in columns]))


def _pairs(text: str) -> _Pairs | None:
    if text.count("[") + text.count("{") > _MAX_BRACKETS:
        return None
    try:
        parsed = json.loads(
            text, object_pairs_hook=_Pairs, parse_float=str, parse_int=str, parse_constant=_refuse
        )
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, _Pairs) else None


def _refuse(_name: str) -> NoReturn:
    raise ValueError("not a JSON number")


def _difference(members: dict[str, object], columns: tuple[str, ...]) -> str:
    missing = [name for name in columns if name not in members]
    unknown = [name[:40] for name in members if name not in columns]
    if missing:
        return f"missing: {', '.join(missing)}"
    return f"unknown: {', '.join(unknown)}" if unknown else "a member is repeated"


_ROWS_PER_BATCH: Final = 2000


def read_parquet(path: Path, columns: tuple[str, ...]) -> Iterator[Cells]:
    """Yield the rows of a Parquet file, numbered from 1; null is a missing value.

    Columns hold text, integers, decimals, dates or booleans. Floating-point numbers and times are
    refused: they have no one text form.

    Raises:
        ProviderError: columns are missing, unknown, or of a kind that is refused; or the file is no Parquet file or damaged.
    """
    # Imported here: Arrow takes a hundred megabytes, which other formats need not pay for.
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        with pq.ParquetFile(path) as file:
            _check_columns(pa, file.schema_arrow, columns)
            number = 0
            batches = file.iter_batches(batch_size=_ROWS_PER_BATCH, columns=list(columns))
            for batch in batches:
                texts = [_texts(pa, batch.column(name)) for name in columns]
                for row in zip(*texts, strict=True):
                    number += 1
                    yield Cells(number, row)
    except (pa.ArrowException, OSError) as error:
        raise ProviderError("Source", f"{path.name} cannot be read as Parquet: {error}") from error


def _check_columns(pa: Any, schema: Any, columns: tuple[str, ...]) -> None:
    missing = [name for name in columns if name not in schema.names]
    unknown = [name for name in schema.names if name not in columns]
    if missing or unknown or len(schema.names) != len(columns):
        problems = (("missing", missing), ("unknown", unknown))
        listed = "; ".join(f"{word}: {', '.join(each)}" for word, each in problems if each)
        raise ProviderError("Source", f"the columns are not the dataset's ({listed or 'repeated'})")
    for name in columns:
        kind = schema.field(name).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if not _has_one_text(pa.types, kind):
            raise ProviderError(
                "Source", f"column {name} is of type {kind}, which has no one text form"
            )


def _has_one_text(types: Any, kind: Any) -> bool:
    tests = (types.is_string, types.is_large_string, types.is_integer, types.is_decimal)
    return any(test(kind) for test in (*tests, types.is_date32, types.is_null))


def _texts(pa: Any, column: Any) -> list[str]:
    if pa.types.is_decimal(column.type):
        return ["" if value is None else f"{value:f}" for value in column.to_pylist()]
    return ["" if text is None else text for text in column.cast(pa.string()).to_pylist()]


def unit_of(description: Description) -> Literal["line", "row"]:
    """Return the unit of the places in a quality report."""
    return "row" if description.format is FileFormat.PARQUET else "line"


def read_source(path: Path, description: Description, log: QualityLog) -> Iterator[Read]:
    """Yield the records of a file, in its order; remarks about the file go to the log.

    Raises:
        ProviderError: other columns than described, or the file cannot be read as what it is said to be.
    """
    if description.format is FileFormat.PARQUET:
        yield from read_parquet(path, description.columns)
        return
    read = read_csv if description.format is FileFormat.CSV else read_json_lines
    try:
        with path.open("rb") as file:
            yield from read(Lines(file, description.encoding, log), description.columns)
    except OSError as error:
        raise ProviderError("Source", f"{path}: {error.strerror}") from error


def read_numbers(path: Path) -> Iterator[tuple[int, int]]:
    """Yield line and number of each record that a file names: one number a line, blank lines aside.

    Raises:
        ProviderError: the file cannot be read, or a line is no record number.
    """
    try:
        with path.open("rb") as file:
            lines = Lines(file, Encoding.UTF_8, QualityLog())
            for text in lines:
                line = lines.record.pop()
                if not text.strip():
                    continue
                number = record_number(text.strip())
                if number is None:
                    raise ProviderError(
                        "Source", f"line {line.number} of {path.name} is no record number"
                    )
                yield line.number, number
    except OSError as error:
        raise ProviderError("Source", f"{path}: {error.strerror}") from error
