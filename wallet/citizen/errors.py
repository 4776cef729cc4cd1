"""What can go wrong in a person's own wallet."""

from wallet.errors import WalletError


class CitizenError(WalletError):
    """Root of what can go wrong in a person's wallet."""


class NoSubjectError(CitizenError):
    """The wallet has no subject id that fits."""


class ProposalError(CitizenError):
    """What a consumer asks for cannot be granted as it is; the message says why."""


class IdentitiesError(CitizenError):
    """The file of the wallet's subject ids cannot be read or written."""
