"""The recorder: group commit of accesses, and relaying, over a journal (DESIGN 3.6)."""

from ledger.recorder.errors import (
    InvalidRequestError,
    NonceGapError,
    NotRecordedError,
    RecorderBusyError,
    RecorderError,
    RecorderNotNamedError,
    RecorderUnavailableError,
    ReplacedError,
    SequenceBehindError,
    TransactionRejectedError,
)
from ledger.recorder.flights import Relayed
from ledger.recorder.reconciling import Difference, Reconciliation
from ledger.recorder.recorder import Recorder
from ledger.recorder.settings import RecorderSettings
from ledger.recorder.status import RecorderState, RecorderStatus

__all__ = [
    "Difference",
    "InvalidRequestError",
    "NonceGapError",
    "NotRecordedError",
    "Reconciliation",
    "Recorder",
    "RecorderBusyError",
    "RecorderError",
    "RecorderNotNamedError",
    "RecorderSettings",
    "RecorderState",
    "RecorderStatus",
    "RecorderUnavailableError",
    "Relayed",
    "ReplacedError",
    "SequenceBehindError",
    "TransactionRejectedError",
]
