"""Recovery: from the journal at start, of what a chain lost, and of requests that were recorded before."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from math import ceil
from typing import Final

import msgspec

from ledger.api import RecordedAccess
from ledger.chain import eth_methods
from ledger.chain.contract_calls import decode_request
from ledger.chain.deployment import Deployment
from ledger.chain.eth_methods import Receipt
from ledger.chain.events import Accessed
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.finality import Finality
from ledger.chain.follow import final_block
from ledger.chain.log_reader import LogReader, logs_between_async
from ledger.chain.rpc import AsyncRpc, Call
from ledger.hexstr import keccak256, to_hex
from ledger.journal import Frame
from ledger.model import OUTCOMES, ZERO_WORD
from ledger.recorder.batch import Entry
from ledger.recorder.journal import (
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
from ledger.recorder.outbox import Outbox
from ledger.recorder.settings import (
    HEAD,
    Difference,
    Reconciliation,
    RecorderError,
    RecorderSettings,
    unavailable,
)
from ledger.recorder.settle import (
    BatchResult,
    PendingTransaction,
    flight_of,
    is_duplicate,
    placed,
    read_settlement,
)
from ledger.typed_data import AccessRequest

Lookup = Callable[[bytes], Awaitable[RecordedAccess | None]]
"""Finds an access by its id among all that were ever recorded: the index."""

_TOPICS: Final = tuple(
    keccak256(signature)
    for signature in (
        b"Accessed(bytes32,uint256,uint256,bytes32)",
        b"ItemAccessed(bytes32,uint256,uint256,bytes32,bytes32)",
    )
)


class Originals:
    """Asks the index first, then the chain itself."""

    def __init__(self, rpc: AsyncRpc, deployment: Deployment, lookup: Lookup | None) -> None:
        self._rpc = rpc
        self._deployment = deployment
        self._lookup = lookup
        self._decoder = EventDecoder(deployment.contracts)

    async def find(self, entry: Entry, duplicate: RecordedAccess) -> RecordedAccess | None:
        """Return the first access of the same request.

        None when there is none: the nonce was used for another request, so that this one has no
        other access than the duplicate.

        Raises:
            RpcError: the node cannot be asked.
            Exception: any that the index raises.
        """
        known = await self._lookup(entry.access) if self._lookup is not None else None
        if known is not None and known.sequence < duplicate.sequence:
            return known
        request = decode_request(entry.consumer, entry.encoded)
        reader = LogReader([self._deployment.contracts.access_log], [_TOPICS, [request.basis]])
        first, last = self._deployment.block_number, duplicate.block_number
        async for part in logs_between_async(self._rpc, reader, first, last):
            for log in part.logs:
                event = self._decoder.decode(log)
                if not isinstance(event, Accessed):
                    raise TypeError("the node returned another event than was asked for")
                if event.sequence < duplicate.sequence and _is_of(event, request):
                    return await self._recorded(entry.access, event)
        return None

    async def _recorded(self, access: bytes, event: Accessed) -> RecordedAccess:
        block = await self._rpc.send(eth_methods.block(event.block.number))
        return RecordedAccess(
            access=access,
            sequence=event.sequence,
            outcome=event.outcome,
            block_number=event.block.number,
            block_hash=event.block.hash,
            timestamp=block.timestamp if block is not None else event.block.timestamp,
            transaction=event.transaction,
            log_index=event.log_index,
        )


def _is_of(event: Accessed, request: AccessRequest) -> bool:
    return all(
        getattr(event, name) == value for name, value in msgspec.structs.asdict(request).items()
    )


_BEHIND: Final = 5
_EXACT: Final = 0.5
"""Seconds that setting the clock may take: by so much it may be behind afterwards, for ever."""
_ATTEMPTS: Final = 20


async def set_clock(rpc: AsyncRpc, timestamp: int) -> None:
    """Let the next blocks be of this time, and those after them of later ones.

    If there are blocks of a later time already, the next ones are of that: anvil would make blocks that are
    older than the ones before them.

    Raises:
        RpcError: the node cannot be asked, or has no clock that can be set.
    """
    newest = await rpc.send(eth_methods.block("latest"))
    least = newest.timestamp if newest is not None else 0
    await rpc.send(Call("evm_setTime", (max(timestamp, least),), _ignore))


async def catch_up(rpc: AsyncRpc, finality: Finality) -> None:
    """Set the clock to now if it may have been left in the past. One that is ahead stays so.

    Raises:
        RpcError: as `set_clock`.
    """
    newest = await final_block(rpc, finality)
    if newest is None or newest.timestamp >= time.time() - _BEHIND:
        return
    for _ in range(_ATTEMPTS):
        now = time.time()
        # Rounded up: what was granted a moment ago would not be valid yet by a clock that is behind.
        await set_clock(rpc, ceil(now))
        if time.time() - now < _EXACT:
            return


async def take_back(rpc: AsyncRpc, senders: Iterable[bytes]) -> None:
    """Let the node forget these accounts' transactions that wait to be mined.

    Raises:
        RpcError: as `set_clock`.
    """
    await rpc.send_many(
        [Call("anvil_removePoolTransactions", (to_hex(each),), _ignore) for each in senders]
    )


def _ignore(_raw: msgspec.Raw) -> None:
    return None


_POLL_INTERVAL: Final = 0.05
_TIMEOUT: Final = 30.0
_RESEND_INTERVAL: Final = 3.0
_AT_ONCE: Final = 16


class Reconciler:
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
        settlements: list[BatchResult] = []
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
        nonces = await self._rpc.send_many(
            [eth_methods.transaction_count(each) for each in senders]
        )
        plan = plan_reconciliation(everything, dict(zip(senders, nonces, strict=True)))
        missing = [journaled for journaled in plan if journaled.settled is not None]
        hashes = {journaled.carried_out.hash for journaled in missing}
        raw = await self._outbox.read(lambda journal: _find_raw(journal.frames(), hashes))
        return missing, raw or {}

    async def _send_again(self, flights: Sequence[PendingTransaction]) -> list[BatchResult | None]:
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

    async def _receipts(self, flights: Sequence[PendingTransaction]) -> list[Receipt | None]:
        calls = [eth_methods.receipt(flight.newest.hash) for flight in flights]
        receipts = await self._rpc.send_many(calls)
        newest = await final_block(self._rpc, self._finality)
        number = newest.number if newest is not None else -1
        return [r if r is not None and r.block_number <= number else None for r in receipts]

    async def _settlement(self, receipt: Receipt, entries: Sequence[Entry]) -> BatchResult:
        block = await self._rpc.send(eth_methods.block(receipt.block_number))
        if block is None:
            raise RecorderError("a block with a receipt is not there")
        return read_settlement(receipt, block.timestamp, entries, self._decoder)

    async def _note(self, settlements: Sequence[BatchResult]) -> None:
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
    before: Settled | None, after: BatchResult, accesses: Sequence[bytes]
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
