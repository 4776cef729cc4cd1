"""Reading what became of transactions. Pure: no I/O."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ledger.enumerations import Outcome
from ledger.events import Accessed, EventDecoder, EventError, Log, Recorded, with_timestamp
from ledger.exchange import RecordedAccess
from ledger.queries import Receipt
from ledger.recorder.entries import Entry
from ledger.recorder.errors import InconsistentReceiptError
from ledger.recorder.records import Settled

_NONCE: Final = slice(64, 96)
_BASIS: Final = slice(0, 32)


class Settlement(msgspec.Struct, frozen=True):
    """A transaction in its final block."""

    receipt: Receipt
    timestamp: int
    accesses: tuple[RecordedAccess, ...]
    """What it recorded, in the order of its entries."""
    head: bytes
    """The running hash behind it; empty when it recorded nothing."""

    @property
    def record(self) -> Settled:
        """What the journal keeps of it."""
        first = self.accesses[0] if self.accesses else None
        return Settled(
            hash=self.receipt.transaction_hash,
            block_number=self.receipt.block_number,
            block_hash=self.receipt.block_hash,
            timestamp=self.timestamp,
            index=self.receipt.transaction_index,
            succeeded=self.receipt.succeeded,
            first_sequence=first.sequence if first else 0,
            first_log=first.log_index if first else 0,
            outcomes=bytes(access.outcome for access in self.accesses),
            head=self.head,
        )


def read_settlement(
    receipt: Receipt, timestamp: int, entries: Sequence[Entry], decoder: EventDecoder
) -> Settlement:
    """Return what a transaction did.

    Args:
        receipt: of a final block.
        timestamp: of that block.
        entries: the accesses that it should have recorded, in order.
        decoder: of the deployment.

    Raises:
        InconsistentReceiptError: it recorded something else.
    """
    if not entries or not receipt.succeeded:
        return Settlement(receipt, timestamp, (), b"")
    try:
        events = decoder.decode_all(_dated(receipt.logs, timestamp))
    except EventError as error:
        raise InconsistentReceiptError(f"a receipt holds what is no event: {error}") from error
    if len(events) != len(entries) + 1 or not isinstance(events[-1], Recorded):
        raise InconsistentReceiptError(f"{len(events)} events for {len(entries)} accesses")
    accesses = tuple([_access(e, event) for e, event in zip(entries, events, strict=False)])
    return Settlement(receipt, timestamp, accesses, events[-1].head)


def remembered(settled: Settled, accesses: Sequence[bytes]) -> list[RecordedAccess]:
    """Return the accesses that a journal knows to be recorded.

    Args:
        settled: the journal's record.
        accesses: their ids, in order.
    """
    return [
        RecordedAccess(
            access=access,
            sequence=settled.first_sequence + place,
            outcome=outcome,
            block_number=settled.block_number,
            block_hash=settled.block_hash,
            timestamp=settled.timestamp,
            transaction=settled.hash,
            log_index=settled.first_log + place,
        )
        for place, (access, outcome) in enumerate(zip(accesses, settled.outcomes, strict=True))
    ]


def is_duplicate(access: RecordedAccess) -> bool:
    """Whether the contract knew the request's nonce: this access is not the request's first."""
    return access.outcome == Outcome.DUPLICATE_REQUEST


def _dated(logs: Sequence[Log], timestamp: int) -> Sequence[Log]:
    if logs and logs[0].block_timestamp is not None:
        return logs
    return [with_timestamp(log, timestamp) for log in logs]


def _access(entry: Entry, event: object) -> RecordedAccess:
    encoded = entry.encoded
    if (
        not isinstance(event, Accessed)
        or event.basis != encoded[_BASIS]
        or event.consumer != entry.consumer
        or event.nonce != int.from_bytes(encoded[_NONCE], "big")
    ):
        raise InconsistentReceiptError("a receipt records another access than was asked for")
    block = event.block
    return RecordedAccess(
        entry.access,
        event.sequence,
        event.outcome,
        block.number,
        block.hash,
        block.timestamp,
        event.transaction,
        event.log_index,
    )
