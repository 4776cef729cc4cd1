"""People and enterprises as departments and consumers know them: a kind, a number, a name."""

import hmac
import unicodedata
from enum import StrEnum
from typing import Final

import msgspec

from ledger.identifiers import verify_credit_code, verify_resident_id

_SPACES: Final = dict.fromkeys(map(ord, " \t\r\n\u3000\u00a0"))


class Kind(StrEnum):
    """By what somebody is known."""

    RESIDENT = "resident"
    """A person, by resident id."""
    ENTERPRISE = "enterprise"
    """An enterprise, by unified social credit code."""


class Identity(msgspec.Struct, frozen=True):
    """Who somebody says to be, or is. Its `repr` shows nothing personal."""

    kind: Kind
    number: str
    """Checked and in its one form."""
    name: str
    """In its one form: `canonical_name`."""

    def __repr__(self) -> str:
        return f"<Identity of a {self.kind.value}, not shown>"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("kind", self.kind.value)]

    def has_name(self, name: str) -> bool:
        """Tell whether this is the name, in constant time."""
        return hmac.compare_digest(self.name.encode(), name.encode())


def make_identity(kind: Kind, number: str, name: str) -> Identity:
    """Return an identity after checking the number's form.

    Raises:
        IdentifierError: The number is not one of this kind.
    """
    return Identity(kind, canonical_number(kind, number), canonical_name(name))


def canonical_number(kind: Kind, number: str) -> str:
    """Return a number in its one form.

    Raises:
        IdentifierError: It is not one of this kind.
    """
    check = verify_resident_id if kind is Kind.RESIDENT else verify_credit_code
    return check(number)


def canonical_name(name: str) -> str:
    """Return a name without blanks, in Unicode's NFKC form: 欧阳　娜娜 is 欧阳娜娜."""
    return unicodedata.normalize("NFKC", name).translate(_SPACES)
