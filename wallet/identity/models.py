"""Bodies of requests and answers. Nothing that is refused is quoted: it may be personal."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ledger.exchange import SignedLink
from ledger.hexes import from_hex, to_hex
from ledger.plain_text import MOST_CASE_NUMBER, verify_case_number, verify_text
from ledger.typed_data import SubjectLink, SubjectOpening, record_from_object, record_to_object
from wallet.identity.enrolment import WantedSigner
from wallet.identity.lookups import Lookup
from wallet.identity.people import Identity, Kind, make_identity
from wallet.identity.recoveries import RecoveredSubject
from wallet.identity.selection import KeepFor, SubjectRow
from wallet.identity.texts import ProvenSigner

Hash = Annotated[str, Field(pattern="^0x[0-9a-f]{64}$")]
Bytes = Annotated[str, Field(pattern="^0x([0-9a-f]{2})*$", max_length=20_000)]
_MOST_TEXT: Final = 500


def _plain(text: str) -> str:
    return verify_text("the text", text, _MOST_TEXT)


ShortText = Annotated[str, Field(min_length=1, max_length=_MOST_TEXT), AfterValidator(_plain)]
CaseNumber = Annotated[
    str, Field(min_length=1, max_length=MOST_CASE_NUMBER), AfterValidator(verify_case_number)
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class PersonBody(_Body):
    """Whom a request is about."""

    kind: Kind
    id_number: Annotated[str, Field(min_length=1, max_length=40)]
    name: Annotated[str, Field(min_length=1, max_length=200)]

    def identity(self) -> Identity:
        """Return the identity, its number checked.

        Raises:
            IdentifierError: The number has not the kind's form.
        """
        return make_identity(self.kind, self.id_number, self.name)


class SignerBody(_Body):
    """A signer that proves itself."""

    signer: Annotated[str, Field(pattern="^0x([0-9a-f]{2}){20,1024}$")]
    signature: Bytes
    keep_for: Annotated[str, Field(pattern="^(any|one|0x[0-9a-f]{40})$")] = "any"

    def proven(self) -> ProvenSigner:
        """Return signer and signature."""
        return ProvenSigner(from_hex(self.signer), from_hex(self.signature))

    def wanted(self) -> WantedSigner:
        """Return the signer and what its subject id is to be kept for."""
        if self.keep_for.startswith("0x"):
            return WantedSigner(self.proven(), KeepFor.CONSUMER, from_hex(self.keep_for))
        return WantedSigner(self.proven(), KeepFor(self.keep_for), None)


Signers = Annotated[list[SignerBody], Field(min_length=1, max_length=64)]


class CodeBody(PersonBody):
    """An officer lets somebody enrol."""

    identification: ShortText
    """What the officer looked at."""


class EnrolmentBody(PersonBody):
    """Somebody enrols with a code."""

    code: Annotated[str, Field(min_length=1, max_length=40)]
    signers: Signers


class SubjectsBody(_Body):
    """A subject wants more ids."""

    signers: Signers


class RecoveryBody(PersonBody):
    """An officer replaces lost keys."""

    identification: ShortText
    signers: Annotated[list[SignerBody], Field(min_length=1, max_length=256)]


class ClosingBody(PersonBody):
    """An officer closes stolen ids: those that are named, or all of the person's."""

    identification: ShortText
    subjects: Annotated[list[Hash], Field(max_length=256)] = []


class OpeningBody(PersonBody):
    """An officer opens a closed id, with the word of its current key."""

    identification: ShortText
    subject: Hash
    nonce: Hash
    deadline: Annotated[int, Field(ge=0, lt=1 << 40)]
    signer: Annotated[str, Field(pattern="^0x([0-9a-f]{2}){20,1024}$")]
    signature: Bytes

    def terms(self) -> SubjectOpening:
        """Return what the key signed."""
        return SubjectOpening(from_hex(self.subject), from_hex(self.nonce), self.deadline)


class CorrectionBody(PersonBody):
    """An officer gives an id to whom it belongs, and ends all its links."""

    identification: ShortText
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

    link: dict[str, str | int | bool]
    link_signature: Annotated[str, Field(pattern="^0x[0-9a-f]{130}$")]

    def signed(self) -> SignedLink:
        """Return the link that is shown.

        Raises:
            TypedDataError: It has not the form of one.
        """
        link = record_from_object(SubjectLink, self.link)
        return SignedLink(link, from_hex(self.link_signature))


class ChallengeBody(_Body):
    """A signer wants a session."""

    signer: Annotated[str, Field(pattern="^0x([0-9a-f]{2}){20,1024}$")]


class SessionBody(_Body):
    """A signer answers a challenge."""

    challenge: Annotated[str, Field(max_length=5_000)]
    signer: Annotated[str, Field(pattern="^0x([0-9a-f]{2}){20,1024}$")]
    signature: Bytes


class AuthorityAnswer(BaseModel):
    """Who the identity authority is."""

    address: str
    chain_id: int


class CodeAnswer(BaseModel):
    """A code, shown once."""

    code: str
    expires_at: int


class SubjectAnswer(BaseModel):
    """One subject id."""

    subject: str
    signer: str
    keep_for: str
    consumer: str | None
    state: Literal["waiting", "registered"]


class EnrolmentAnswer(BaseModel):
    """An enrolment and its subject ids, in the order of the signers."""

    enrolment: str
    subjects: list[SubjectAnswer]


class SubjectsAnswer(BaseModel):
    """All subject ids of a person."""

    subjects: list[SubjectAnswer]


class RecoveredAnswer(BaseModel):
    """One subject id under recovery."""

    subject: str
    new_signer: str
    state: str
    effective_at: int | None
    transaction: str | None


class RecoveryAnswer(BaseModel):
    """A recovery."""

    recovery: str
    subjects: list[RecoveredAnswer]


class ActAnswer(BaseModel):
    """Which ids an act was about; it is on chain."""

    subjects: list[str]


class HandleAnswer(BaseModel):
    """A handle to an inbox."""

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

    link: dict[str, str | int | bool]
    link_signature: str


class ChallengeAnswer(BaseModel):
    """A text to sign."""

    challenge: str
    expires_at: int


class SessionAnswer(BaseModel):
    """A token for `Authorization: Bearer`."""

    token: str
    expires_at: int


def show_link(signed: SignedLink) -> LinkAnswer:
    """Show a link."""
    return LinkAnswer(link=record_to_object(signed.link), link_signature=to_hex(signed.signature))


def show_subject(row: SubjectRow) -> SubjectAnswer:
    """Show a subject id."""
    general = row.keep_for is not KeepFor.CONSUMER or row.consumer is None
    return SubjectAnswer(
        subject=to_hex(row.subject),
        signer=to_hex(row.signer),
        keep_for=row.keep_for.value if general else to_hex(row.consumer or b""),
        consumer=None if row.consumer is None else to_hex(row.consumer),
        state="registered" if row.state.value == "registered" else "waiting",
    )


def show_recovered(one: RecoveredSubject) -> RecoveredAnswer:
    """Show a subject id under recovery."""
    return RecoveredAnswer(
        subject=to_hex(one.subject),
        new_signer=to_hex(one.new_signer),
        state=one.state.value,
        effective_at=one.effective_at,
        transaction=None if one.transaction is None else to_hex(one.transaction),
    )


def show_lookup(one: Lookup) -> LookupAnswer:
    """Show a look-up."""
    return LookupAnswer(
        id=one.id,
        at=one.at,
        consumer=to_hex(one.consumer),
        purpose=to_hex(one.purpose),
        case_number=one.case_number,
        outcome=one.outcome.value,
    )
