"""The recorder: group commit of accesses, and relaying, over a journal (DESIGN 3.6)."""

from ledger.recorder.errors import (
    AccountSharedError,
    InconsistentReceiptError,
    InvalidRequestError,
    JournalMismatchError,
    NonceGapError,
    NotARecorderError,
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
    "AccountSharedError",
    "Difference",
    "InconsistentReceiptError",
    "InvalidRequestError",
    "JournalMismatchError",
    "NonceGapError",
    "NotARecorderError",
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
