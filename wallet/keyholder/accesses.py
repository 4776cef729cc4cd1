"""The accesses of the release window, as little of each as a release asks for.

At a thousand accesses a second an hour has 3.6 million, so they are packed: an access takes its id, its
place and its outcome, some 40 bytes, and its block the rest.
"""

from array import array
from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from ledger.chain.events import Accessed
from ledger.model import OUTCOMES, Outcome
from ledger.replay.journal_check import access_id

_ID: Final = 32


@dataclass(frozen=True, slots=True)
class KnownAccess:
    """One access as the keyholder's own node has it.

    Attributes:
        access: Its id, the struct hash of the request.
        sequence: Its number on chain.
        outcome: What the contract decided.
        block_number: Of its block.
        timestamp: Of the same, seconds since 1970.
        log_index: Place among the block's logs.
    """

    access: bytes
    sequence: int
    outcome: Outcome
    block_number: int
    timestamp: int
    log_index: int


@dataclass(slots=True)
class _BlockAccesses:
    """One block's; they are numbered without a gap, so the first number tells all."""

    timestamp: int
    first_sequence: int
    ids: bytearray = field(default_factory=bytearray)
    outcomes: bytearray = field(default_factory=bytearray)
    places: "array[int]" = field(default_factory=lambda: array("I"))


class RecentAccesses:
    """Accesses by their place on chain, from some block on."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[int, _BlockAccesses] = OrderedDict()

    def add(self, event: Accessed) -> None:
        """Take the next access; they come in the chain's order, numbered without a gap."""
        block = self._blocks.get(event.block.number)
        if block is None:
            block = _BlockAccesses(event.block.timestamp, event.sequence)
            self._blocks[event.block.number] = block
        block.ids += access_id(event)
        block.outcomes.append(event.outcome)
        block.places.append(event.log_index)

    def find(self, block_number: int, log_index: int) -> KnownAccess | None:
        """Return the access at a place."""
        block = self._blocks.get(block_number)
        if block is None:
            return None
        at = bisect_left(block.places, log_index)
        if at == len(block.places) or block.places[at] != log_index:
            return None
        return KnownAccess(
            access=bytes(block.ids[_ID * at : _ID * (at + 1)]),
            sequence=block.first_sequence + at,
            outcome=OUTCOMES[block.outcomes[at]],
            block_number=block_number,
            timestamp=block.timestamp,
            log_index=log_index,
        )

    def forget_before(self, timestamp: int) -> int:
        """Forget blocks that are older than a time; return the number of the last one, -1 for none."""
        blocks, gone = self._blocks, -1
        while blocks:
            number, block = next(iter(blocks.items()))
            if block.timestamp >= timestamp:
                break
            del blocks[number]
            gone = number
        return gone

    def __len__(self) -> int:
        return sum(len(block.outcomes) for block in self._blocks.values())
