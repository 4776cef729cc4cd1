"""Outcomes of transactions, from their receipts. Pure: no I/O."""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

import msgspec

from ledger.enumerations import Outcome
from ledger.events import Accessed, BatchSkipped, Event, EventError, Recorded, with_timestamp
from ledger.events.decoding import EventDecoder
from ledger.exchange import RecordedAccess
from ledger.queries import Receipt
from ledger.recorder.entries import Entry
from ledger.recorder.errors import RecorderError
from ledger.recorder.records import SKIPPED, SKIPPED_BATCH, Settled

_NONCE: Final = slice(64, 96)
_BASIS: Final = slice(0, 32)


class Settlement(msgspec.Struct, frozen=True):
    """A transaction in its final block."""

    receipt: Receipt
    record: Settled
    """What the journal keeps of it."""
    answers: tuple[RecordedAccess | None, ...]
    """What became of its entries, in their order: the access, or None for one passed over."""

    @property
    def accesses(self) -> list[RecordedAccess]:
        """What it recorded."""
        return [access for access in self.answers if access is not None]


def read_settlement(
    receipt: Receipt, timestamp: int, entries: Sequence[Entry], decoder: EventDecoder
) -> Settlement:
    """Return what a transaction did, from its receipt in a final block of that `timestamp`.

    `entries` are the accesses that it should have recorded, in order.

    Raises:
        RecorderError: it recorded something else.
    """
    if not entries or not receipt.succeeded:
        return Settlement(receipt, _settled(receipt, timestamp, b"", None, 0), ())
    logs = receipt.logs
    if logs and logs[0].block_timestamp is None:
        logs = tuple(with_timestamp(log, timestamp) for log in logs)
    try:
        events = decoder.decode_all(logs)
    except EventError as error:
        raise RecorderError(f"a receipt holds what is no event: {error}") from error
    if not events or not isinstance(events[-1], Recorded):
        raise RecorderError(f"{len(events)} events for {len(entries)} accesses")
    outcomes = _outcomes(entries, events[:-1])
    record = _settled(receipt, timestamp, outcomes, events[-1], events[0].log_index)
    answers = placed(record, [entry.access for entry in entries])
    numbers = [(event.sequence, event.log_index) for event in events if isinstance(event, Accessed)]
    if numbers != [(a.sequence, a.log_index) for a in answers if a is not None]:
        raise RecorderError("a receipt numbers accesses in another way than the contract")
    return Settlement(receipt, record, tuple(answers))


def placed(settled: Settled, accesses: Sequence[bytes]) -> list[RecordedAccess | None]:
    """Return what a journal knows of the accesses of a transaction: None for those passed over.

    `accesses` are their ids, in order.
    """
    answers: list[RecordedAccess | None] = []
    sequence, log = settled.first_sequence, settled.first_log
    for access, outcome in zip(accesses, settled.outcomes, strict=True):
        if outcome >= SKIPPED_BATCH:
            answers.append(None)
            log += outcome == SKIPPED_BATCH
            continue
        answers.append(
            RecordedAccess(
                access=access,
                sequence=sequence,
                outcome=outcome,
                block_number=settled.block_number,
                block_hash=settled.block_hash,
                timestamp=settled.timestamp,
                transaction=settled.hash,
                log_index=log,
            )
        )
        sequence, log = sequence + 1, log + 1
    return answers


def remembered(settled: Settled, accesses: Sequence[bytes]) -> list[RecordedAccess]:
    """Return the accesses of a transaction that answer their requests; see `placed`, `is_duplicate`."""
    return [a for a in placed(settled, accesses) if a is not None and not is_duplicate(a)]


def is_duplicate(access: RecordedAccess) -> bool:
    """Whether the contract knew the request's nonce: this access is not the request's first."""
    return access.outcome == Outcome.DUPLICATE_REQUEST


def _outcomes(entries: Sequence[Entry], events: Sequence[Event]) -> bytes:
    """Return a byte for each entry; each batch has an event that it was skipped, or one for each."""
    outcomes, place = bytearray(), 0
    for consumer, group in groupby(entries, attrgetter("consumer")):
        batch = list(group)
        event = events[place] if place < len(events) else None
        if isinstance(event, BatchSkipped) and event.consumer == consumer:
            outcomes += bytes((SKIPPED_BATCH, *[SKIPPED] * (len(batch) - 1)))
            place += 1
            continue
        answers = events[place : place + len(batch)]
        if len(answers) != len(batch):
            break  # and is short
        outcomes += bytes(map(_outcome, batch, answers))
        place += len(batch)
    if place != len(events) or len(outcomes) != len(entries):
        raise RecorderError(f"{len(events)} events for {len(entries)} accesses")
    return bytes(outcomes)


def _outcome(entry: Entry, event: Event) -> int:
    encoded = entry.encoded
    if (
        not isinstance(event, Accessed)
        or event.basis != encoded[_BASIS]
        or event.consumer != entry.consumer
        or event.nonce != int.from_bytes(encoded[_NONCE], "big")
    ):
        raise RecorderError("a receipt records another access than was asked for")
    return event.outcome


def _settled(
    receipt: Receipt, timestamp: int, outcomes: bytes, recorded: Recorded | None, first_log: int
) -> Settled:
    count = sum(outcome < SKIPPED_BATCH for outcome in outcomes)
    return Settled(
        hash=receipt.transaction_hash,
        block_number=receipt.block_number,
        block_hash=receipt.block_hash,
        timestamp=timestamp,
        index=receipt.transaction_index,
        succeeded=receipt.succeeded,
        first_sequence=recorded.sequence - count + 1 if recorded else 0,
        first_log=first_log,
        outcomes=outcomes,
        head=recorded.head if recorded else b"",
    )
