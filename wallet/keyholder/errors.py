"""Why a keyholder cannot release; why it refuses is a `ledger.release_rules.Reason`."""

from wallet.errors import WalletError


class KeyholderError(WalletError):
    """Root of everything that `wallet.keyholder` raises."""


class SeedsMissingError(KeyholderError):
    """This keyholder does not hold (all of) its seeds of an epoch."""


class JournalError(KeyholderError):
    """The release journal cannot be written or read, or is damaged; nothing is released."""


class NotFollowingError(KeyholderError):
    """The keyholder's own node cannot be followed; the message says why."""
