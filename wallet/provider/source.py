"""A dataset's file, whatever its format: a stream of records and defects; and a list of numbers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from wallet.provider.checks import record_number
from wallet.provider.csv_source import Lines, read_csv
from wallet.provider.description import Description, Encoding, FileFormat
from wallet.provider.errors import SourceError
from wallet.provider.json_source import read_json_lines
from wallet.provider.parquet_source import read_parquet
from wallet.provider.quality import QualityLog
from wallet.provider.rows import Read


def unit_of(description: Description) -> Literal["line", "row"]:
    """Return what the places in a quality report count."""
    return "row" if description.format is FileFormat.PARQUET else "line"


def read_source(path: Path, description: Description, log: QualityLog) -> Iterator[Read]:
    """Yield what a file holds, in its order.

    Args:
        path: the file.
        description: its format, encoding and columns.
        log: gets remarks about the file.

    Raises:
        SourceError: other columns than described.
        SourceError: the file cannot be read as what it is said to be.
    """
    if description.format is FileFormat.PARQUET:
        yield from read_parquet(path, description.columns)
        return
    read = read_csv if description.format is FileFormat.CSV else read_json_lines
    try:
        with path.open("rb") as file:
            yield from read(Lines(file, description.encoding, log), description.columns)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error


def read_numbers(path: Path) -> Iterator[tuple[int, int]]:
    """Yield line and number of each record that a file names: one number a line, blank lines aside.

    Raises:
        SourceError: the file cannot be read, or a line is no record number.
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
                    raise SourceError(f"line {line.number} of {path.name} is no record number")
                yield line.number, number
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
