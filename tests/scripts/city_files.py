"""Reading what a city's files say, for tests of them."""

import csv
import datetime as dt
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from pathlib import Path

from scripts.city.catalogue import Dataset
from scripts.city.files import read_rows
from scripts.city.rows import Row
from scripts.city.write import Size
from wallet.provider.description import FieldDescription, FieldType

SIZE = Size(people=600, enterprises=40, records=6_000)
SEED = 7


def sound(field: FieldDescription, value: str) -> bool:
    """Tell whether a value is written as its field's type says."""
    if not value:
        return field.optional
    try:
        if field.type is FieldType.INTEGER:
            return str(int(value)) == value
        if field.type is FieldType.DECIMAL:
            return f"{Decimal(value):.2f}" == value
        if field.type is FieldType.DATE:
            return dt.date.fromisoformat(value).isoformat() == value
    except (ValueError, InvalidOperation):
        return False
    return value == value.strip() and "\n" not in value


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def records(directory: Path, dataset: Dataset) -> list[Row]:
    return list(read_rows(directory / dataset.file, dataset))


def named(dataset: Dataset, row: Row) -> dict[str, str]:
    return dict(zip((field.name for field in dataset.fields), row.values, strict=True))


def digests(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
