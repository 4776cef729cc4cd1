"""What a recorder writes into its journal, and what follows from it. Pure: no I/O.

One append holds the transactions that are sent together, so they are there all or none. Each segment
begins with `Opened`, which carries over what is needed of the segments before it; so reading starts at
the oldest segment that holds an unsettled transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from ledger.journal import Frame, JournalDamagedError

FORMAT: Final = 1

_SIGNATURE: Final = 65
_HASH: Final = 32


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """How far the chain had got, for certain: a final block and the access log's state in it."""

    block_number: int
    block_hash: bytes
    sequence: int
    head: bytes


class Identity(msgspec.Struct, frozen=True, array_like=True):
    """Whose journal it is: what its transactions are for."""

    chain_id: int
    genesis_hash: bytes
    access_log: bytes
    account: bytes


class Opened(msgspec.Struct, frozen=True, array_like=True, tag="opened"):
    """Begins a segment."""

    format: int
    identity: Identity
    next_nonce: int
    mark: Mark | None
    oldest: int
    """Number of the oldest segment with an unsettled transaction."""


class Sent(msgspec.Struct, frozen=True, array_like=True, tag="sent"):
    """A transaction that is about to be sent, for the first time or with a higher fee."""

    sender: bytes
    nonce: int
    hash: bytes
    raw: bytes
    accesses: bytes = b""
    """Ids of the accesses that it records, one after the other; empty for any other transaction."""
    signatures: bytes = b""
    """The consumers' signatures, likewise; empty in a replacement, which has the same accesses."""


SKIPPED_BATCH: Final = 0xFE
"""In place of an outcome: passed over, the first of its batch. One event tells of the whole batch."""
SKIPPED: Final = 0xFF
"""In place of an outcome: passed over with the one before it."""


class Settled(msgspec.Struct, frozen=True, array_like=True, tag="settled"):
    """What became of a transaction, in a final block.

    Not needed for correctness: what is missing here is looked up on the chain again.
    """

    hash: bytes
    block_number: int
    block_hash: bytes
    timestamp: int
    index: int
    """Of the transaction in the block."""
    succeeded: bool
    first_sequence: int
    """Of its first access, or the next access's if all were passed over; zero when refused."""
    first_log: int
    outcomes: bytes
    """One byte for each access that it should record: its outcome, or that it was passed over."""
    head: bytes
    """The running hash behind it; empty when it records no accesses or was refused."""

    @property
    def last_sequence(self) -> int:
        """Number of the access log's newest access behind it."""
        return self.first_sequence + sum(one < SKIPPED_BATCH for one in self.outcomes) - 1


class GivenUp(msgspec.Struct, frozen=True, array_like=True, tag="given up"):
    """A transaction that will not be sent any more, and did not do what it should."""

    hash: bytes
    reason: str


class Marked(msgspec.Struct, frozen=True, array_like=True, tag="marked"):
    """How far the chain has got; after a reconciliation that may be less far than before."""

    mark: Mark


JournalRecord = Opened | Sent | Settled | GivenUp | Marked

_decoder: Final = msgspec.msgpack.Decoder(list[JournalRecord])
_encoder: Final = msgspec.msgpack.Encoder()


def encode_records(records: Sequence[JournalRecord]) -> bytes:
    """Return the payload of one append."""
    return _encoder.encode(records)


def decode_records(payload: bytes) -> list[JournalRecord]:
    """Return what one append holds.

    Raises:
        JournalDamagedError: it is not what `encode_records` writes.
    """
    try:
        return _decoder.decode(payload)
    except msgspec.DecodeError as error:
        raise JournalDamagedError(f"a record of the journal cannot be read: {error}") from error


def split_accesses(sent: Sent) -> list[bytes]:
    """Return the ids of the accesses that a transaction records."""
    return [sent.accesses[at : at + _HASH] for at in range(0, len(sent.accesses), _HASH)]


def split_signatures(sent: Sent) -> list[bytes]:
    """Return the signatures of the accesses that a transaction records."""
    return [
        sent.signatures[at : at + _SIGNATURE] for at in range(0, len(sent.signatures), _SIGNATURE)
    ]


@dataclass(slots=True)
class Journaled:
    """One nonce of one sender, with every transaction that was sent for it."""

    segment: int
    attempts: list[Sent]
    settled: Settled | None = None
    given_up: GivenUp | None = None

    @property
    def is_open(self) -> bool:
        """Whether its fate is not known yet."""
        return self.settled is None and self.given_up is None

    @property
    def key(self) -> tuple[bytes, int]:
        """Sender and nonce."""
        return self.attempts[0].sender, self.attempts[0].nonce

    @property
    def carried_out(self) -> Sent:
        """The transaction that counts: the settled one, else the newest."""
        settled = self.settled
        found = (sent for sent in self.attempts if settled and sent.hash == settled.hash)
        return next(found, self.attempts[-1])


@dataclass(slots=True)
class JournalState:
    """What follows from a journal, record by record."""

    identity: Identity | None = None
    next_nonce: int = 0
    mark: Mark | None = None
    oldest: int = 0
    transactions: dict[tuple[bytes, int], Journaled] = field(default_factory=dict)
    """By sender and nonce, in the order in which they were journaled."""
    _by_hash: dict[bytes, Journaled] = field(default_factory=dict)

    def read(self, frames: Iterable[Frame]) -> None:
        """Take in what a journal holds.

        Raises:
            JournalDamagedError: it is not a recorder's journal.
        """
        for frame in frames:
            for one in decode_records(frame.payload):
                self.note(one, frame.segment)

    def note(self, one: JournalRecord, segment: int) -> None:
        """Take in one record."""
        match one:
            case Opened():
                self._open(one)
            case Sent():
                self._send(one, segment)
            case Settled():
                self._settle(one)
            case Marked():
                self.mark = one.mark
            case GivenUp():
                found = self._by_hash.get(one.hash)
                if found is not None:
                    found.given_up = one

    def open_transactions(self) -> list[Journaled]:
        """Return those whose fate is not known, in the order in which they were journaled."""
        return [one for one in self.transactions.values() if one.is_open]

    def _open(self, opened: Opened) -> None:
        if opened.format != FORMAT:
            raise JournalDamagedError(f"a journal of format {opened.format}, {FORMAT} is known")
        self.identity = opened.identity
        self.next_nonce = max(self.next_nonce, opened.next_nonce)
        self.oldest = opened.oldest
        # A segment whose making failed may come back after a crash, with an older mark.
        if self.mark is None or (opened.mark and opened.mark.sequence > self.mark.sequence):
            self.mark = opened.mark

    def _send(self, sent: Sent, segment: int) -> None:
        key = (sent.sender, sent.nonce)
        known = self.transactions.get(key)
        if known is None or not known.is_open:
            known = self.transactions[key] = Journaled(segment, [sent])
        else:
            known.attempts.append(sent)
        self._by_hash[sent.hash] = known
        if self.identity is not None and sent.sender == self.identity.account:
            self.next_nonce = max(self.next_nonce, sent.nonce + 1)

    def _settle(self, settled: Settled) -> None:
        known = self._by_hash.get(settled.hash)
        if known is not None:
            known.settled = settled
            # Years of journal may be read: only what is still open is kept whole.
            known.attempts = [_without_bytes(sent) for sent in known.attempts]
        if settled.outcomes:
            self.mark = Mark(
                settled.block_number, settled.block_hash, settled.last_sequence, settled.head
            )
        elif self.mark is not None and settled.block_number > self.mark.block_number:
            self.mark = Mark(
                settled.block_number, settled.block_hash, self.mark.sequence, self.mark.head
            )
        elif self.mark is None:
            self.mark = Mark(settled.block_number, settled.block_hash, 0, bytes(_HASH))


def _without_bytes(sent: Sent) -> Sent:
    return msgspec.structs.replace(sent, raw=b"", signatures=b"") if sent.raw else sent
