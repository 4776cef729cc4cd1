"""What a recorder is doing, for `/readyz` and metrics."""

from dataclasses import dataclass
from enum import Enum

from ledger.errors import LedgerError
from ledger.recorder.reconciling import Reconciliation


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
        reconciliation: what the last one found, if there was one.
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
