"""What can go wrong on the command line itself."""

from wallet.errors import WalletError


class InputError(WalletError):
    """A value or a file that was given is not as it must be."""


class DifferencesError(WalletError):
    """Replay, or another check, found differences; they were listed."""


class CancelledError(WalletError):
    """The person at the terminal said no."""


class ServiceError(WalletError):
    """A service's own command failed; the message is its last line."""
