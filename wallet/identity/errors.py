"""What goes wrong at the identity authority. No message holds a name, a number or a code."""

from wallet.errors import WalletError


class IdentityError(WalletError):
    """Root of everything that `wallet.identity` raises."""


class DatabaseError(IdentityError):
    """The database cannot be used: gone, locked, full, read-only, or of another version."""


class EnrolmentRefusedError(IdentityError):
    """Name, number and code do not belong together, or the code is used up or too old."""


class PossessionError(IdentityError):
    """A signer did not sign what proves that the person has it."""


class SignerInUseError(IdentityError):
    """A signer belongs to a subject already; two ids with one signer could be told to be one person's."""


class TooManySubjectsError(IdentityError):
    """A person has as many subject ids as one may have."""


class NotASubjectError(IdentityError):
    """The signer is no registered subject's."""


class NoMatchError(IdentityError):
    """Nobody has this number and this name."""


class NotEnrolledError(IdentityError):
    """The person has no subject id that the consumer could ask."""


class RecoveryPendingError(IdentityError):
    """The person's key is being replaced."""


class SignersMissingError(IdentityError):
    """A recovery needs a new signer for each of the person's subject ids."""


class LinkNotRenewedError(IdentityError):
    """A link is not this authority's, or is not right any more: no new one is signed."""


class NotAdmittedError(IdentityError):
    """The party is not admitted, not active, restricted, or not the dataset's provider."""


class UnknownOnChainError(IdentityError):
    """The chain has no such dataset or purpose."""


class ChainUnavailableError(IdentityError):
    """The node cannot be asked, or does not carry out what is needed."""


class GatewayUnavailableError(IdentityError):
    """The gateway gives no handle."""
