"""The exceptions of `wallet`: one root, so that a caller can catch everything that comes from here.

Messages name files and entries, never passwords, keys or personal data.
"""


class WalletError(Exception):
    """Root of everything that `wallet` raises."""


class KeystoreError(WalletError):
    """Root of what can go wrong with a keystore."""


class EntryNotFoundError(KeystoreError):
    """There is no entry of this name."""


class EntryExistsError(KeystoreError):
    """There is an entry of this name already."""


class WrongKindError(KeystoreError):
    """The entry holds another kind of secret than asked for."""


class WrongPasswordError(KeystoreError):
    """The password does not open the entry."""


class CorruptedEntryError(KeystoreError):
    """The entry's file was damaged or changed."""


class KeystorePermissionsError(KeystoreError):
    """The keystore, or a file of it, is open to other users of the machine."""


class KeystoreAccessError(KeystoreError):
    """The keystore cannot be read or written: gone, read-only, full, not ours."""


class InvalidEntryError(KeystoreError):
    """A name or a secret cannot be stored under what it is said to be."""


class PasswordError(WalletError):
    """No password can be had from where it should come from."""
