"""Transactions on their way, and reading what became of them. Pure: no I/O."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Final

import msgspec

from ledger.api import RecordedAccess
from ledger.chain.eth_methods import EventError, Receipt, with_timestamp
from ledger.chain.events import Accessed, BatchSkipped, Event, Recorded
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.transactions import Fee, parse_transaction
from ledger.model import Outcome
from ledger.recorder.batch import Entry, entries_of
from ledger.recorder.journal import (
    SKIPPED,
    SKIPPED_BATCH,
    Journaled,
    Sent,
    Settled,
    split_accesses,
    split_signatures,
)
from ledger.recorder.settings import RecorderError, TransactionRejectedError

_NEVER: Final = float("-inf")
_FREE: Final = Fee(0)


class Relayed(msgspec.Struct, frozen=True):
    """A transaction that was relayed, in its final block."""

    transaction: bytes
    """Hash."""
    block_number: int
    block_hash: bytes
    timestamp: int
    """Of the block, seconds since 1970."""
    receipt: Receipt


@dataclass(eq=False, slots=True)
class PendingTransaction:
    """One nonce of one sender.

    Attributes:
        attempts: the transactions that were journaled for it; later ones offer more.
        entries: the accesses that it records, in order; none for any other transaction.
        waiters: of a relayed transaction.
        segment: of the journal.
        began_at: when it was journaled (monotonic seconds).
        sent_at: when it was last sent.
        fee: what the newest attempt offers.
        rejection: why the node did not take it the last time.
        doubted: number of the block at which its nonce was used and its receipt not there; None when all is well.
    """

    sender: bytes
    nonce: int
    to: bytes
    data: bytes
    attempts: list[Sent]
    entries: Sequence[Entry] = ()
    waiters: list[asyncio.Future[Relayed]] = field(default_factory=list)
    segment: int = 0
    began_at: float = 0.0
    sent_at: float = _NEVER
    fee: Fee = _FREE
    rejection: TransactionRejectedError | None = None
    doubted: int | None = None

    @property
    def newest(self) -> Sent:
        return self.attempts[-1]


def flight_of(journaled: Journaled) -> PendingTransaction:
    """Return what a journal says is on its way.

    Raises:
        MalformedError, ValueError: it is not what a recorder journals.
    """
    first = journaled.attempts[0]
    content = parse_transaction(first.raw).content
    entries: Sequence[Entry] = ()
    if first.accesses:
        accesses = split_accesses(first)
        # A replacement, read by itself, has no signatures.
        signatures = split_signatures(first) or [b""] * len(accesses)
        entries = entries_of(content.data, accesses, signatures)
        for entry in entries:
            entry.journaled = True
    return PendingTransaction(
        sender=first.sender,
        nonce=first.nonce,
        to=content.to or b"",
        data=content.data,
        attempts=list(journaled.attempts),
        entries=entries,
        segment=journaled.segment,
        fee=parse_transaction(journaled.attempts[-1].raw).content.fee,
        began_at=time.monotonic(),
    )


class PendingTransactions:
    """All transactions on their way, in the order in which they were journaled."""

    def __init__(self) -> None:
        self._flights: dict[tuple[bytes, int], PendingTransaction] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def __iter__(self) -> Iterator[PendingTransaction]:
        return iter(list(self._flights.values()))

    def add(self, flight: PendingTransaction) -> None:
        self._flights[flight.sender, flight.nonce] = flight

    def remove(self, flight: PendingTransaction) -> None:
        self._flights.pop((flight.sender, flight.nonce), None)

    def find(self, sender: bytes, nonce: int) -> PendingTransaction | None:
        return self._flights.get((sender, nonce))

    def of(self, sender: bytes) -> list[PendingTransaction]:
        """Return a sender's flights, by nonce."""
        mine = (flight for flight in self._flights.values() if flight.sender == sender)
        return sorted(mine, key=lambda flight: flight.nonce)

    def calling(self, to: bytes, data: bytes) -> PendingTransaction | None:
        return next((f for f in self._flights.values() if f.to == to and f.data == data), None)

    def oldest_segment(self, newest: int) -> int:
        """Return the lowest segment that a flight is in; `newest` when there is none."""
        return min((flight.segment for flight in self._flights.values()), default=newest)


_NONCE: Final = slice(64, 96)
_BASIS: Final = slice(0, 32)


class BatchResult(msgspec.Struct, frozen=True):
    """A transaction in its final block."""

    receipt: Receipt
    record: Settled
    """What the journal keeps of it."""
    answers: tuple[RecordedAccess | None, ...]
    """What became of its entries, in their order: the access, or None for one passed over."""

    @property
    def accesses(self) -> list[RecordedAccess]:
        return [access for access in self.answers if access is not None]


def read_settlement(
    receipt: Receipt, timestamp: int, entries: Sequence[Entry], decoder: EventDecoder
) -> BatchResult:
    """Return what a transaction did, from its receipt in a final block of that `timestamp`.

    `entries` are the accesses that it should have recorded, in order.

    Raises:
        RecorderError: it recorded something else.
    """
    if not entries or not receipt.succeeded:
        return BatchResult(receipt, _settled(receipt, timestamp, b"", None, 0), ())
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
    return BatchResult(receipt, record, tuple(answers))


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
