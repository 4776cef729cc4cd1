"""Why the identity authority refuses, or cannot. No message holds a name, a number or a code."""

from typing import Final

from ledger.service.app import FORBIDDEN, MALFORMED, ProblemError, ProblemKind
from wallet.errors import WalletError

ENROLMENT_REFUSED: Final = ProblemKind("enrolment-refused", 403, "Not enrolled")
"""Name, number and code do not belong together, or the code is used up or too old."""
POSSESSION_UNPROVEN: Final = ProblemKind("possession-unproven", 403, "A signer is not proven")
SIGNER_IN_USE: Final = ProblemKind("signer-in-use", 409, "A signer is in use")
"""It belongs to a subject already; two ids with one signer could be seen to be one person's."""
TOO_MANY_SUBJECTS: Final = ProblemKind("too-many-subjects", 409, "Too many subject ids")
NOT_A_SUBJECT: Final = ProblemKind("not-a-subject", 401, "Not a registered subject")
NO_MATCH: Final = ProblemKind("no-match", 404, "Nobody has this number and this name")
NOT_ENROLLED: Final = ProblemKind("not-enrolled", 409, "The person has not enrolled")
RECOVERY_PENDING: Final = ProblemKind("recovery-pending", 409, "A key is being replaced")
SIGNERS_MISSING: Final = ProblemKind("signers-missing", 409, "One signer for each id")
LINK_NOT_RENEWED: Final = ProblemKind("link-not-renewed", 409, "The link is not renewed")
NOT_ADMITTED: Final = FORBIDDEN
"""The party is not admitted, not active, restricted, or not the dataset's provider."""
UNKNOWN_ON_CHAIN: Final = ProblemKind("unknown-on-chain", 422, "Not known on chain")
CHAIN_UNAVAILABLE: Final = ProblemKind("chain-unavailable", 503, "The chain is not there")
GATEWAY_UNAVAILABLE: Final = ProblemKind("gateway-unavailable", 503, "No gateway")
DATABASE_UNAVAILABLE: Final = ProblemKind("database-unavailable", 503, "The database is not there")
"""Gone, locked, full, read-only, or of another version."""
REGISTER_UNREADABLE: Final = MALFORMED
"""A file to import."""


class IdentityError(WalletError, ProblemError):
    """Root of everything that `wallet.identity` raises: a kind of problem, and a sentence."""


class ChainUnavailableError(IdentityError):
    """The node cannot be asked, or does not carry out what is needed."""

    def __init__(self, detail: str) -> None:
        super().__init__(CHAIN_UNAVAILABLE, detail)
