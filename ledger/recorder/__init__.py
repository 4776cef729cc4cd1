"""The recorder: group commit of accesses, and relaying, over a journal (DESIGN 3.6)."""

from ledger.recorder.errors import (
    InvalidRequestError,
    RecorderBusyError,
    RecorderError,
    RecorderNotNamedError,
    TransactionRejectedError,
)
from ledger.recorder.recorder import Recorder
from ledger.recorder.settings import RecorderSettings
from ledger.recorder.status import RecorderState

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
