"""What can go wrong at the authority."""

from wallet.errors import WalletError


class AuthorityError(WalletError):
    """Something cannot be registered as it is; nothing was sent."""
