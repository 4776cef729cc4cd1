"""The recorder: group commit of accesses, and relaying, over a journal (DESIGN 3.6)."""

from ledger.recorder.recorder import Recorder
from ledger.recorder.settings import (
    InvalidRequestError,
    RecorderBusyError,
    RecorderError,
    RecorderNotNamedError,
    RecorderSettings,
    RecorderState,
    TransactionRejectedError,
)

__all__ = [
    "InvalidRequestError",
    "Recorder",
    "RecorderBusyError",
    "RecorderError",
    "RecorderNotNamedError",
    "RecorderSettings",
    "RecorderState",
    "TransactionRejectedError",
]
