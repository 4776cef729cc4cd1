"""The accesses as a table: JSON Lines, CSV or Parquet, made from the chain's events alone.

Rows are made while a replay reads (`ledger.replay.Witness`), never from a reading of their own: what a
table shows was checked. They are made of whatever the replay was told, right or not. Names of consumers
and datasets are those at the time of the access.
"""

import csv
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec

from ledger.chain.events import Accessed, Event
from ledger.hexstr import to_hex
from ledger.model import ZERO_WORD, State
from ledger.plain_text import escape_cell, escape_json, iso_moment
from ledger.replay.engine import Witness
from wallet.errors import PartyError

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


Add = Callable[[AccessRow], None]
"""Takes the next row."""


def access_rows(add: Add) -> Witness:
    """Return a replay's witness that makes a row of each access."""

    def witness(state: State, event: Event) -> None:
        if isinstance(event, Accessed):
            add(_row(state, event))

    return witness


@contextmanager
def open_table(path: Path, form: Format) -> Iterator[Add]:
    """Write a table; the file is there, whole, once all went well. Memory does not grow with the rows.

    Raises:
        PartyError: the file cannot be written.
    """
    beside = path.with_name(f"{path.name}.new")
    try:
        with _WRITERS[form](beside) as add:
            yield add
        beside.replace(path)
    except OSError as error:
        raise PartyError("Regulator", f"{path}: {error.strerror}") from error
    finally:
        beside.unlink(missing_ok=True)


def _row(state: State, event: Accessed) -> AccessRow:
    kind, subject, dataset = _about(state, event.basis)
    party, known = state.parties.get(event.consumer), state.datasets.get(dataset)
    names = () if known is None else known.fields
    chosen = [name for place, name in enumerate(names) if event.fields >> place & 1]
    return AccessRow(
        sequence=event.sequence,
        at=iso_moment(event.block.timestamp),
        outcome=event.outcome.title,
        consumer=to_hex(event.consumer),
        consumer_name=party.name if party else "",
        kind=kind,
        basis=to_hex(event.basis),
        subject=to_hex(subject) if subject else "",
        dataset=to_hex(dataset) if dataset else "",
        dataset_title=known.title if known else "",
        fields="; ".join(chosen) if chosen else str(event.fields),
        item="" if event.item == ZERO_WORD else to_hex(event.item),
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


@contextmanager
def _json_lines(path: Path) -> Iterator[Add]:
    with path.open("wb") as file:

        def add(row: AccessRow) -> None:
            file.write(escape_json(msgspec.json.encode(row).decode()).encode() + b"\n")

        yield add


@contextmanager
def _csv(path: Path) -> Iterator[Add]:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(AccessRow.__struct_fields__)

        def add(row: AccessRow) -> None:
            writer.writerow(map(_cell, msgspec.structs.astuple(row)))

        yield add


def _cell(value: object) -> object:
    """Keep a name that a party chose from being a formula where the file is opened as a sheet."""
    return escape_cell(value) if isinstance(value, str) else value


@contextmanager
def _parquet(path: Path) -> Iterator[Add]:
    import pyarrow as pa  # noqa: PLC0415 - large, and only needed here
    import pyarrow.parquet as pq  # noqa: PLC0415

    numbers = {"sequence", "block_number", "log_index"}
    names = AccessRow.__struct_fields__
    schema: Any = pa.schema(
        [(name, pa.int64() if name in numbers else pa.string()) for name in names]
    )
    rows: list[AccessRow] = []
    with pq.ParquetWriter(path, schema) as writer:

        def write() -> None:
            columns = zip(*map(msgspec.structs.astuple, rows), strict=True)
            arrays = [
                pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            rows.clear()

        def add(row: AccessRow) -> None:
            rows.append(row)
            if len(rows) == _ROWS_AT_ONCE:
                write()

        yield add
        if rows:
            write()


_WRITERS: Final[dict[Format, Callable[[Path], AbstractContextManager[Add]]]] = {
    Format.JSON_LINES: _json_lines,
    Format.CSV: _csv,
    Format.PARQUET: _parquet,
}
