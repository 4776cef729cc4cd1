"""What a recorder raises."""

from ledger.errors import LedgerError
from ledger.hexes import to_hex


class RecorderError(LedgerError):
    """Something was not recorded, or may not be."""


class RecorderUnavailableError(RecorderError):
    """The recorder takes nothing just now; `cause` says why. Nothing was recorded."""

    def __init__(self, cause: LedgerError | str) -> None:
        super().__init__(f"nothing can be recorded now: {cause}")
        self.cause = cause

    def __reduce__(self) -> tuple[type["RecorderUnavailableError"], tuple[LedgerError | str]]:
        return type(self), (self.cause,)


class RecorderBusyError(RecorderError):
    """More waits than the settings allow. Nothing was recorded; try again a little later."""


class NotRecordedError(RecorderError):
    """It was not in a final block in time. Ask again with the same bytes: there is never a second one.

    Attributes:
        ambiguous: whether it may still be recorded. If not, it was not and will not be.
    """

    def __init__(self, reason: str, *, ambiguous: bool) -> None:
        fate = "it may still come" if ambiguous else "it was dropped"
        super().__init__(f"not recorded: {reason}; {fate}")
        self.reason = reason
        self.ambiguous = ambiguous

    def __reduce__(self) -> tuple[object, ...]:
        return _not_recorded, (self.reason, self.ambiguous)


def _not_recorded(reason: str, ambiguous: bool) -> NotRecordedError:
    return NotRecordedError(reason, ambiguous=ambiguous)


class InvalidRequestError(RecorderError):
    """A request that the contract cannot take at all."""


class RecorderNotNamedError(RecorderError):
    """The consumer has not named this recorder, or took the naming back: nothing was recorded."""

    def __init__(self, consumer: bytes, recorder: bytes) -> None:
        super().__init__(f"{to_hex(consumer)} has not named the recorder {to_hex(recorder)}")
        self.consumer = consumer
        self.recorder = recorder

    def __reduce__(self) -> tuple[type["RecorderNotNamedError"], tuple[bytes, bytes]]:
        return type(self), (self.consumer, self.recorder)


class ReplacedError(RecorderError):
    """Another transaction with the same nonce was carried out instead of this one."""

    def __init__(self, transaction: bytes) -> None:
        super().__init__(f"another transaction took the place of {to_hex(transaction)}")
        self.transaction = transaction

    def __reduce__(self) -> tuple[type["ReplacedError"], tuple[bytes]]:
        return type(self), (self.transaction,)


class NonceGapError(RecorderError):
    """A party's transaction does not follow its last one: it would wait for ever."""


class TransactionRejectedError(RecorderError):
    """The node does not take a transaction."""


class SequenceBehindError(RecorderError):
    """The access log has recorded less than it had: the chain lost accesses."""
