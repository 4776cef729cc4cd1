"""What waits to be recorded, in which order it goes, and what callers hear of it. No I/O."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, TypeVar

from ledger.api import RecordedAccess, Submission
from ledger.chain.contract_calls import (
    ContractCall,
    RequestGroup,
    decode_record,
    encode_request,
    record,
)
from ledger.chain.transactions import GAS_CAP
from ledger.fair_queue import FairQueue
from ledger.hexstr import keccak256
from ledger.recorder.settings import (
    InvalidRequestError,
    RecorderBusyError,
    RecorderError,
    RecorderSettings,
    not_recorded,
)
from ledger.typed_data import AccessRequest, type_hash

_PADDING: Final = bytes(12)
_TYPE_HASH: Final = type_hash(AccessRequest)
_FIRST_GAS: Final = 30_000
_SHARE: Final = 0.8
_WEIGHT: Final = 0.1
_TRANSACTION_GAS: Final = 60_000
_WORD_GAS: Final = 22_100
"""Of a storage slot that is new: a key of answers that was not used before (EIP-2929: 20,000 + 2,100)."""


class Entry:
    """One access on its way."""

    __slots__ = ("access", "consumer", "dropped", "encoded", "journaled", "signature", "waiters")

    def __init__(self, access: bytes, consumer: bytes, encoded: bytes, signature: bytes) -> None:
        self.access = access
        self.consumer = consumer
        self.encoded = encoded
        """The request as the contract reads it (`contracts.encode_request`)."""
        self.signature = signature
        self.waiters: list[asyncio.Future[RecordedAccess]] = []
        self.journaled = False
        self.dropped = False
        """Nobody waits for it any more, and it was not journaled: it is not to be sent."""

    @property
    def word(self) -> tuple[bytes, bytes]:
        """The storage slot of its nonce: consumer, word."""
        return self.consumer, self.encoded[64:95]

    @property
    def order(self) -> tuple[bytes, bytes, bytes]:
        """Where it stands within a transaction: by consumer, word of the nonce, basis."""
        return *self.word, self.encoded[:32]


def access_id(consumer: bytes, encoded: bytes) -> bytes:
    """Return an access's id, the `struct_hash` of its request, from the request's 160 bytes."""
    basis, fields_to_deadline, item = encoded[:32], encoded[32:128], encoded[128:160]
    return keccak256(_TYPE_HASH + _PADDING + consumer + basis + item + fields_to_deadline)


def make_entry(request: AccessRequest, signature: bytes, access: bytes | None = None) -> Entry:
    """Return the entry of a request; `access` is its id, when it is known already."""
    encoded = encode_request(request)
    return Entry(
        access or access_id(request.consumer, encoded), request.consumer, encoded, signature
    )


def call_of(entries: Iterable[Entry]) -> ContractCall:
    """Return the call that records entries which are in order."""
    groups = groupby(entries, attrgetter("consumer"))
    return record(
        [RequestGroup(consumer, tuple(e.encoded for e in group)) for consumer, group in groups]
    )


def entries_of(data: bytes, accesses: Sequence[bytes], signatures: Sequence[bytes]) -> list[Entry]:
    """Return the entries in call data that `call_of` made, in its order, with their ids and signatures.

    Raises:
        MalformedError: it is other call data.
        ValueError: there are more or fewer ids or signatures than requests.
    """
    requests = [
        (group.consumer, encoded) for group in decode_record(data) for encoded in group.requests
    ]
    return [
        Entry(access, consumer, encoded, signature)
        for (consumer, encoded), access, signature in zip(
            requests, accesses, signatures, strict=True
        )
    ]


class EntryQueue:
    """Entries that wait, each consumer's in the order in which they came."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._turns: FairQueue[Entry] = FairQueue()

    def __len__(self) -> int:
        return len(self._turns)

    def put(self, entry: Entry) -> None:
        """Append an entry.

        Raises:
            RecorderBusyError: the queue is full, or this consumer's share of it.
        """
        mine = self._turns.waiting_of(entry.consumer)
        if len(self._turns) >= self._most or mine >= self._most_of_one:
            raise RecorderBusyError("too many accesses are waiting")
        self._turns.put(entry.consumer, entry)

    def take(self, most: int, room: "Room | None" = None) -> list[Entry]:
        """Take entries out, an equal share of each consumer's, in the order for a transaction.

        Dropped entries are left out. One entry is taken even if there is not enough `room` for it.
        """
        taken: list[Entry] = []
        while len(self._turns) and len(taken) < most:
            count = most - len(taken)
            if room is not None:
                count = min(count, max(room.entries, not taken))
            if not count:
                break
            portion = [entry for entry in self._turns.take(count) if not entry.dropped]
            taken += portion
            if room is not None:
                room.fill(portion)
        taken.sort(key=attrgetter("order"))
        return taken


class GasModel:
    """How many accesses fit into a transaction, learnt from those that were mined.

    A word of nonces is taken to be a new storage slot, so that a thousand requests with a thousand keys
    are not sized like those that share one. The rest of an access's gas depends on how much the accesses
    share, so the figure follows what is observed: up at once, down slowly. A transaction that nevertheless
    runs out is split (`ran_out`).
    """

    def __init__(self) -> None:
        self._per_entry = float(_FIRST_GAS)

    def entries(self, gas: int = GAS_CAP) -> int:
        """Return how many accesses that share their words fit into one transaction with this gas."""
        return max(int((gas * _SHARE - _TRANSACTION_GAS) / self._per_entry), 1)

    def room(self, gas: int = GAS_CAP) -> "Room":
        return Room(gas * _SHARE - _TRANSACTION_GAS, self._per_entry)

    def observe(self, entries: Sequence[Entry], gas_used: int) -> None:
        """Learn from a mined transaction."""
        observed = max(gas_used - _TRANSACTION_GAS - _gas_of_words(entries), 0) / len(entries)
        if observed > self._per_entry:
            self._per_entry = observed
        elif len(entries) > 1:
            self._per_entry += _WEIGHT * (observed - self._per_entry)

    def ran_out(self, entries: Sequence[Entry]) -> None:
        """Learn from a transaction whose gas did not suffice."""
        least = (GAS_CAP - _gas_of_words(entries)) / len(entries)
        self._per_entry = max(self._per_entry, least)


class Room:
    """What still fits into one transaction."""

    def __init__(self, gas: float, per_entry: float) -> None:
        self._gas = gas
        self._per_entry = per_entry
        self._words: set[tuple[bytes, bytes]] = set()

    @property
    def entries(self) -> int:
        """How many fit for certain, even if each has a word of its own."""
        return max(int(self._gas / (self._per_entry + _WORD_GAS)), 0)

    def fill(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._gas -= self._per_entry
            if entry.word not in self._words:
                self._words.add(entry.word)
                self._gas -= _WORD_GAS


def _gas_of_words(entries: Iterable[Entry]) -> int:
    return _WORD_GAS * len({entry.word for entry in entries})


T = TypeVar("T")

Unclaimed = Callable[[Submission, RecordedAccess], None]
"""Called with an access that was recorded when nobody waited for it any more."""

_LATEST_DEADLINE: Final = (1 << 40) - 1


class PendingRequests:
    """Callers, by the access that they wait for. Belongs to one event loop."""

    def __init__(self, settings: RecorderSettings, wake: Callable[[], None]) -> None:
        self.queue = EntryQueue(settings.most_queued, settings.most_queued_of_one)
        self._settings = settings
        self._wake = wake
        self._entries: dict[bytes, Entry] = {}
        self._recent: OrderedDict[bytes, RecordedAccess] = OrderedDict()
        self._due: deque[tuple[float, asyncio.Future[Any], Entry | None]] = deque()

    def submit(
        self, submission: Submission, access: bytes | None, closed: RecorderError | None
    ) -> asyncio.Future[RecordedAccess]:
        """Hand in a request; `access` is its id, when it is known already.

        Raises:
            RecorderError: `closed`, when the request is a new one.
            RecorderBusyError: too many wait.
            InvalidRequestError: no contract could take it.
        """
        entry = make_entry(submission.request, submission.signature, access)
        future: asyncio.Future[RecordedAccess] = asyncio.get_running_loop().create_future()
        done = self._recent.get(entry.access)
        if done is not None:
            future.set_result(done)
            return future
        known = self._entries.get(entry.access)
        if known is None:
            if closed is not None:
                raise closed
            if submission.request.deadline > _LATEST_DEADLINE:
                raise InvalidRequestError(f"a deadline is at most {_LATEST_DEADLINE}")
            self.queue.put(entry)
            self._entries[entry.access] = known = entry
            self._wake()
        known.waiters.append(future)
        self._due.append((time.monotonic() + self._settings.patience, future, known))
        return future

    def await_call(self) -> "asyncio.Future[Any]":
        """Return a future for a relayed transaction; it ends when patience does."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._due.append((time.monotonic() + self._settings.patience, future, None))
        return future

    def restore(self, entries: Iterable[Entry]) -> None:
        """Take in entries that a journal says are on their way."""
        for entry in entries:
            self._entries[entry.access] = entry

    def remember(self, accesses: Iterable[RecordedAccess]) -> None:
        """Keep outcomes, to answer repeated requests at once."""
        for access in accesses:
            self._recent[access.access] = access
        while len(self._recent) > self._settings.remembered:
            self._recent.popitem(last=False)

    def forget(self) -> None:
        """Forget all outcomes: the chain lost some."""
        self._recent.clear()

    def settle(self, entry: Entry, access: RecordedAccess) -> bool:
        """Give an outcome to those who wait for it; return whether anybody did."""
        self._entries.pop(entry.access, None)
        claimed = False
        for waiter in entry.waiters:
            if not waiter.done():
                waiter.set_result(access)
                claimed = True
        return claimed

    def fail(self, entries: Sequence[Entry], error: RecorderError) -> None:
        """Give an error to those who wait; the entries are not on their way any more."""
        for entry in entries:
            self._entries.pop(entry.access, None)
            for waiter in entry.waiters:
                if not waiter.done():
                    waiter.set_exception(error)

    def sweep(self, reason: str) -> None:
        """Answer those who waited too long, with the reason why; drop what none of them needs any more."""
        self._end_until(time.monotonic(), reason)

    def close(self, reason: str) -> None:
        """Answer all who still wait: nothing more will come of it here."""
        self._end_until(float("inf"), reason)

    def _end_until(self, now: float, reason: str) -> None:
        while self._due and self._due[0][0] <= now:
            _, future, entry = self._due.popleft()
            may_come = entry is None or entry.journaled
            if not future.done():
                future.set_exception(not_recorded(reason, ambiguous=may_come))
            if entry is None or may_come or not all(waiter.done() for waiter in entry.waiters):
                continue
            if self._entries.get(entry.access) is entry:
                entry.dropped = True
                del self._entries[entry.access]
