"""Transactions on their way: journaled, perhaps sent, not settled yet. Pure: no I/O."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from ledger.queries import Receipt
from ledger.recorder.entries import Entry, entries_of
from ledger.recorder.errors import TransactionRejectedError
from ledger.recorder.records import Journaled, Sent, split_accesses, split_signatures
from ledger.transactions import Fee, parse_transaction

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
class Flight:
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
        """The attempt that is sent."""
        return self.attempts[-1]


def flight_of(journaled: Journaled) -> Flight:
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
    return Flight(
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


class Flights:
    """All transactions on their way, in the order in which they were journaled."""

    def __init__(self) -> None:
        self._flights: dict[tuple[bytes, int], Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def __iter__(self) -> Iterator[Flight]:
        return iter(list(self._flights.values()))

    def add(self, flight: Flight) -> None:
        """Take in a journaled transaction."""
        self._flights[flight.sender, flight.nonce] = flight

    def remove(self, flight: Flight) -> None:
        """Take out what has settled."""
        self._flights.pop((flight.sender, flight.nonce), None)

    def find(self, sender: bytes, nonce: int) -> Flight | None:
        """Return the flight with a nonce."""
        return self._flights.get((sender, nonce))

    def of(self, sender: bytes) -> list[Flight]:
        """Return a sender's flights, by nonce."""
        mine = (flight for flight in self._flights.values() if flight.sender == sender)
        return sorted(mine, key=lambda flight: flight.nonce)

    def calling(self, to: bytes, data: bytes) -> Flight | None:
        """Return a flight that makes this call."""
        return next((f for f in self._flights.values() if f.to == to and f.data == data), None)

    def oldest_segment(self, newest: int) -> int:
        """Return the lowest segment that a flight is in; `newest` when there is none."""
        return min((flight.segment for flight in self._flights.values()), default=newest)
