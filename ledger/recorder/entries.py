"""Accesses that wait, and the order and size of their transactions. Pure: no clock, no I/O.

Consumers take turns, so that one who floods the recorder waits for itself. Within a transaction
accesses are sorted by consumer, word of the nonce and basis: the contract looks a consumer up once
for all accesses that follow each other, and writes a word of nonces once.
"""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from ledger.contracts import ContractCall, RequestGroup, decode_record, encode_request, record
from ledger.exchange import RecordedAccess
from ledger.keccak import keccak256
from ledger.recorder.errors import RecorderBusyError
from ledger.transactions import GAS_CAP
from ledger.turns import Turns
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


class FairQueue:
    """Entries that wait, each consumer's in the order in which they came."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._turns: Turns[Entry] = Turns()

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
        """Return the room in one transaction with this gas at most."""
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
        """Use up the room that entries take."""
        for entry in entries:
            self._gas -= self._per_entry
            if entry.word not in self._words:
                self._words.add(entry.word)
                self._gas -= _WORD_GAS


def _gas_of_words(entries: Iterable[Entry]) -> int:
    return _WORD_GAS * len({entry.word for entry in entries})
