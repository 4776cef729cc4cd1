"""What can keep the embedded profile from running; each message is one line."""

from wallet.errors import WalletError


class SupervisorError(WalletError):
    """The embedded profile cannot run."""


class DataInUseError(SupervisorError):
    """Processes of another run still use the data directory."""


class PortInUseError(SupervisorError):
    """Something else listens on a port that was asked for."""


class ProcessDiedError(SupervisorError):
    """A process ended by itself; the message has the last line of its log."""
