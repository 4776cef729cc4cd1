"""Records of a recorder's journal, and the state that follows from them.

One append holds the transactions that are sent together, so they are there all or none. Each segment
begins with `Opened`, which carries over what is needed of the segments before it; so reading starts at
the oldest segment that holds an unsettled transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from ledger.journal import Frame, Journal, JournalError
from ledger.recorder.settings import RecorderError

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
        return self.first_sequence + sum(each < SKIPPED_BATCH for each in self.outcomes) - 1


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
        JournalError: it is not what `encode_records` writes.
    """
    try:
        return _decoder.decode(payload)
    except msgspec.DecodeError as error:
        raise JournalError(f"a record of the journal cannot be read: {error}") from error


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
        counting = (sent for sent in self.attempts if settled and sent.hash == settled.hash)
        return next(counting, self.attempts[-1])


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
            JournalError: it is not a recorder's journal.
        """
        for frame in frames:
            for record in decode_records(frame.payload):
                match record:
                    case Opened():
                        self._open(record)
                    case Sent():
                        self._send(record, frame.segment)
                    case Settled():
                        self._settle(record)
                    case Marked():
                        self.mark = record.mark
                    case GivenUp():
                        known = self._by_hash.get(record.hash)
                        if known is not None:
                            known.given_up = record

    def open_transactions(self) -> list[Journaled]:
        """Return those whose fate is not known, in the order in which they were journaled."""
        return [known for known in self.transactions.values() if known.is_open]

    def _open(self, opened: Opened) -> None:
        if opened.format != FORMAT:
            raise JournalError(f"a journal of format {opened.format}, {FORMAT} is known")
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
        if settled.outcomes or self.mark is None or settled.block_number > self.mark.block_number:
            self.mark = mark_after(settled, self.mark)


def mark_after(settled: Settled, before: Mark | None) -> Mark:
    """Return how far the chain has got with a settled transaction."""
    sequence, head = (before.sequence, before.head) if before is not None else (0, bytes(_HASH))
    if settled.outcomes:
        sequence, head = settled.last_sequence, settled.head
    return Mark(settled.block_number, settled.block_hash, sequence, head)


def read_journal(journal: Journal, since: int = 0) -> JournalState:
    """Read a journal from a segment on.

    Raises:
        JournalError: it does not read well.
    """
    state = JournalState()
    state.read(journal.frames(since))
    return state


def restore(journal: Journal, identity: Identity) -> JournalState:
    """Read what a start needs of a journal: from the oldest segment with an open transaction on.

    Raises:
        RecorderError: it belongs to another chain, deployment or account.
        JournalError: it does not read well.
    """
    oldest = 0
    first = next(iter(journal.frames(journal.segment)), None)
    if first is not None:
        opened = decode_records(first.payload)[0]
        if not isinstance(opened, Opened):
            raise JournalError("a segment does not begin as it should")
        oldest = opened.oldest
    state = read_journal(journal, oldest)
    if state.identity is not None and state.identity != identity:
        raise RecorderError("the journal is of another chain, deployment or account")
    return state


def _without_bytes(sent: Sent) -> Sent:
    return msgspec.structs.replace(sent, raw=b"", signatures=b"") if sent.raw else sent
