"""The recorder's account: it numbers, signs, journals and sends transactions, in this order.

Nothing is sent that is not on the disk. After a crash the same bytes are sent again: the same nonce
and the same hash, so that they count once, however often they are sent.
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeVar

from ledger import failpoints
from ledger.chain import eth_methods
from ledger.chain.rpc import AsyncRpc, CallError
from ledger.chain.transactions import (
    Fee,
    SignedTransaction,
    Transaction,
    parse_transaction,
    sign_transaction,
)
from ledger.crypto.signatures import address_of
from ledger.journal import Journal, JournalFullError
from ledger.recorder.batch import Entry
from ledger.recorder.journal import (
    FORMAT,
    Identity,
    JournalRecord,
    Mark,
    Opened,
    Sent,
    encode_records,
)
from ledger.recorder.settings import RecorderSettings, TransactionRejectedError
from ledger.recorder.settle import PendingTransaction, PendingTransactions, Relayed

T = TypeVar("T")

_HEX: Final = 2
_ENVELOPE: Final = 100
_KNOWN: Final = re.compile(
    r"already (known|imported)|known transaction|nonce too low|nonce is too low|nonce_too_low",
    re.IGNORECASE,
)


@dataclass(eq=False, slots=True)
class Draft:
    """A transaction of the recorder's account, or one that a party signed, before it is journaled."""

    to: bytes
    data: bytes
    gas: int = 0
    entries: Sequence[Entry] = ()
    signed: SignedTransaction | None = None
    waiters: list[asyncio.Future[Relayed]] = field(default_factory=list)


class Outbox:
    """Everything that is sent goes through here. Used by one task at a time."""

    def __init__(
        self,
        rpc: AsyncRpc,
        private_key: bytes,
        identity: Identity,
        settings: RecorderSettings,
    ) -> None:
        self.account = address_of(private_key)
        self.flights = PendingTransactions()
        self.next_nonce = 0
        self.fee = Fee(0)
        self.mark: Mark | None = None
        """How far the chain had got, for certain."""
        self.journal: Journal | None = None
        """None only where a test shows what happens without."""
        self._rpc = rpc
        self._private_key = private_key
        self._identity = identity
        self._settings = settings
        self._notes: list[JournalRecord] = []
        self._writing = asyncio.Lock()
        # The disk is waited for in a thread: a slow one must not stop the event loop.
        self._disk = ThreadPoolExecutor(1, "journal")

    def of_account(self) -> list[PendingTransaction]:
        """Return our own transactions on their way, by nonce."""
        return self.flights.of(self.account)

    async def open_segment(self) -> None:
        """Begin a journal segment, and remove the old ones that nothing needs any more.

        If we crash in between, the old ones are removed the next time.

        Raises:
            JournalError: the journal does not work.
        """
        if self.journal is None:
            return
        journal = self.journal
        oldest = self.flights.oldest_segment(journal.segment + 1)
        opened = Opened(FORMAT, self._identity, self.next_nonce, self.mark, oldest)
        await self._on_disk(lambda: journal.begin_segment(encode_records([opened])))
        if not self._settings.keep_history:
            await self._on_disk(lambda: journal.drop_segments(oldest))

    async def send(self, drafts: Sequence[Draft]) -> None:
        """Number, sign, journal and send transactions, in order.

        If we crash before they are journaled, nothing was sent and no nonce is used. If we crash
        afterwards, they are sent by the next process.

        Raises:
            JournalFullError: nothing was sent, and will not be.
            JournalError: nothing was sent; it may be in the next process.
            RpcError: they are journaled; whether they arrived is unknown.
        """
        nonce, flights = self.next_nonce, []
        for draft in drafts:
            signed = draft.signed
            if signed is None:
                signed = self._sign(draft.to, draft.data, nonce, draft.gas, self.fee)
                nonce += 1
            flights.append(_flight(draft, signed))
        failpoints.reach("before_journal")
        await self._write([flight.newest for flight in flights])
        failpoints.reach("after_journal")
        for flight in flights:
            flight.segment = self.journal.segment if self.journal is not None else 0
            flight.began_at = time.monotonic()
            for entry in flight.entries:
                entry.journaled = True
            if flight.sender == self.account:
                self.next_nonce = flight.nonce + 1
            self.flights.add(flight)
        await self.transmit(flights)
        failpoints.reach("after_send")

    async def replace(self, flight: PendingTransaction, fee: Fee) -> None:
        """Send a flight's transaction with a higher fee: same nonce, same call.

        Raises:
            As `send`.
        """
        gas = parse_transaction(flight.newest.raw).content.gas
        newest = self._sign(flight.to, flight.data, flight.nonce, gas, fee)
        accesses = flight.attempts[0].accesses
        attempt = Sent(flight.sender, flight.nonce, newest.hash, newest.raw, accesses)
        await self._write([attempt])
        flight.attempts.append(attempt)
        flight.fee = fee
        await self.transmit([flight])

    async def transmit(self, flights: Sequence[PendingTransaction]) -> None:
        """Hand journaled transactions to the node, for the first time or again.

        Raises:
            RpcError: whether they arrived is unknown.
        """
        for portion in _portions(flights, self._rpc.settings.max_request):
            calls = [eth_methods.send_raw_transaction(flight.newest.raw) for flight in portion]
            answers = await self._rpc.try_many(calls)
            now = time.monotonic()
            for flight, answer in zip(portion, answers, strict=True):
                flight.sent_at = now
                # A known one is on its way, or already on chain: settling finds out.
                refused = isinstance(answer, CallError) and not _KNOWN.search(answer.message)
                flight.rejection = TransactionRejectedError(str(answer)) if refused else None

    def note(self, records: Iterable[JournalRecord]) -> None:
        """Note outcomes; they are written with the next append, or by `flush`.

        If we crash before, they are looked up on the chain again.
        """
        self._notes += records

    async def flush(self) -> None:
        """Write what was noted.

        Raises:
            JournalError: the journal does not work.
        """
        if self._notes:
            await self._write([])

    async def read(self, use: Callable[[Journal], T]) -> T | None:
        """Do something with the journal where its waiting stops nobody; None when there is none."""
        journal = self.journal
        return None if journal is None else await self._on_disk(lambda: use(journal))

    async def close(self) -> None:
        """Let go of the journal."""
        journal = self.journal
        if journal is not None:
            await self._on_disk(journal.close)
        self._disk.shutdown()

    def _sign(self, to: bytes, data: bytes, nonce: int, gas: int, fee: Fee) -> SignedTransaction:
        content = Transaction(self._identity.chain_id, nonce, gas, fee, to, data)
        return sign_transaction(content, self._private_key)

    async def _write(self, records: Sequence[JournalRecord]) -> None:
        journal = self.journal
        if journal is None:
            return
        async with self._writing:
            # Before, not after: what was appended last is among the flights by now, so that the
            # segment that holds it is kept.
            if journal.size > self._settings.segment_size:
                await self.open_segment()
            notes, self._notes = self._notes, []
            payload = encode_records([*notes, *records])
            try:
                await self._on_disk(lambda: journal.append(payload))
            except JournalFullError:
                self._notes = notes + self._notes
                raise

    async def _on_disk(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work)


def _flight(draft: Draft, signed: SignedTransaction) -> PendingTransaction:
    attempt = Sent(
        sender=signed.sender,
        nonce=signed.content.nonce,
        hash=signed.hash,
        raw=signed.raw,
        accesses=b"".join([entry.access for entry in draft.entries]),
        signatures=b"".join([entry.signature for entry in draft.entries]),
    )
    return PendingTransaction(
        sender=signed.sender,
        nonce=signed.content.nonce,
        to=draft.to,
        data=draft.data,
        attempts=[attempt],
        entries=draft.entries,
        waiters=draft.waiters,
        fee=signed.content.fee,
    )


def _portions(
    flights: Sequence[PendingTransaction], most: int
) -> Iterable[list[PendingTransaction]]:
    portion: list[PendingTransaction] = []
    size = 0
    for flight in flights:
        length = _HEX * len(flight.newest.raw) + _ENVELOPE
        if portion and size + length > most:
            yield portion
            portion, size = [], 0
        portion.append(flight)
        size += length
    if portion:
        yield portion
