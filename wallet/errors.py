"""The exceptions of `wallet`: one root, so that a caller can catch everything that comes from here.

Messages name files and entries, never passwords, keys or personal data.
"""


class WalletError(Exception):
    """Root of everything that `wallet` raises."""


class KeystoreError(WalletError):
    """Root of what can go wrong with a keystore."""


class WrongPasswordError(KeystoreError):
    """The password does not open the entry."""


class InvalidEntryError(KeystoreError):
    """A name or a secret cannot be stored under what it is said to be."""


class PasswordError(WalletError):
    """No password can be had from where it should come from."""
