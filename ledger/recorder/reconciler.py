"""Carrying out a reconciliation: reading the journal, sending again, waiting, comparing.

If we crash in the middle, the next process finds the chain behind again and does the rest: what was
sent again has the same nonces and hashes as before.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from ledger import queries
from ledger.chain import final_block
from ledger.deployment import Deployment
from ledger.events.decoding import EventDecoder
from ledger.exchange import RecordedAccess
from ledger.journal import Journal
from ledger.queries import Receipt
from ledger.recorder.embedded import set_clock, take_back
from ledger.recorder.entries import Entry
from ledger.recorder.errors import RecorderError, RecorderUnavailableError
from ledger.recorder.flights import Flight, flight_of
from ledger.recorder.outbox import Outbox
from ledger.recorder.reconciling import (
    Difference,
    Reconciliation,
    compare,
    find_raw,
    lost,
    plan_reconciliation,
    senders_of,
)
from ledger.recorder.records import Journaled, Mark, Marked, Sent, split_accesses
from ledger.recorder.restoring import read_journal
from ledger.recorder.settings import RecorderSettings
from ledger.recorder.settling import Settlement, is_duplicate, read_settlement
from ledger.rpc import AsyncRpc

_POLL: Final = 0.05
_PATIENCE: Final = 30.0
_RESEND: Final = 3.0
_AT_ONCE: Final = 16
_HASH: Final = 32


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
        self._deployment = deployment
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
        for timestamp, some in _portions(missing):
            if self._sets_clock:
                await set_clock(self._rpc, timestamp)
            settled = await self._send_again([_flight(one, raw) for one in some])
            for one, settlement in zip(some, settled, strict=True):
                if settlement is None:
                    self._check_not_ours(one)
                    differences += lost(one, "missing")
                    continue
                settlements.append(settlement)
                differences += compare(one.settled, settlement, split_accesses(one.carried_out))
                accesses += [a for a in settlement.accesses if not is_duplicate(a)]
        await self._note(settlements)
        total = sum(len(settlement.accesses) for settlement in settlements)
        return Reconciliation(len(settlements), total, tuple(differences)), accesses

    async def _missing(self) -> tuple[list[Journaled], dict[bytes, Sent]]:
        state = await self._outbox.read(read_journal)
        if state is None:
            raise RecorderUnavailableError("without a journal nothing can be brought back")
        everything = list(state.transactions.values())
        senders = senders_of(everything)
        nonces = await self._rpc.send_many([queries.transaction_count(one) for one in senders])
        plan = plan_reconciliation(everything, dict(zip(senders, nonces, strict=True)))
        missing = [one for one in plan if one.settled is not None]

        def find(journal: Journal) -> dict[bytes, Sent]:
            return find_raw(journal.frames(), missing)

        return missing, await self._outbox.read(find) or {}

    async def _send_again(self, flights: Sequence[Flight]) -> list[Settlement | None]:
        """Send transactions until they are final again; None for one that the node does not take."""
        until = time.monotonic() + _PATIENCE
        resend_at = float("-inf")
        while True:
            if time.monotonic() > resend_at:
                # A node takes what comes in one request in any order; only each sender's nonces hold.
                for _, run in groupby(flights, lambda flight: flight.sender):
                    await self._outbox.transmit(list(run))
                resend_at = time.monotonic() + _RESEND
            receipts = await self._receipts(flights)
            waiting = [
                flight
                for flight, receipt in zip(flights, receipts, strict=True)
                if receipt is None and flight.rejection is None
            ]
            if not waiting or time.monotonic() > until:
                break
            await asyncio.sleep(_POLL)
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

    def _check_not_ours(self, one: Journaled) -> None:
        sender, nonce = one.key
        if sender == self._outbox.account:
            # Everything behind it waits for its nonce: there is no going on without it.
            raise RecorderError(f"our transaction number {nonce} cannot be brought back")

    async def _note(self, settlements: Sequence[Settlement]) -> None:
        """Journal where everything is now."""
        newest = await final_block(self._rpc, self._finality)
        if newest is None:
            raise RecorderError("the node has no final block")
        recording = [one.record for one in settlements if one.record.outcomes]
        old = self._outbox.mark
        sequence, head = (old.sequence, old.head) if old is not None else (0, bytes(_HASH))
        if recording:
            sequence, head = recording[-1].last_sequence, recording[-1].head
        mark = Mark(newest.number, newest.hash, sequence, head)
        self._outbox.note([*(settlement.record for settlement in settlements), Marked(mark)])
        await self._outbox.flush()
        self._outbox.mark = mark


def _portions(missing: Sequence[Journaled]) -> Iterator[tuple[int, list[Journaled]]]:
    """Yield a few at a time, of one second, so that they are mined in the order of before."""
    for timestamp, group in groupby(missing, _timestamp):
        some = list(group)
        for start in range(0, len(some), _AT_ONCE):
            yield timestamp, some[start : start + _AT_ONCE]


def _timestamp(one: Journaled) -> int:
    return one.settled.timestamp if one.settled is not None else 0


def _flight(one: Journaled, raw: dict[bytes, Sent]) -> Flight:
    return flight_of(Journaled(one.segment, [raw[one.carried_out.hash]]))
