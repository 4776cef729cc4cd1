"""What the identity authority keeps in its keystore, and the owners that its secret makes."""

import secrets
from dataclasses import dataclass, field
from hmac import digest as hmac
from typing import Final

from ledger.api.identity import PersonKind
from ledger.crypto.signatures import PRIVATE_KEY_LENGTH, address_of
from ledger.encoding import label, prefixed, sized
from wallet.keystore import Keystore, Kind
from wallet.passwords import Password

_LABEL: Final = label("owner")


class OwnerKey:
    """Computes owners. Its `repr` shows no secret."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        """Raises `MalformedError` for an owner secret that has not 32 bytes."""
        self._secret = sized("the owner secret", secret)

    def owner(self, dataset: bytes, kind: PersonKind, number: str) -> bytes:
        """Return who somebody is in a dataset, 32 bytes.

        Args:
            dataset: Its id, 32 bytes.
            kind: By what the dataset knows its subjects.
            number: In its one form (`people.canonical_number`).
        """
        named = prefixed(kind.encode("ascii")) + prefixed(number.encode("ascii"))
        return hmac(self._secret, _LABEL + dataset + named, "sha256")


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
