"""States of a recorder, for `/readyz` and metrics, and what a reconciliation brought."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgspec

from ledger.errors import LedgerError
from ledger.hexes import to_hex

HEAD: Final = "head "
"""Begins `Difference.before` where the running hash differs."""


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
        if self.before.startswith(HEAD):
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


class RecorderState(Enum):
    """What a recorder is doing."""

    STARTING = "starting"
    """It looks for the node, or makes sure that the chain is the right one."""
    RUNNING = "running"
    HALTED = "halted"
    """The chain, the journal or the account is not as it must be; see `problem`."""
    RECONCILING = "reconciling"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class RecorderStatus:
    """For `/readyz` and metrics.

    Attributes:
        state: what it is doing.
        problem: why it takes nothing, or why nothing moves; None when all is well.
        queued: accesses and calls that wait to be sent.
        in_flight: transactions that wait for their final block.
        block_number: the newest final block seen; None before the first.
        sequence: accesses on chain, as far as this recorder knows.
        reconciliation: the last one, if there was one.
    """

    state: RecorderState
    problem: LedgerError | None
    queued: int
    in_flight: int
    block_number: int | None
    sequence: int
    reconciliation: Reconciliation | None

    @property
    def is_ready(self) -> bool:
        """Whether an access can be recorded now, as far as is known."""
        running = self.state is RecorderState.RUNNING and self.problem is None
        return running and self.block_number is not None
