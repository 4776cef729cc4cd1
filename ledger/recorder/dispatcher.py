"""The recorder at work, in two loops.

One sends: accesses that gathered while the last transaction went out become the next one. The other
settles: with each final block it asks for the receipts of all transactions on their way, and gives the
outcomes to those who wait. Neither decides anything about a single access; the contract does.
"""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from ledger import failpoints
from ledger.api import RecordedAccess, Submission
from ledger.chain import contract_reads, eth_methods
from ledger.chain.contract_calls import decode_request
from ledger.chain.deployment import Deployment
from ledger.chain.eth_methods import Block, Receipt
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.follow import Follower
from ledger.chain.reverts import Revert, RevertError, revert_in
from ledger.chain.rpc import AsyncRpc, CallError, RpcError
from ledger.chain.transactions import GAS_CAP, SignedTransaction
from ledger.journal import JournalError, JournalFullError
from ledger.model import Roles
from ledger.recorder.batch import Entry, GasModel, PendingRequests, Unclaimed, call_of
from ledger.recorder.journal import GivenUp, mark_after
from ledger.recorder.outbox import Draft, Outbox
from ledger.recorder.recovery import Lookup, Originals
from ledger.recorder.settings import (
    RecorderError,
    RecorderNotNamedError,
    RecorderSettings,
    not_recorded,
    replaced,
    unavailable,
)
from ledger.recorder.settle import (
    BatchResult,
    PendingTransaction,
    Relayed,
    is_duplicate,
    read_settlement,
)

T = TypeVar("T")

_RETRY: Final = 0.1
_BLOCKS_AHEAD: Final = 2
"""Blocks for which accesses are sent before they are mined; those before them may wait to be final."""
_RECEIPTS_AT_ONCE: Final = 8
_NOT_ADMITTED: Final = frozenset(("RoleMissing", "PartyInactive", "PartyUnknown"))
_LONGEST_WAIT: Final = 1.0
_ADMISSION_CHECK: Final = 1.0
_FEE_CHECK: Final = 5.0


class Dispatcher:
    """Sends and settles. Belongs to one event loop."""

    def __init__(
        self,
        rpc: AsyncRpc,
        deployment: Deployment,
        settings: RecorderSettings,
        outbox: Outbox,
        *,
        lookup: Lookup | None,
        unclaimed: Unclaimed | None,
    ) -> None:
        self._work = asyncio.Event()
        self.pending = PendingRequests(settings, self._work.set)
        self.admitted = False
        """Whether the registry knows our account as an active recorder."""
        self.problem: RecorderError | None = None
        """What keeps transactions from being sent or mined, as far as the node says."""
        self._rpc = rpc
        self._deployment = deployment
        self._settings = settings
        self._outbox = outbox
        self._originals = Originals(rpc, deployment, lookup)
        self._unclaimed = unclaimed
        self._decoder = EventDecoder(deployment.contracts)
        self._gas = GasModel()
        self._calls: list[Draft] = []
        self._going: Sequence[Draft] = ()
        """What is being journaled and sent just now."""
        self._again: list[list[Entry]] = []
        """Groups of a transaction that did not work as a whole, to be tried by themselves."""
        self._sent_at = 0.0
        self._is_cut_off = False
        """Whether the node could not be reached; settling finds out when it can be again."""
        self._checked_admission = 0.0
        self._checked_fee = float("-inf")
        self._reached = True
        self._searches: set[asyncio.Task[None]] = set()

    def queue_call(self, draft: Draft) -> None:
        """Let a transaction that is not an access go out next."""
        self._calls.append(draft)
        self._work.set()

    def queued_call(self, to: bytes, data: bytes) -> Draft | None:
        """Return a call that is about to be sent, or None."""
        return next((d for d in (*self._calls, *self._going) if (d.to, d.data) == (to, data)), None)

    def queued_of(self, sender: bytes) -> list[SignedTransaction]:
        """Return a party's own transactions that are about to be sent."""
        drafts = (draft.signed for draft in (*self._calls, *self._going))
        return [signed for signed in drafts if signed is not None and signed.sender == sender]

    @property
    def queued(self) -> int:
        """How many accesses and calls wait to be sent."""
        return len(self.pending.queue) + len(self._calls) + sum(map(len, self._again))

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, is being journaled and sent, or waits for its block."""
        return not (self.queued or self._going or len(self._outbox.flights))

    async def begin(self) -> None:
        """Get ready to send and settle, at first and whenever the chain was not the one it was.

        Raises:
            RpcError: the node cannot be asked.
        """
        self._is_cut_off = False
        self._reached = False
        self._work.set()
        await self._check_admission()

    # Sending

    async def send_all(self, follower: Follower) -> None:
        """Send what waits, for ever.

        Raises:
            JournalError: the journal does not work any more.
        """
        while True:
            await self._work.wait()
            self._work.clear()
            while await self._paced(follower):
                drafts = self._take(follower)
                if not drafts:
                    break
                await uninterrupted(self._send(drafts, follower))

    async def _paced(self, follower: Follower) -> bool:
        """Wait until the next batch may go; return whether there is anything to send, and a way."""
        if not self.queued or not self._may_send(follower):
            return False
        pause = self._sent_at + self._settings.pace - time.monotonic()
        # A lone access goes at once; under load more gather meanwhile.
        if pause > 0 and len(self._outbox.flights) and not self._calls:
            await asyncio.sleep(pause)
        return True

    def _may_send(self, follower: Follower) -> bool:
        if follower.last is None or self._is_cut_off:
            return False
        flights = self._outbox.flights
        if len(flights) >= self._settings.most_in_flight:
            return False
        # What the next blocks cannot take waits here, where consumers have their turns, and not in the node.
        depth = self._settings.finality.blocks
        if depth is None:
            return True
        under_way = sum(len(flight.entries) for flight in flights)
        return under_way < (depth + _BLOCKS_AHEAD) * self._gas.entries(follower.last.gas_limit)

    def _take(self, follower: Follower) -> list[Draft]:
        drafts, self._calls = self._calls, []
        gas = min(GAS_CAP, follower.last.gas_limit if follower.last else GAS_CAP)
        if self._again:
            entries = self._again.pop()
        else:
            entries = self.pending.queue.take(self._settings.most_entries, self._gas.room(gas))
        if entries:
            call = call_of(entries)
            to = self._deployment.address_of(call.contract)
            drafts.append(Draft(to, call.data, gas, entries))
        # Set before the await: a draft in neither list could be queued twice.
        self._going = drafts
        return drafts

    async def _send(self, drafts: Sequence[Draft], follower: Follower) -> None:
        self._sent_at = time.monotonic()
        try:
            await self._outbox.send(drafts)
        except JournalFullError as error:
            # Not on the disk, so not sent and never will be: those who wait may try again later.
            self._fail(drafts, not_recorded(str(error), ambiguous=False))
            self.problem = unavailable(error)
            await asyncio.sleep(_RETRY)
        except JournalError as error:
            self._fail(drafts, not_recorded(str(error), ambiguous=True))
            raise
        except RpcError:
            # They are journaled: settling sends them again when the node is back.
            self._is_cut_off = True
        finally:
            self._going = ()
        follower.hurry(wanted=len(self._outbox.flights) > 0)

    def _fail(self, drafts: Sequence[Draft], error: RecorderError) -> None:
        for draft in drafts:
            self.pending.fail(draft.entries, error)
            _fail_calls(draft.waiters, error)

    # Settling

    async def settle_all(self, follower: Follower) -> None:
        """Settle with each final block, for ever.

        Now and then also without a block: a chain on which nothing happens may make none, and
        transactions that its node has forgotten have to be sent again.

        Raises:
            ChainError: the chain is not the one it was.
            RecorderError: the account is used by somebody else, or a receipt cannot be right.
            JournalError: the journal does not work any more.
        """
        number = -1
        while True:
            block = await _block_after(follower, number)
            try:
                await self._settle_and_resend(block)
            except RpcError:
                # Whatever was on its way may be forgotten; it is sent again.
                self._reached = False
                await asyncio.sleep(_RETRY)
                continue
            number, self._is_cut_off = block.number, False
            follower.hurry(wanted=len(self._outbox.flights) > 0)
            self._work.set()

    async def _settle_and_resend(self, block: Block) -> None:
        if not self._reached:
            for flight in self._outbox.flights:
                flight.sent_at = float("-inf")
            self._reached = True
        if not self.admitted and time.monotonic() > self._checked_admission + _ADMISSION_CHECK:
            await self._check_admission()
        await self._follow_fee(block)
        flights = list(self._outbox.flights)
        for start in range(0, len(flights), _RECEIPTS_AT_ONCE):
            await self._settle(flights[start : start + _RECEIPTS_AT_ONCE], block)
        await self._resend(block)
        if not len(self._outbox.flights):
            await self._flush()

    async def _flush(self) -> None:
        try:
            await uninterrupted(self._outbox.flush())
        except JournalFullError as error:
            # It can wait: without it, it would be found out on the chain again.
            self.problem = unavailable(error)
        else:
            self.problem = None

    async def _settle(self, flights: Sequence[PendingTransaction], block: Block) -> None:
        receipts = await self._receipts(flights, block)
        timestamps = await self._timestamps(receipts, block)
        for flight, receipt in zip(flights, receipts, strict=True):
            if receipt is not None:
                await self._land(flight, receipt, timestamps[receipt.block_number])
            elif _is_overdue(flight, self._settings.resend_after):
                await self._check_nonce(flight, block)

    async def _receipts(
        self, flights: Sequence[PendingTransaction], block: Block
    ) -> list[Receipt | None]:
        """Return each flight's receipt if its block is final."""
        wanted = [(flight, sent.hash) for flight in flights for sent in flight.attempts]
        answers = await self._rpc.send_many([eth_methods.receipt(hash_) for _, hash_ in wanted])
        final = {
            id(flight): receipt
            for (flight, _), receipt in zip(wanted, answers, strict=True)
            if receipt is not None and receipt.block_number <= block.number
        }
        if final:
            failpoints.reach("after_receipt")
        return [final.get(id(flight)) for flight in flights]

    async def _timestamps(self, receipts: Sequence[Receipt | None], block: Block) -> dict[int, int]:
        numbers = {receipt.block_number for receipt in receipts if receipt is not None}
        known = {block.number: block.timestamp}
        asked = sorted(numbers - known.keys())
        blocks = await self._rpc.send_many([eth_methods.block(number) for number in asked])
        answered = {each.number: each.timestamp for each in blocks if each is not None}
        if len(answered) != len(asked):
            raise CallError("eth_getBlockByNumber", 0, "a block with a receipt is not there")
        return known | answered

    async def _land(self, flight: PendingTransaction, receipt: Receipt, timestamp: int) -> None:
        settlement = read_settlement(receipt, timestamp, flight.entries, self._decoder)
        if not receipt.succeeded:
            await self._land_refused(flight, settlement)
            return
        self._conclude(flight, settlement)
        if flight.entries:
            # A batch that was passed over says too little, or far too much, of an access's gas.
            if None not in settlement.answers:
                self._gas.observe(flight.entries, receipt.gas_used)
            self._deliver(flight, settlement)
        relayed = Relayed(
            receipt.transaction_hash, receipt.block_number, receipt.block_hash, timestamp, receipt
        )
        for waiter in flight.waiters:
            if not waiter.done():
                waiter.set_result(relayed)

    def _conclude(self, flight: PendingTransaction, settlement: BatchResult) -> None:
        self._outbox.flights.remove(flight)
        self._outbox.note([settlement.record])
        record, mark = settlement.record, self._outbox.mark
        if mark is None or record.block_number >= mark.block_number:
            self._outbox.mark = mark_after(record, mark)

    def _deliver(self, flight: PendingTransaction, settlement: BatchResult) -> None:
        firsts = []
        for entry, access in zip(flight.entries, settlement.answers, strict=True):
            if access is None:
                self.pending.fail(
                    [entry], RecorderNotNamedError(entry.consumer, self._outbox.account)
                )
                continue
            if is_duplicate(access):
                task = asyncio.get_running_loop().create_task(self._give_original(entry, access))
                self._searches.add(task)
                task.add_done_callback(self._searches.discard)
                continue
            firsts.append(access)
            self._give(entry, access)
        self.pending.remember(firsts)

    def _give(self, entry: Entry, access: RecordedAccess) -> None:
        if not self.pending.settle(entry, access) and self._unclaimed is not None:
            request = decode_request(entry.consumer, entry.encoded)
            self._unclaimed(Submission(request, entry.signature), access)

    async def _land_refused(self, flight: PendingTransaction, settlement: BatchResult) -> None:
        revert = await self._why_refused(flight, settlement.receipt)
        self._conclude(flight, settlement)
        if not flight.entries:
            _fail_calls(flight.waiters, RevertError(revert))
        elif revert.name in _NOT_ADMITTED:
            self.admitted = False
            error = RecorderError(f"the registry does not take our records: {revert}")
            self.pending.fail(flight.entries, error)
        elif len(flight.entries) == 1:
            self.pending.fail(flight.entries, unavailable(RevertError(revert)))
        else:
            # Too much gas, most likely. The cause is in one half or the other.
            self._gas.ran_out(flight.entries)
            half = len(flight.entries) // 2
            self._again += [list(flight.entries[half:]), list(flight.entries[:half])]

    async def _why_refused(self, flight: PendingTransaction, receipt: Receipt) -> Revert:
        for call in eth_methods.explaining_calls(flight.to, flight.data, flight.sender, receipt):
            try:
                await self._rpc.send(call)
            except CallError as error:
                refusal = revert_in(error)
                if refusal is not None:
                    return refusal.revert
        return Revert("", (), b"")

    async def _check_nonce(self, flight: PendingTransaction, block: Block) -> None:
        """Find out whether something else took the place of a transaction that does not come."""
        nonce = await self._rpc.send(eth_methods.transaction_count(flight.sender, block.number))
        if nonce <= flight.nonce or any(await self._receipts([flight], block)):
            flight.doubted = None
            return
        # While it makes a block, anvil counts a transaction already and has no receipt yet: look again.
        if flight.doubted is None or block.number <= flight.doubted:
            flight.doubted = block.number
            return
        error = replaced(flight.newest.hash)
        self._outbox.flights.remove(flight)
        self._outbox.note([GivenUp(attempt.hash, str(error)) for attempt in flight.attempts])
        self.pending.fail(flight.entries, error)
        _fail_calls(flight.waiters, error)
        if flight.sender == self._outbox.account:
            raise RecorderError("somebody else sends transactions from the recorder's account")

    async def _check_admission(self) -> None:
        """Ask whether our account may record."""
        self._checked_admission = time.monotonic()
        account = self._outbox.account
        standing = await self._rpc.send(
            contract_reads.standing_of(self._deployment.contracts, account)
        )
        self.admitted = standing.active and Roles.RECORDER in standing.roles

    # Sending again

    async def _resend(self, block: Block) -> None:
        now = time.monotonic()
        due = [f for f in self._outbox.flights if f.sent_at + self._settings.resend_after < now]
        if due:
            await uninterrupted(self._outbox.transmit(due))
        for flight in self._outbox.flights:
            error = flight.rejection
            if error is None:
                continue
            self.problem = error
            if flight.sender != self._outbox.account:  # ours are tried again for ever
                self._outbox.flights.remove(flight)
                self._outbox.note([GivenUp(flight.newest.hash, str(error))])
                _fail_calls(flight.waiters, error)
        for flight in self._outbox.of_account():
            if _is_overdue(flight, self._settings.replace_after):
                await self._raise_fee(flight, block)

    async def _follow_fee(self, block: Block) -> None:
        now = time.monotonic()
        if now > self._checked_fee + _FEE_CHECK:
            self._checked_fee = now
            price = await self._rpc.send(eth_methods.gas_price())
            self._outbox.fee = self._settings.fee.offer(block.base_fee, price)

    async def _raise_fee(self, flight: PendingTransaction, block: Block) -> None:
        offered = flight.fee
        if self._outbox.fee.most <= offered.most or (block.base_fee or 0) <= offered.most:
            return
        raised, wanted = offered.raised(), self._outbox.fee
        fee = type(wanted)(max(raised.most, wanted.most), max(raised.priority, wanted.priority))
        flight.began_at = time.monotonic()
        with suppress(JournalFullError):  # tried again when it is overdue again
            await uninterrupted(self._outbox.replace(flight, fee))

    async def _give_original(self, entry: Entry, duplicate: RecordedAccess) -> None:
        """Give the access that the same request made before; the duplicate only if there is none."""
        try:
            first = await self._originals.find(entry, duplicate)
        except Exception as error:  # noqa: BLE001 - a lookup is somebody else's code
            reason = f"the first access of this request cannot be looked up: {error}"
            self.pending.fail([entry], not_recorded(reason, ambiguous=True))
            return
        if first is None:
            self._give(entry, duplicate)
        else:
            self.pending.remember([first])
            self.pending.settle(entry, first)


async def _block_after(follower: Follower, number: int) -> Block:
    """Wait for a final block behind a number, not for long; return the newest."""
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_WAIT):
                return await follower.after(number)
        if follower.last is not None:
            return follower.last


async def uninterrupted(work: Awaitable[T]) -> T:
    """Finish something even when the task is cancelled meanwhile; the cancellation comes after it."""
    inner = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(inner)
    except asyncio.CancelledError:
        await asyncio.wait([inner])
        raise


def _is_overdue(flight: PendingTransaction, seconds: float) -> bool:
    return time.monotonic() > flight.began_at + seconds


def _fail_calls(waiters: Sequence["asyncio.Future[Relayed]"], error: Exception) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_exception(error)
