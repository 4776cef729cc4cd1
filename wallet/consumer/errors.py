"""What can go wrong at a consumer."""

from wallet.errors import WalletError


class ConsumerError(WalletError):
    """Root of what can go wrong at a consumer."""


class GrantMismatchError(ConsumerError):
    """What came back as granted is not what was asked for."""
