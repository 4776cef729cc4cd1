"""What can go wrong at the regulator."""

from wallet.errors import WalletError


class RegulatorError(WalletError):
    """Root of what can go wrong at the regulator."""


class NotVoidableError(RegulatorError):
    """A use may not be given back, as far as replay and the journals show."""


class NoSuchEntryError(RegulatorError):
    """A release journal does not have an access."""
