"""Why a department's data is not published."""

from wallet.errors import PartyError


class ProviderError(PartyError):
    """Root of everything that `wallet.provider` raises.

    Messages name files, lines and columns, never values: those are people's data.
    """
