"""Why a department's data is not published.

Messages name files, lines and columns, never values: those are people's data.
"""

from ledger.errors import ExitCode
from wallet.errors import WalletError


class ProviderError(WalletError):
    """Root of everything that `wallet.provider` raises."""


class SourceError(ProviderError):
    """A description or a file cannot be used as it is; nothing of it was taken."""

    exit_code = ExitCode.BAD_INPUT


class RootMismatchError(ProviderError):
    """The gateway counts or hashes the uploaded records differently: nothing is published."""

    exit_code = ExitCode.NOT_VERIFIED


class NothingToPublishError(ProviderError):
    """The file says the same as the version that is published."""

    exit_code = ExitCode.NO_ANSWER
