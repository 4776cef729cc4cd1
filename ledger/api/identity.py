"""People, officers, consumers, providers and the identity authority; sessions also at the gateway."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema

from ledger.api import SignedLink
from ledger.api.forms import Body, Bytes, Hash, Record, hexadecimal
from ledger.crypto.signatures import SIGNATURE_LENGTH
from ledger.hexstr import from_hex, to_hex
from ledger.plain_text import MAX_CASE_NUMBER, verify_case_number, verify_text
from ledger.typed_data import (
    SubjectLink,
    SubjectOpening,
    json_schema,
    record_from_object,
    record_to_object,
)

_MAX_TEXT: Final = 500


def _plain(text: str) -> str:
    return verify_text("the text", text, _MAX_TEXT)


Signer = Annotated[bytes, hexadecimal("^0x([0-9a-f]{2}){20,1024}$")]
ShortText = Annotated[str, Field(min_length=1, max_length=_MAX_TEXT), AfterValidator(_plain)]
CaseNumber = Annotated[
    str, Field(min_length=1, max_length=MAX_CASE_NUMBER), AfterValidator(verify_case_number)
]


class PersonKind(StrEnum):
    """By what somebody is known."""

    RESIDENT = "resident"
    """A person, by resident id."""
    ENTERPRISE = "enterprise"
    """An enterprise, by unified social credit code."""


class _LaxBody(Body):
    """A body in which a number may stand in quotes."""

    model_config = ConfigDict(strict=False)


class PersonBody(_LaxBody):
    """The person or enterprise of a request."""

    kind: PersonKind
    id_number: Annotated[str, Field(min_length=1, max_length=40)]
    name: Annotated[str, Field(min_length=1, max_length=200)]


class SignerBody(_LaxBody):
    """A signer that proves itself."""

    signer: Signer
    signature: Bytes
    keep_for: Annotated[str, Field(pattern="^(any|one|0x[0-9a-f]{40})$")] = "any"


Signers = Annotated[list[SignerBody], Field(min_length=1, max_length=64)]


class OfficerBody(PersonBody):
    """An officer acts for a person; alone, it lets somebody enrol."""

    identification: ShortText
    """By what the officer identified the person."""


class EnrolmentBody(PersonBody):
    """Somebody enrols with a code."""

    code: Annotated[str, Field(min_length=1, max_length=40)]
    signers: Signers


class SubjectsBody(_LaxBody):
    """A subject wants more ids."""

    signers: Signers


class RecoveryBody(OfficerBody):
    """An officer replaces lost keys."""

    signers: Annotated[list[SignerBody], Field(min_length=1, max_length=256)]


class ClosingBody(OfficerBody):
    """An officer closes stolen ids: those that are named, or all of the person's."""

    subjects: Annotated[tuple[Hash, ...], Field(max_length=256)] = ()


class OpeningBody(OfficerBody):
    """An officer opens a closed id, with the word of its current key."""

    subject: Hash
    nonce: Hash
    deadline: Annotated[int, Field(ge=0, lt=1 << 40)]
    signer: Signer
    signature: Bytes

    def terms(self) -> SubjectOpening:
        """Return what the key signed."""
        return SubjectOpening(self.subject, self.nonce, self.deadline)


class CorrectionBody(OfficerBody):
    """An officer gives an id to whom it belongs, and ends all its links."""

    subject: Hash


class ResolutionBody(PersonBody):
    """A consumer looks a customer up."""

    purpose: Hash
    case_number: CaseNumber


class LinkBody(_LaxBody):
    """A subject wants a link."""

    dataset: Hash
    subject: Hash | None = None


class RenewalBody(_LaxBody):
    """Somebody has a link and wants a new one that says the same."""

    link: Annotated[SubjectLink, Record(SubjectLink)]
    link_signature: Annotated[bytes, hexadecimal("^0x[0-9a-f]{130}$")]


class ChallengeBody(_LaxBody):
    """A signer wants a session."""

    signer: Signer


class SessionBody(_LaxBody):
    """A signer answers a challenge."""

    challenge: Annotated[str, Field(max_length=5_000)]
    signer: Signer
    signature: Bytes


@dataclass(frozen=True, slots=True)
class AuthorityAnswer:
    """The identity authority."""

    address: str
    chain_id: int


@dataclass(frozen=True, slots=True)
class CodeAnswer:
    """A code, shown once."""

    code: str = field(repr=False)
    expires_at: int


@dataclass(frozen=True, slots=True)
class SubjectAnswer:
    """One subject id."""

    subject: str
    signer: str
    keep_for: str
    consumer: str | None
    state: Literal["waiting", "registered"]


@dataclass(frozen=True, slots=True)
class SubjectsAnswer:
    """All subject ids of a person."""

    subjects: tuple[SubjectAnswer, ...]


@dataclass(frozen=True, slots=True)
class EnrolmentAnswer:
    """An enrolment and its subject ids, in the order of the signers."""

    enrolment: str
    subjects: tuple[SubjectAnswer, ...]


@dataclass(frozen=True, slots=True)
class RecoveredAnswer:
    """One subject id whose key is replaced."""

    subject: str
    new_signer: str
    state: str
    effective_at: int | None
    """When the new key takes effect, seconds since 1970."""
    transaction: str | None
    """Hash of the transaction that started it."""


@dataclass(frozen=True, slots=True)
class RecoveryAnswer:
    """A recovery."""

    recovery: str
    subjects: tuple[RecoveredAnswer, ...]


@dataclass(frozen=True, slots=True)
class ActAnswer:
    """The ids of an act; it is on chain."""

    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LookupAnswer:
    """One look-up."""

    id: int
    at: int
    consumer: str
    purpose: str
    case_number: str
    outcome: str


@dataclass(frozen=True, slots=True)
class LookupsAnswer:
    """Look-ups, newest first; `next` is what to name as `before` for the ones before them."""

    lookups: tuple[LookupAnswer, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class LinkAnswer:
    """A link, as the gateway takes it beside an authorization."""

    link: Annotated[dict[str, str | int | bool], WithJsonSchema(json_schema(SubjectLink))]
    link_signature: str

    @classmethod
    def of(cls, signed: SignedLink) -> Self:
        return cls(dict(record_to_object(signed.link)), to_hex(signed.signature))

    @property
    def signed(self) -> SignedLink:
        """The link; a `LedgerError` if it has not the form of one."""
        signature = from_hex(self.link_signature, SIGNATURE_LENGTH)
        return SignedLink(record_from_object(SubjectLink, self.link), signature)


@dataclass(frozen=True, slots=True)
class ChallengeAnswer:
    """The text to sign (EIP-191; for a passkey its digest is the challenge)."""

    challenge: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class SessionAnswer:
    """Send the token as `Authorization: Bearer`."""

    token: str = field(repr=False)
    expires_at: int


# Sessions at the gateway


class ChallengeWanted(Body):
    """Whose session: ERC-7913 bytes of an account or a passkey."""

    signer: Bytes


class SessionWanted(Body):
    """A challenge and its signature."""

    challenge: Annotated[str, Field(max_length=2000)]
    signer: Bytes
    signature: Bytes
