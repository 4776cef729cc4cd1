"""The root of every error that `ledger` raises, and what many modules raise."""


class LedgerError(Exception):
    """Something about the ledger is not as it must be."""


# Messages of these name places (a field, a subset, a line), never values: what is refused may be
# personal data.


class MalformedError(LedgerError, ValueError):
    """Bytes, text or arguments do not have the form that a specification asks for."""


class SettingError(LedgerError):
    """A setting's text names nothing that there is."""


class CustodyError(LedgerError):
    """What keyholders handed over does not fit together; the message names the subset."""


class SigningError(LedgerError):
    """Something is wrong with a key, a signer or a signature."""
