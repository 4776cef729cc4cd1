"""Bodies of requests and answers. Nothing that is refused is quoted: it may be personal."""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetPydanticSchema, WithJsonSchema
from pydantic_core import core_schema

from ledger.api import SignedLink
from ledger.hexstr import from_hex
from ledger.plain_text import MAX_CASE_NUMBER, verify_case_number, verify_text
from ledger.typed_data import SubjectLink, SubjectOpening, json_schema, record_from_object
from wallet.identity.store import Identity, KeepFor, PersonKind, make_identity

_MAX_TEXT: Final = 500


def _hex(*, pattern: str, most: int | None = None) -> GetPydanticSchema:
    """Hex in the body, bytes in the model."""

    def schema(_type: Any, _handler: Any) -> core_schema.CoreSchema:
        text = core_schema.str_schema(pattern=pattern, max_length=most)
        return core_schema.no_info_after_validator_function(from_hex, text)

    return GetPydanticSchema(schema)


def _plain(text: str) -> str:
    return verify_text("the text", text, _MAX_TEXT)


Hash = Annotated[bytes, _hex(pattern="^0x[0-9a-f]{64}$")]
Signer = Annotated[bytes, _hex(pattern="^0x([0-9a-f]{2}){20,1024}$")]
Signature = Annotated[bytes, _hex(pattern="^0x([0-9a-f]{2})*$", most=20_000)]
ShortText = Annotated[str, Field(min_length=1, max_length=_MAX_TEXT), AfterValidator(_plain)]
CaseNumber = Annotated[
    str, Field(min_length=1, max_length=MAX_CASE_NUMBER), AfterValidator(verify_case_number)
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class PersonBody(_Body):
    """The person or enterprise of a request."""

    kind: PersonKind
    id_number: Annotated[str, Field(min_length=1, max_length=40)]
    name: Annotated[str, Field(min_length=1, max_length=200)]

    def identity(self) -> Identity:
        """Return the identity; raises `IdentifierError` for a number not of the kind's form."""
        return make_identity(self.kind, self.id_number, self.name)


class SignerBody(_Body):
    """A signer that proves itself."""

    signer: Signer
    signature: Signature
    keep_for: Annotated[str, Field(pattern="^(any|one|0x[0-9a-f]{40})$")] = "any"

    def kept_for(self) -> tuple[KeepFor, bytes | None]:
        """Return the use that the signer's subject id is kept for, and the consumer that is named."""
        if self.keep_for.startswith("0x"):
            return KeepFor.CONSUMER, from_hex(self.keep_for)
        return KeepFor(self.keep_for), None


Signers = Annotated[list[SignerBody], Field(min_length=1, max_length=64)]


class OfficerBody(PersonBody):
    """An officer acts for a person; alone, it lets somebody enrol."""

    identification: ShortText
    """By what the officer identified the person."""


class EnrolmentBody(PersonBody):
    """Somebody enrols with a code."""

    code: Annotated[str, Field(min_length=1, max_length=40)]
    signers: Signers


class SubjectsBody(_Body):
    """A subject wants more ids."""

    signers: Signers


class RecoveryBody(OfficerBody):
    """An officer replaces lost keys."""

    signers: Annotated[list[SignerBody], Field(min_length=1, max_length=256)]


class ClosingBody(OfficerBody):
    """An officer closes stolen ids: those that are named, or all of the person's."""

    subjects: Annotated[list[Hash], Field(max_length=256)] = []


class OpeningBody(OfficerBody):
    """An officer opens a closed id, with the word of its current key."""

    subject: Hash
    nonce: Hash
    deadline: Annotated[int, Field(ge=0, lt=1 << 40)]
    signer: Signer
    signature: Signature

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


class LinkBody(_Body):
    """A subject wants a link."""

    dataset: Hash
    subject: Hash | None = None


class RenewalBody(_Body):
    """Somebody has a link and wants a new one that says the same."""

    link: Annotated[dict[str, str | int | bool], WithJsonSchema(json_schema(SubjectLink))]
    link_signature: Annotated[bytes, _hex(pattern="^0x[0-9a-f]{130}$")]

    def signed(self) -> SignedLink:
        """Return the link that is shown; raises `MalformedError` if it has not the form of one."""
        return SignedLink(record_from_object(SubjectLink, self.link), self.link_signature)


class ChallengeBody(_Body):
    """A signer wants a session."""

    signer: Signer


class SessionBody(_Body):
    """A signer answers a challenge."""

    challenge: Annotated[str, Field(max_length=5_000)]
    signer: Signer
    signature: Signature


class AuthorityAnswer(BaseModel):
    """The identity authority."""

    address: str
    chain_id: int


class CodeAnswer(BaseModel):
    """A code, shown once."""

    code: Annotated[str, Field(repr=False)]
    expires_at: int


class SubjectAnswer(BaseModel):
    """One subject id."""

    subject: str
    signer: str
    keep_for: str
    consumer: str | None
    state: Literal["waiting", "registered"]


class SubjectsAnswer(BaseModel):
    """All subject ids of a person."""

    subjects: list[SubjectAnswer]


class EnrolmentAnswer(BaseModel):
    """An enrolment and its subject ids, in the order of the signers."""

    enrolment: str
    subjects: list[SubjectAnswer]


class RecoveredAnswer(BaseModel):
    """One subject id whose key is replaced."""

    subject: str
    new_signer: str
    state: str
    effective_at: int | None
    """When the new key takes effect, seconds since 1970."""
    transaction: str | None
    """Hash of the transaction that started it."""


class RecoveryAnswer(BaseModel):
    """A recovery."""

    recovery: str
    subjects: list[RecoveredAnswer]


class ActAnswer(BaseModel):
    """The ids of an act; it is on chain."""

    subjects: list[str]


class HandleAnswer(BaseModel):
    """An opaque handle to an inbox, and until when it leads there (seconds since 1970)."""

    handle: str
    expires_at: int


class LookupAnswer(BaseModel):
    """One look-up."""

    id: int
    at: int
    consumer: str
    purpose: str
    case_number: str
    outcome: str


class LookupsAnswer(BaseModel):
    """Look-ups, newest first; `next` is what to name as `before` for the ones before them."""

    lookups: list[LookupAnswer]
    next: int | None


class LinkAnswer(BaseModel):
    """A link, as the gateway takes it beside an authorization."""

    link: Annotated[dict[str, str | int | bool], WithJsonSchema(json_schema(SubjectLink))]
    link_signature: str


class ChallengeAnswer(BaseModel):
    """A text to sign."""

    challenge: str
    expires_at: int


class SessionAnswer(BaseModel):
    """A token for `Authorization: Bearer`."""

    token: Annotated[str, Field(repr=False)]
    expires_at: int
