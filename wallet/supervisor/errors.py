"""Why the embedded profile does not run; each message is one line."""

from ledger.errors import ExitCode
from wallet.errors import WalletError


class SupervisorError(WalletError):
    """The embedded profile cannot run."""


class InUseError(SupervisorError):
    """Another run uses the data directory, or another program a port that was asked for."""

    exit_code = ExitCode.IN_USE
