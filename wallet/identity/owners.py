"""Owners: under which pseudonym a dataset's records are somebody's.

    owner = HMAC-SHA256(owner secret, "quancheng/1/owner" | dataset | kind | number)

with kind and number preceded by their lengths. The same person has an unrelated owner in every
dataset, so two departments' data cannot be joined by it, nor either with the chain. Only who has the
owner secret can compute one; the numbers of a whole country could be tried in a day, so the secret
is kept in the keystore and never in the database.

Source: DESIGN 3.5; RFC 2104.
"""

from hmac import digest as hmac
from typing import Final

from ledger.encoding import label, prefixed, sized
from wallet.identity.people import PersonKind

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
