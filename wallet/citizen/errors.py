"""What can go wrong in a person's own wallet."""

from wallet.errors import WalletError


class CitizenError(WalletError):
    """Root of what can go wrong in a person's wallet."""


class ProposalError(CitizenError):
    """What a consumer asks for cannot be granted as it is; the message says why."""
