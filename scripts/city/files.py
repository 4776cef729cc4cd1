"""Writes and reads a dataset's file in each format, streaming: memory does not grow with the file."""

import csv
import datetime as dt
import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from scripts.city.catalogue import Dataset
from scripts.city.errors import CityError
from scripts.city.rows import Row
from wallet.provider.description import FieldType, FileFormat

_ROWS_PER_BATCH: Final = 4_000


def write_rows(path: Path, dataset: Dataset, rows: Iterable[Row]) -> int:
    """Write a dataset's rows to a new file in the dataset's format; return how many there were.

    Directories above the file are made. If the program dies in here, a part of the file is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    counted = _Counted(rows)
    if dataset.format is FileFormat.CSV:
        _write_csv(path, dataset, counted)
    elif dataset.format is FileFormat.JSON_LINES:
        _write_json_lines(path, dataset, counted)
    else:
        _write_parquet(path, dataset, counted)
    return counted.count


def read_rows(path: Path, dataset: Dataset) -> Iterator[Row]:
    """Yield the rows of a file that `write_rows` wrote, as they were.

    Raises:
        CityError: the file has other columns than the dataset.
    """
    if dataset.format is FileFormat.CSV:
        return _read_csv(path, dataset)
    if dataset.format is FileFormat.JSON_LINES:
        return _read_json_lines(path, dataset)
    return _read_parquet(path, dataset)


def write_table(path: Path, columns: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> int:
    """Write a CSV file in UTF-8 that is no dataset's; return how many lines follow the header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for line in lines:
            writer.writerow(line)
            count += 1
    return count


class _Counted:
    """Iterates over rows once and remembers how many there were."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            yield row


def _write_csv(path: Path, dataset: Dataset, rows: Iterable[Row]) -> None:
    keyed = bool(dataset.key_column)
    with path.open("w", encoding=dataset.encoding, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(dataset.columns)
        for key, number, values in rows:
            writer.writerow((key, number, *values) if keyed else (number, *values))


def _read_csv(path: Path, dataset: Dataset) -> Iterator[Row]:
    keyed = 1 if dataset.key_column else 0
    with path.open(encoding=dataset.encoding, newline="") as file:
        lines = csv.reader(file)
        _check_columns(path, dataset, next(lines, []))
        for line in lines:
            yield Row(line[0] if keyed else "", int(line[keyed]), tuple(line[keyed + 1 :]))


def _write_json_lines(path: Path, dataset: Dataset, rows: Iterable[Row]) -> None:
    integers = {field.name for field in dataset.fields if field.type is FieldType.INTEGER}
    names = [field.name for field in dataset.fields]
    with path.open("w", encoding=dataset.encoding, newline="\n") as file:
        for row in rows:
            line: dict[str, str | int | None] = {}
            if dataset.key_column:
                line[dataset.key_column] = row.key
            line[dataset.number_column] = row.number
            for name, value in zip(names, row.values, strict=True):
                line[name] = int(value) if value and name in integers else value or None
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _read_json_lines(path: Path, dataset: Dataset) -> Iterator[Row]:
    with path.open(encoding=dataset.encoding) as file:
        for text in file:
            line: dict[str, str | int | None] = json.loads(text)
            _check_columns(path, dataset, list(line))
            values = (line[field.name] for field in dataset.fields)
            yield Row(
                str(line[dataset.key_column]) if dataset.key_column else "",
                int(line[dataset.number_column] or 0),
                tuple("" if value is None else str(value) for value in values),
            )


def _write_parquet(path: Path, dataset: Dataset, rows: Iterable[Row]) -> None:
    types = [_arrow_type(field.type) for field in dataset.fields]
    keys = [pa.string()] if dataset.key_column else []
    schema = pa.schema(list(zip(dataset.columns, [*keys, pa.int64(), *types], strict=True)))
    source = iter(rows)
    with pq.ParquetWriter(path, schema) as writer:
        while batch := list(islice(source, _ROWS_PER_BATCH)):
            columns: list[list[Any]] = [[row.key for row in batch]] if dataset.key_column else []
            columns.append([row.number for row in batch])
            for index, field in enumerate(dataset.fields):
                columns.append([_to_arrow(field.type, row.values[index]) for row in batch])
            arrays = [
                pa.array(column, type_) for column, type_ in zip(columns, schema.types, strict=True)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def _read_parquet(path: Path, dataset: Dataset) -> Iterator[Row]:
    with pq.ParquetFile(path) as file:
        _check_columns(path, dataset, file.schema_arrow.names)
        for batch in file.iter_batches(batch_size=_ROWS_PER_BATCH):
            columns = [column.to_pylist() for column in batch.columns]
            keys = columns.pop(0) if dataset.key_column else [""] * batch.num_rows
            numbers = columns.pop(0)
            for key, number, *values in zip(keys, numbers, *columns, strict=True):
                yield Row(key, number, tuple("" if v is None else str(v) for v in values))


def _arrow_type(type_: FieldType) -> Any:
    if type_ is FieldType.INTEGER:
        return pa.int64()
    if type_ is FieldType.DECIMAL:
        return pa.decimal128(18, 2)
    return pa.date32() if type_ is FieldType.DATE else pa.string()


def _to_arrow(type_: FieldType, value: str) -> str | int | Decimal | dt.date | None:
    if not value:
        return None
    if type_ is FieldType.INTEGER:
        return int(value)
    if type_ is FieldType.DECIMAL:
        return Decimal(value)
    return dt.date.fromisoformat(value) if type_ is FieldType.DATE else value


def _check_columns(path: Path, dataset: Dataset, columns: list[str]) -> None:
    if tuple(columns) != dataset.columns:
        raise CityError(f"{path.name} does not have the columns of {dataset.code}")
