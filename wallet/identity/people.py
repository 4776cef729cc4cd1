"""People and enterprises as departments and consumers know them, and the subject ids that they have."""

import hmac
import unicodedata
from enum import StrEnum
from typing import Final

import msgspec

from ledger.identifiers import verify_credit_code, verify_resident_id

_SPACES: Final = dict.fromkeys(map(ord, " \t\r\n\u3000\u00a0"))


class PersonKind(StrEnum):
    """By what somebody is known."""

    RESIDENT = "resident"
    """A person, by resident id."""
    ENTERPRISE = "enterprise"
    """An enterprise, by unified social credit code."""


class Identity(msgspec.Struct, frozen=True):
    """An identity, claimed or registered. Its `repr` shows nothing personal."""

    kind: PersonKind
    number: str
    """Checked and in its one form."""
    name: str
    """In its one form: `canonical_name`."""

    def __repr__(self) -> str:
        return f"<Identity of a {self.kind.value}, not shown>"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("kind", self.kind.value)]

    def has_name(self, name: str) -> bool:
        """Compare the name in constant time."""
        return hmac.compare_digest(self.name.encode(), name.encode())


def make_identity(kind: PersonKind, number: str, name: str) -> Identity:
    """Return an identity; raises `IdentifierError` for a number that is not one of this kind."""
    return Identity(kind, canonical_number(kind, number), canonical_name(name))


def canonical_number(kind: PersonKind, number: str) -> str:
    """Return a number in its one form; raises `IdentifierError` if it is not one of this kind."""
    check = verify_resident_id if kind is PersonKind.RESIDENT else verify_credit_code
    return check(number)


def canonical_name(name: str) -> str:
    """Return a name without blanks, in Unicode's NFKC form: 欧阳　娜娜 is 欧阳娜娜."""
    return unicodedata.normalize("NFKC", name).translate(_SPACES)


class KeepFor(StrEnum):
    """The use that a person keeps a subject id for."""

    ANY = "any"
    """For every consumer that has none of its own: the general id."""
    ONE = "one"
    """For one consumer: the first that looks the person up, from then on for that one only."""
    CONSUMER = "consumer"
    """For the consumer that the person named."""


class SubjectState(StrEnum):
    """How far the registration of a subject id has come."""

    WAITING = "waiting"
    """Not sent to the chain yet."""
    SENT = "sent"
    """In a transaction that is not final yet."""
    REGISTERED = "registered"


class SubjectRow(msgspec.Struct, frozen=True):
    """A subject id of a person."""

    subject: bytes
    person: int
    signer: bytes
    """ERC-7913 bytes, as the chain has them."""
    keep_for: KeepFor
    consumer: bytes | None
    """The consumer that it is kept for, once that is known."""
    state: SubjectState
    closed: bool = False
    """Closed on chain: stolen, and opened by its key and this authority only."""
