"""Reads CSV as departments write it (RFC 4180), line by line, and finds its way back after damage.

A quotation mark that nothing closes would swallow the rest of the file. Here the line on which it
opened is reported, and reading goes on with the line after it.
"""

import csv
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO, Final

from wallet.provider.description import Encoding
from wallet.provider.errors import SourceError
from wallet.provider.quality import Defect, Kind, QualityLog
from wallet.provider.rows import Cells, Read

MOST_LINE: Final = 2**20
"""Bytes of a line at most: what a file without line feeds may make us hold."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Line:
    """One physical line, line feed included."""

    __slots__ = ("number", "sound", "text")

    def __init__(self, number: int, text: str, *, sound: bool) -> None:
        self.number = number
        self.text = text
        self.sound = sound
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
        data = self._file.readline(MOST_LINE + 1)
        if not data:
            raise StopIteration
        if len(data) > MOST_LINE:
            raise SourceError(f"line {self._count + 1} has more than {MOST_LINE} bytes")
        if not self._count and self._encoding == Encoding.UTF_8:
            data = data.removeprefix(_BYTE_ORDER_MARK)
        self._count += 1
        try:
            return Line(self._count, data.decode(self._encoding), sound=True)
        except UnicodeDecodeError:
            self._remark(data)
            return Line(self._count, data.decode(self._encoding, "replace"), sound=False)

    def _remark(self, data: bytes) -> None:
        other = Encoding.GB18030 if self._encoding == Encoding.UTF_8 else Encoding.UTF_8
        try:
            data.decode(other)
        except UnicodeDecodeError:
            return
        self._log.remark(f"the file may be in {other}: say so in its description")


def read_csv(lines: Lines, columns: tuple[str, ...]) -> Iterator[Read]:
    """Yield the records of a CSV file whose first line names its columns, in any order.

    Raises:
        SourceError: columns are missing, unknown or repeated.
        SourceError: a line is too long.
    """
    order = _order(lines, columns)
    while True:
        found = _record(lines, len(columns))
        if found is None:
            return
        if isinstance(found, Defect):
            yield found
        elif found.texts:  # a blank line is no record
            texts = found.texts
            yield Cells(found.line, tuple([texts[place] for place in order]))


def _order(lines: Lines, columns: tuple[str, ...]) -> tuple[int, ...]:
    header = _record(lines, None)
    if not isinstance(header, Cells):
        problem = "is empty" if header is None else f"begins with a damaged header: {header}"
        raise SourceError(f"the file {problem}")
    names = tuple(name.strip() for name in header.texts)
    missing = [name for name in columns if name not in names]
    unknown = [name[:40] for name in names if name not in columns]
    if missing or unknown or len(names) != len(columns):
        problems = [("missing", missing), ("unknown", unknown)]
        listed = "; ".join(f"{word}: {', '.join(each)}" for word, each in problems if each)
        raise SourceError(f"line 1: the columns are not the dataset's ({listed or 'repeated'})")
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
            return Defect(first.number, Kind.BROKEN_LINE, detail="a quotation over damaged lines")
        return Defect(first.number, Kind.WRONG_ENCODING)
    if width is None or not texts or len(texts) == width:
        return Cells(first.number, tuple(texts))
    return _wrong_width(lines, len(texts), width)


def _wrong_width(lines: Lines, found: int, width: int) -> Defect:
    first, last = lines.record[0], lines.record[-1]
    lines.give_back(1)
    cut = first is last and found < width and not last.text.endswith(("\n", "\r"))
    kind = Kind.TRUNCATED if cut else Kind.WRONG_COLUMNS
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
    return Defect(number, Kind.BROKEN_LINE, detail=detail)


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
