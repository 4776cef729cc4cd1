"""The identity authority's keystore: its account, and the owner secret."""

import secrets
from dataclasses import dataclass, field
from typing import Final

from ledger.crypto.signatures import PRIVATE_KEY_LENGTH, address_of
from wallet.identity.owners import OwnerKey
from wallet.keystore import Keystore, Kind
from wallet.passwords import Password

ACCOUNT: Final = "account"
OWNERS: Final = "owner-secret"


@dataclass(frozen=True, slots=True)
class AuthorityKeys:
    """Everything secret that the authority's process works with."""

    account: bytes = field(repr=False)
    """Private key, 32 bytes."""
    owners: OwnerKey = field(repr=False)

    @property
    def address(self) -> bytes:
        """The authority's."""
        return address_of(self.account)


def create_authority(keystore: Keystore, password: Password) -> AuthorityKeys:
    """Draw a new authority's account and owner secret and keep them.

    The owner secret is drawn once in the life of a city: with another one nobody's records are found.

    Raises:
        KeystoreError: The keystore has an authority already, or cannot be written.
    """
    account, owner_secret = secrets.token_bytes(PRIVATE_KEY_LENGTH), secrets.token_bytes(32)
    keystore.store(ACCOUNT, Kind.ETHEREUM_KEY, account, password)
    keystore.store(OWNERS, Kind.OTHER, owner_secret, password)
    return AuthorityKeys(account, OwnerKey(owner_secret))


def load_authority(keystore: Keystore, password: Password) -> AuthorityKeys:
    """Open what the authority keeps.

    Raises:
        KeystoreError: An entry is missing, damaged, or has another password.
    """
    account = keystore.load(ACCOUNT, Kind.ETHEREUM_KEY, password)
    return AuthorityKeys(account, OwnerKey(keystore.load(OWNERS, Kind.OTHER, password)))
