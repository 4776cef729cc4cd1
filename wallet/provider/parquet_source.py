"""Reads Parquet in batches of rows, so that memory does not grow with the file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from wallet.provider.errors import SourceError
from wallet.provider.rows import Cells

_ROWS_PER_BATCH: Final = 2000


def read_parquet(path: Path, columns: tuple[str, ...]) -> Iterator[Cells]:
    """Yield the rows of a Parquet file, numbered from 1; null is a missing value.

    Columns hold text, integers, decimals, dates or booleans. Floating-point numbers and times are
    refused: they have no one text form.

    Raises:
        SourceError: columns are missing, unknown, or of a kind that is refused.
        SourceError: the file is no Parquet file or damaged.
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
        raise SourceError(f"{path.name} cannot be read as Parquet: {error}") from error


def _check_columns(pa: Any, schema: Any, columns: tuple[str, ...]) -> None:
    missing = [name for name in columns if name not in schema.names]
    unknown = [name for name in schema.names if name not in columns]
    if missing or unknown or len(schema.names) != len(columns):
        problems = (("missing", missing), ("unknown", unknown))
        listed = "; ".join(f"{word}: {', '.join(each)}" for word, each in problems if each)
        raise SourceError(f"the columns are not the dataset's ({listed or 'repeated'})")
    for name in columns:
        kind = schema.field(name).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if not _has_one_text(pa.types, kind):
            raise SourceError(f"column {name} is of type {kind}, which has no one text form")


def _has_one_text(types: Any, kind: Any) -> bool:
    tests = (types.is_string, types.is_large_string, types.is_integer, types.is_decimal)
    return any(test(kind) for test in (*tests, types.is_date32, types.is_null))


def _texts(pa: Any, column: Any) -> list[str]:
    if pa.types.is_decimal(column.type):
        return ["" if value is None else f"{value:f}" for value in column.to_pylist()]
    return ["" if text is None else text for text in column.cast(pa.string()).to_pylist()]
