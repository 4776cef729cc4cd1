"""The accesses as a table: JSON Lines, CSV or Parquet, made from the chain's events alone.

Names of consumers and datasets are those at the time of the access.
"""

import csv
import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from ledger.deployment import Deployment
from ledger.escaping import escape_cell
from ledger.events import Accessed, EventDecoder, Log
from ledger.hexes import to_hex
from ledger.state import NOTHING, State, apply
from wallet.regulator.errors import ExportFileError

_ROWS_AT_ONCE: Final = 5000


class Format(StrEnum):
    """How to write a table."""

    JSON_LINES = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class AccessRow(msgspec.Struct, frozen=True, gc=False):
    """One access. Ids are 0x strings; what there is not is empty."""

    sequence: int
    at: str
    """ISO 8601, UTC."""
    outcome: str
    consumer: str
    consumer_name: str
    kind: str
    """authorization, agreement, order, dataset, or unknown."""
    basis: str
    subject: str
    dataset: str
    dataset_title: str
    fields: str
    """Names by semicolons."""
    item: str
    access_nonce: str
    block_number: int
    transaction: str
    log_index: int


def access_rows(deployment: Deployment, batches: Iterable[Sequence[Log]]) -> Iterator[AccessRow]:
    """Yield the accesses in logs that begin with the deployment's first.

    Raises:
        LedgerError: the logs cannot be the contracts'; replay says what is wrong.
    """
    decoder, state = EventDecoder(deployment.contracts), State()
    for logs in batches:
        for event in decoder.decode_all(logs):
            if isinstance(event, Accessed):
                yield _row(state, event)
            apply(state, event)


def write_rows(path: Path, rows: Iterable[AccessRow], form: Format) -> int:
    """Write a table; return the number of rows. Memory does not grow with them.

    Raises:
        ExportFileError: the file cannot be written.
    """
    writers: dict[Format, Callable[[Path, Iterable[AccessRow]], int]] = {
        Format.JSON_LINES: _write_json_lines,
        Format.CSV: _write_csv,
        Format.PARQUET: _write_parquet,
    }
    try:
        return writers[form](path, rows)
    except OSError as error:
        raise ExportFileError(f"{path}: {error.strerror}") from error


def _row(state: State, event: Accessed) -> AccessRow:
    kind, subject, dataset = _about(state, event.basis)
    party, known = state.parties.get(event.consumer), state.datasets.get(dataset)
    names = () if known is None else known.fields
    chosen = [name for place, name in enumerate(names) if event.fields >> place & 1]
    return AccessRow(
        sequence=event.sequence,
        at=dt.datetime.fromtimestamp(event.block.timestamp, dt.UTC).isoformat(),
        outcome=event.outcome.title,
        consumer=to_hex(event.consumer),
        consumer_name=party.name if party else "",
        kind=kind,
        basis=to_hex(event.basis),
        subject=to_hex(subject) if subject else "",
        dataset=to_hex(dataset) if dataset else "",
        dataset_title=known.title if known else "",
        fields="; ".join(chosen) if chosen else str(event.fields),
        item="" if event.item == NOTHING else to_hex(event.item),
        access_nonce=str(event.nonce),
        block_number=event.block.number,
        transaction=to_hex(event.transaction),
        log_index=event.log_index,
    )


def _about(state: State, basis: bytes) -> tuple[str, bytes, bytes]:
    """Return what a basis is, its subject and its dataset."""
    granted = state.authorizations.get(basis)
    if granted is not None:
        return "authorization", granted.subject.id, granted.terms.agreement.dataset.id
    agreement = state.agreements.get(basis)
    if agreement is not None:
        return "agreement", b"", agreement.dataset.id
    order = state.orders.get(basis)
    if order is not None:
        return "order", b"", order.dataset
    return ("dataset", b"", basis) if basis in state.datasets else ("unknown", b"", b"")


def _write_json_lines(path: Path, rows: Iterable[AccessRow]) -> int:
    count = 0
    with path.open("wb") as file:
        for row in rows:
            file.write(msgspec.json.encode(row) + b"\n")
            count += 1
    return count


def _write_csv(path: Path, rows: Iterable[AccessRow]) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(AccessRow.__struct_fields__)
        for row in rows:
            writer.writerow(map(_cell, msgspec.structs.astuple(row)))
            count += 1
    return count


def _cell(value: object) -> object:
    """Keep a name that a party chose from being a formula where the file is opened as a sheet."""
    return escape_cell(value) if isinstance(value, str) else value


def _write_parquet(path: Path, rows: Iterable[AccessRow]) -> int:
    import pyarrow as pa  # noqa: PLC0415 - large, and only needed here
    import pyarrow.parquet as pq  # noqa: PLC0415

    numbers = {"sequence", "block_number", "log_index"}
    names = AccessRow.__struct_fields__
    schema: Any = pa.schema(
        [(name, pa.int64() if name in numbers else pa.string()) for name in names]
    )
    count, source = 0, iter(rows)
    with pq.ParquetWriter(path, schema) as writer:
        while some := list(islice(source, _ROWS_AT_ONCE)):
            columns = zip(*map(msgspec.structs.astuple, some), strict=True)
            arrays = [
                pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            count += len(some)
    return count
