"""The recorder: group commit of accesses, and relaying, over a journal (DESIGN 3.6)."""

from ledger.recorder.errors import (
    InvalidRequestError,
    RecorderBusyError,
    RecorderError,
    RecorderNotNamedError,
    TransactionRejectedError,
)
from ledger.recorder.flights import Relayed
from ledger.recorder.recorder import Recorder
from ledger.recorder.settings import RecorderSettings
from ledger.recorder.status import Difference, Reconciliation, RecorderState, RecorderStatus

__all__ = [
    "Difference",
    "InvalidRequestError",
    "Reconciliation",
    "Recorder",
    "RecorderBusyError",
    "RecorderError",
    "RecorderNotNamedError",
    "RecorderSettings",
    "RecorderState",
    "RecorderStatus",
    "Relayed",
    "TransactionRejectedError",
]
