"""Making a chain whole again that lost blocks, from the journal of all relayed transactions.

The same transactions are sent again in the order in which they were on chain; on the embedded chain also
at the same times. Otherwise they may come out differently (a deadline has passed meanwhile), or because
somebody else's transactions came between them; what does is reported, transaction by transaction and
access by access.

If we crash in the middle, the next process finds the chain behind again and does the rest: what was
sent again has the same nonces and hashes as before.

Source: DESIGN 3.6; issue 4, clause 2.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from ledger import queries
from ledger.chain import final_block
from ledger.deployment import Deployment
from ledger.enumerations import OUTCOMES
from ledger.events.decoding import EventDecoder
from ledger.exchange import RecordedAccess
from ledger.hexes import ZERO_WORD, to_hex
from ledger.journal import Frame
from ledger.queries import Receipt
from ledger.recorder.embedded import set_clock, take_back
from ledger.recorder.entries import Entry
from ledger.recorder.errors import RecorderError, unavailable
from ledger.recorder.flights import Flight, flight_of
from ledger.recorder.outbox import Outbox
from ledger.recorder.records import (
    Journaled,
    Mark,
    Marked,
    Sent,
    Settled,
    decode_records,
    mark_after,
    read_journal,
    split_accesses,
)
from ledger.recorder.settings import RecorderSettings
from ledger.recorder.settling import Settlement, is_duplicate, placed, read_settlement
from ledger.recorder.status import HEAD, Difference, Reconciliation
from ledger.rpc import AsyncRpc

_POLL_INTERVAL: Final = 0.05
_TIMEOUT: Final = 30.0
_RESEND_INTERVAL: Final = 3.0
_AT_ONCE: Final = 16


class Reconciler:
    """One reconciliation."""

    def __init__(
        self,
        rpc: AsyncRpc,
        deployment: Deployment,
        outbox: Outbox,
        settings: RecorderSettings,
    ) -> None:
        self._rpc = rpc
        self._outbox = outbox
        self._finality = settings.finality
        self._sets_clock = settings.sets_clock
        self._decoder = EventDecoder(deployment.contracts)

    async def reconcile(self) -> tuple[Reconciliation, list[RecordedAccess]]:
        """Send again what was final and is not on the chain any more.

        What was still on its way goes out with the usual work afterwards.

        Returns:
            What came of it, and the accesses that are on the chain again.

        Raises:
            RecorderError: there is no journal, or our own transactions cannot be brought back.
            JournalError, RpcError: the journal or the node does not work.
        """
        await self._outbox.flush()
        if self._sets_clock:
            # Sent before anybody noticed, they would be mined before what was there before them.
            await take_back(self._rpc, {flight.sender for flight in self._outbox.flights})
        missing, raw = await self._missing()
        differences: list[Difference] = []
        accesses: list[RecordedAccess] = []
        settlements: list[Settlement] = []
        for timestamp, group in _groups(missing):
            if self._sets_clock:
                await set_clock(self._rpc, timestamp)
            flights = [
                flight_of(Journaled(journaled.segment, [raw[journaled.carried_out.hash]]))
                for journaled in group
            ]
            for journaled, settlement in zip(group, await self._send_again(flights), strict=True):
                if settlement is not None:
                    settlements.append(settlement)
                    ids = split_accesses(journaled.carried_out)
                    differences += compare(journaled.settled, settlement, ids)
                    accesses += [a for a in settlement.accesses if not is_duplicate(a)]
                    continue
                sender, nonce = journaled.key
                if sender == self._outbox.account:
                    # Everything behind it waits for its nonce: there is no going on without it.
                    raise RecorderError(f"our transaction number {nonce} cannot be brought back")
                differences += lost(journaled, "missing")
        await self._note(settlements)
        total = sum(len(settlement.accesses) for settlement in settlements)
        return Reconciliation(len(settlements), total, tuple(differences)), accesses

    async def _missing(self) -> tuple[list[Journaled], dict[bytes, Sent]]:
        """Return what has to be sent again, and the transactions themselves, by hash."""
        state = await self._outbox.read(read_journal)
        if state is None:
            raise unavailable("without a journal nothing can be brought back")
        everything = list(state.transactions.values())
        senders = sorted({journaled.key[0] for journaled in everything})
        nonces = await self._rpc.send_many([queries.transaction_count(each) for each in senders])
        plan = plan_reconciliation(everything, dict(zip(senders, nonces, strict=True)))
        missing = [journaled for journaled in plan if journaled.settled is not None]
        hashes = {journaled.carried_out.hash for journaled in missing}
        raw = await self._outbox.read(lambda journal: _find_raw(journal.frames(), hashes))
        return missing, raw or {}

    async def _send_again(self, flights: Sequence[Flight]) -> list[Settlement | None]:
        """Send transactions until they are final again; None for one that the node does not take."""
        until = time.monotonic() + _TIMEOUT
        resend_at = float("-inf")
        while True:
            if time.monotonic() > resend_at:
                # A node takes what comes in one request in any order; only each sender's nonces hold.
                for _, run in groupby(flights, lambda flight: flight.sender):
                    await self._outbox.transmit(list(run))
                resend_at = time.monotonic() + _RESEND_INTERVAL
            receipts = await self._receipts(flights)
            waiting = [
                flight
                for flight, receipt in zip(flights, receipts, strict=True)
                if receipt is None and flight.rejection is None
            ]
            if not waiting or time.monotonic() > until:
                break
            await asyncio.sleep(_POLL_INTERVAL)
        return [
            None if receipt is None else await self._settlement(receipt, flight.entries)
            for flight, receipt in zip(flights, receipts, strict=True)
        ]

    async def _receipts(self, flights: Sequence[Flight]) -> list[Receipt | None]:
        calls = [queries.receipt(flight.newest.hash) for flight in flights]
        receipts = await self._rpc.send_many(calls)
        newest = await final_block(self._rpc, self._finality)
        number = newest.number if newest is not None else -1
        return [r if r is not None and r.block_number <= number else None for r in receipts]

    async def _settlement(self, receipt: Receipt, entries: Sequence[Entry]) -> Settlement:
        block = await self._rpc.send(queries.block(receipt.block_number))
        if block is None:
            raise RecorderError("a block with a receipt is not there")
        return read_settlement(receipt, block.timestamp, entries, self._decoder)

    async def _note(self, settlements: Sequence[Settlement]) -> None:
        """Journal where everything is now."""
        newest = await final_block(self._rpc, self._finality)
        if newest is None:
            raise RecorderError("the node has no final block")
        mark = self._outbox.mark
        for settlement in settlements:
            mark = mark_after(settlement.record, mark)
        sequence, head = (mark.sequence, mark.head) if mark is not None else (0, ZERO_WORD)
        mark = Mark(newest.number, newest.hash, sequence, head)
        self._outbox.note([*(settlement.record for settlement in settlements), Marked(mark)])
        await self._outbox.flush()
        self._outbox.mark = mark


def plan_reconciliation(
    transactions: Iterable[Journaled], next_nonces: Mapping[bytes, int]
) -> list[Journaled]:
    """Return the transactions that the chain does not know, in the order in which to send them.

    Args:
        transactions: all of a journal, in its order.
        next_nonces: for each sender what the chain takes for its next nonce.
    """
    missing = [
        journaled
        for journaled in transactions
        if journaled.given_up is None and journaled.key[1] >= next_nonces.get(journaled.key[0], 0)
    ]
    # First what was in a block, as it stood there; then what was still on its way.
    return sorted(missing, key=_place)


def compare(
    before: Settled | None, after: Settlement, accesses: Sequence[bytes]
) -> Iterator[Difference]:
    """Yield how a transaction that was sent again came out differently; `accesses` are its ids."""
    if before is None:
        return
    transaction = after.receipt.transaction_hash
    if before.succeeded != after.receipt.succeeded:
        yield Difference(transaction, None, _fate(before.succeeded), _fate(after.receipt.succeeded))
        return
    was, now = placed(before, accesses), placed(after.record, accesses)
    differing = [
        Difference(transaction, access, _in_words(old), _in_words(new))
        for access, old, new in zip(accesses, was, now, strict=True)
        if _in_words(old) != _in_words(new)
    ]
    yield from differing
    head = after.record.head
    if not differing and before.head != head:
        yield Difference(transaction, None, f"{HEAD}{to_hex(before.head)}", to_hex(head))


def lost(journaled: Journaled, reason: str) -> Iterator[Difference]:
    """Yield what is missing when a transaction cannot be brought back."""
    before, sent = journaled.settled, journaled.carried_out
    if before is None or not before.outcomes:
        yield Difference(sent.hash, None, _fate(before is None or before.succeeded), reason)
        return
    accesses = split_accesses(sent)
    for access, was in zip(accesses, placed(before, accesses), strict=True):
        yield Difference(sent.hash, access, _in_words(was), reason)


def _find_raw(frames: Iterable[Frame], hashes: set[bytes]) -> dict[bytes, Sent]:
    return {
        record.hash: record
        for frame in frames
        for record in decode_records(frame.payload)
        if isinstance(record, Sent) and record.hash in hashes
    }


def _groups(missing: Sequence[Journaled]) -> Iterator[tuple[int, list[Journaled]]]:
    """Yield a few at a time, of one second, so that they are mined in the order of before."""
    for timestamp, group in groupby(missing, _timestamp):
        same = list(group)
        for start in range(0, len(same), _AT_ONCE):
            yield timestamp, same[start : start + _AT_ONCE]


def _timestamp(journaled: Journaled) -> int:
    return journaled.settled.timestamp if journaled.settled is not None else 0


def _place(journaled: Journaled) -> tuple[bool, int, int]:
    settled = journaled.settled
    return (True, 0, 0) if settled is None else (False, settled.block_number, settled.index)


def _fate(succeeded: bool) -> str:
    return "carried out" if succeeded else "refused"


def _in_words(access: RecordedAccess | None) -> str:
    if access is None:
        return "passed over"
    return f"{OUTCOMES[access.outcome].title} as number {access.sequence}"
