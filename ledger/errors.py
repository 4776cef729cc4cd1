"""The root of every error that `ledger` raises."""


class LedgerError(Exception):
    """Something about the ledger is not as it must be."""
