"""Making a chain whole again that lost blocks, from the journal of all relayed transactions.

The same transactions are sent again in the order in which they were on chain; on the embedded chain also
at the same times. Otherwise they may come out differently (a deadline has passed meanwhile), or because
somebody else's transactions came between them; what does is reported, transaction by transaction and
access by access.

Source: DESIGN 3.6; issue 4, clause 2.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from ledger.enumerations import OUTCOMES
from ledger.exchange import RecordedAccess
from ledger.hexes import to_hex
from ledger.journal import Frame
from ledger.recorder.records import Journaled, Sent, Settled, decode_records, split_accesses
from ledger.recorder.settling import Settlement, placed

_HEAD: Final = "head "


class Difference(msgspec.Struct, frozen=True):
    """Something that is not on chain as it was."""

    transaction: bytes
    """Hash."""
    access: bytes | None
    """Id of the access; None when it concerns the transaction as a whole."""
    before: str
    after: str

    @property
    def in_short(self) -> str:
        """The difference without ids and hashes: accesses have their numbers."""
        if self.before.startswith(_HEAD):
            return "the running hash is another"
        return f"was {self.before}, is {self.after}"

    def __str__(self) -> str:
        what = f"access {to_hex(self.access)}" if self.access else "transaction"
        return f"{what} in {to_hex(self.transaction)}: was {self.before}, is {self.after}"


class Reconciliation(msgspec.Struct, frozen=True):
    """What a reconciliation did."""

    resent: int
    """Transactions that the chain had lost and that are on it again."""
    accesses: int
    """Accesses in them."""
    differences: tuple[Difference, ...]

    @property
    def is_whole(self) -> bool:
        """Whether everything is as it was."""
        return not self.differences


def plan_reconciliation(
    transactions: Iterable[Journaled], next_nonces: Mapping[bytes, int]
) -> list[Journaled]:
    """Return the transactions that the chain does not know, in the order in which to send them.

    Args:
        transactions: all of a journal, in its order.
        next_nonces: for each sender what the chain takes for its next nonce.
    """
    missing = [
        one
        for one in transactions
        if one.given_up is None and one.key[1] >= next_nonces.get(one.key[0], 0)
    ]
    # First what was in a block, as it stood there; then what was still on its way.
    return sorted(missing, key=_place)


def senders_of(transactions: Iterable[Journaled]) -> list[bytes]:
    """Return everybody who sent something."""
    return sorted({one.key[0] for one in transactions})


def find_raw(frames: Iterable[Frame], wanted: Sequence[Journaled]) -> dict[bytes, Sent]:
    """Return the transactions themselves, by hash, from another pass over the journal."""
    hashes = {one.carried_out.hash for one in wanted}
    return {
        record.hash: record
        for frame in frames
        for record in decode_records(frame.payload)
        if isinstance(record, Sent) and record.hash in hashes
    }


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
        Difference(transaction, access, _said_of(one), _said_of(other))
        for access, one, other in zip(accesses, was, now, strict=True)
        if _said_of(one) != _said_of(other)
    ]
    yield from differing
    head = after.record.head
    if not differing and before.head != head:
        yield Difference(transaction, None, f"{_HEAD}{to_hex(before.head)}", to_hex(head))


def lost(one: Journaled, reason: str) -> Iterator[Difference]:
    """Yield what is missing when a transaction cannot be brought back."""
    before = one.settled
    sent = one.carried_out
    if before is None or not before.outcomes:
        yield Difference(sent.hash, None, _fate(before is None or before.succeeded), reason)
        return
    accesses = split_accesses(sent)
    for access, was in zip(accesses, placed(before, accesses), strict=True):
        yield Difference(sent.hash, access, _said_of(was), reason)


def _place(one: Journaled) -> tuple[bool, int, int]:
    settled = one.settled
    return (True, 0, 0) if settled is None else (False, settled.block_number, settled.index)


def _fate(succeeded: bool) -> str:
    return "carried out" if succeeded else "refused"


def _said_of(access: RecordedAccess | None) -> str:
    if access is None:
        return "passed over"
    return f"{OUTCOMES[access.outcome].title} as number {access.sequence}"
