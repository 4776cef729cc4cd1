"""How a recorder works, what it says of its state, and what it raises."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgspec

from ledger.chain.finality import Finality
from ledger.chain.transactions import AS_SUGGESTED, FeeRule
from ledger.errors import LedgerError
from ledger.hexstr import to_hex

AT_ONCE: Final = Finality.depth(0)


@dataclass(frozen=True, slots=True)
class RecorderSettings:
    """Settings, each with the failure that it prevents.

    Attributes:
        finality: when a block counts; relying on one that is taken back would release unrecorded.
        fee: what our transactions offer. A node that suggests too little or too much decides nothing then.
        most_entries: accesses in one transaction. Gas lowers it further.
        most_in_flight: transactions of our account that wait for their block. What is sent beyond
            what a block takes only gathers in the node's pool, where a fall of the node forgets it.
        most_queued: accesses waiting to be sent; more are refused, so that memory stays bounded.
        most_queued_of_one: the same for one consumer, so that one does not take all the room.
        patience: seconds that a caller waits; a hung node must not hold callers for ever.
        pace: seconds between two batches, so that a busy recorder does not send many small ones.
        resend_after: seconds until an unmined transaction is sent again; nodes forget them.
        replace_after: seconds until one that is still unmined gets a higher fee, where gas costs.
        remembered: outcomes kept in memory, to answer a repeated request at once.
        segment_size: bytes of a journal segment.
        keep_history: keep journal segments whose transactions are all final. Needed on the embedded
            chain only, which can forget final blocks.
        reconcile_automatically: when the chain lost blocks, send again what is missing without
            being asked. On the embedded chain only: elsewhere a person must look first.
        sets_clock: send it again at the times at which it was, so that no deadline has passed meanwhile.
            On the embedded chain only, whose clock can be set.
        journaled: off loses records in a crash; only tests that show this turn it off.
    """

    finality: Finality = AT_ONCE
    fee: FeeRule = AS_SUGGESTED
    most_entries: int = 1_000
    most_in_flight: int = 16
    most_queued: int = 20_000
    most_queued_of_one: int = 10_000
    patience: float = 10.0
    pace: float = 0.02
    resend_after: float = 3.0
    replace_after: float = 30.0
    remembered: int = 50_000
    segment_size: int = 64 << 20
    keep_history: bool = False
    reconcile_automatically: bool = False
    sets_clock: bool = False
    journaled: bool = True


class RecorderError(LedgerError):
    """Something was not recorded, or may not be.

    Attributes:
        ambiguous: whether it may still be recorded. Ask again with the same bytes: there is never a second
            access. If not, it was not recorded and will not be.
    """

    def __init__(self, message: str, *, ambiguous: bool = False) -> None:
        super().__init__(message)
        self.ambiguous = ambiguous


class RecorderBusyError(RecorderError):
    """More waits than the settings allow. Nothing was recorded; try again a little later."""


class InvalidRequestError(RecorderError):
    """A request that the contract cannot take at all."""


class RecorderNotNamedError(RecorderError):
    """The consumer has not named this recorder, or took the naming back: nothing was recorded."""

    def __init__(self, consumer: bytes, recorder: bytes) -> None:
        super().__init__(f"{to_hex(consumer)} has not named the recorder {to_hex(recorder)}")
        self.consumer = consumer
        self.recorder = recorder


class TransactionRejectedError(RecorderError):
    """A transaction cannot be carried out: the node does not take it, or its nonce is not the next."""


def unavailable(cause: object) -> RecorderError:
    """Return the error of a recorder that takes nothing just now. Nothing was recorded."""
    return RecorderError(f"nothing can be recorded now: {cause}")


def not_recorded(reason: str, *, ambiguous: bool) -> RecorderError:
    """Return the error of what was not in a final block in time."""
    fate = "it may still come" if ambiguous else "it was dropped"
    return RecorderError(f"not recorded: {reason}; {fate}", ambiguous=ambiguous)


def replaced(transaction: bytes) -> TransactionRejectedError:
    """Return the error of a transaction whose nonce another one used."""
    return TransactionRejectedError(f"another transaction took the place of {to_hex(transaction)}")


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
