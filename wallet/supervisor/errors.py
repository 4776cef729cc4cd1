"""Why the embedded profile does not run; each message is one line."""

from wallet.errors import PartyError


class SupervisorError(PartyError):
    """The embedded profile cannot run."""
