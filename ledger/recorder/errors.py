"""Errors of the recorder."""

from ledger.errors import LedgerError
from ledger.hexes import to_hex


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
