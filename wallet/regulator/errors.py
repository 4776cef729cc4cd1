"""What can go wrong at the regulator."""

from wallet.errors import WalletError


class RegulatorError(WalletError):
    """Root of what can go wrong at the regulator."""


class JournalFileError(RegulatorError):
    """A release journal cannot be read, or is not one."""


class ChangedJournalError(JournalFileError):
    """A line of a keyholder's journal does not follow the one before: one was changed or dropped."""


class ExportFileError(RegulatorError):
    """An export cannot be written."""


class NoSuchEntryError(RegulatorError):
    """A release journal does not have an access."""
