"""Calls to the identity authority: enrolment, look-ups, owners, links, recovery."""

from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec
from msgspec import to_builtins

from ledger.api import SignedLink
from ledger.api.consent import HandleAnswer
from ledger.api.identity import (
    ActAnswer,
    AuthorityAnswer,
    ChallengeAnswer,
    ChallengeWanted,
    ClosingBody,
    CodeAnswer,
    CorrectionBody,
    EnrolmentAnswer,
    EnrolmentBody,
    LinkAnswer,
    LinkBody,
    LookupsAnswer,
    OfficerBody,
    OpeningBody,
    PersonBody,
    RecoveryAnswer,
    RecoveryBody,
    ResolutionBody,
    SessionAnswer,
    SessionBody,
    SubjectsAnswer,
    SubjectsBody,
)
from ledger.api.identity import PersonKind as PersonKind  # noqa: PLC0414  the SDK shows it here
from ledger.hexstr import from_hex, to_hex
from ledger.plain_text import verify_case_number
from wallet.client.calls import (
    NDJSON,
    Answer,
    Credential,
    HttpCall,
    Service,
    body_of,
    path,
    reader,
    signed_get,
    signed_post,
)

PersonT = TypeVar("PersonT", bound=PersonBody)

MAX_OWNERS: Final = 50_000
"""Ids in one question for owners; the service takes 100,000, and 8 MiB."""


class Person(msgspec.Struct, frozen=True):
    """A person or an enterprise, as departments and consumers know it. Never to be logged."""

    kind: PersonKind
    id_number: str
    name: str

    def __repr__(self) -> str:
        return f"<Person, {self.kind}, not shown>"


class ProvenSigner(msgspec.Struct, frozen=True):
    """A signer for a subject id, and its signature over a text of the identity authority."""

    signer: str
    signature: str
    keep_for: str = "any"
    """`any`: the general id; `one`: for the first consumer that needs one; or a consumer's address."""


class Challenge(msgspec.Struct, frozen=True):
    """A text to sign for a session, and who was asked for it and when."""

    challenge: str
    origin: str
    at: int


def about_authority() -> HttpCall[AuthorityAnswer]:
    """Ask who the identity authority is."""
    return HttpCall("GET", "/v1/authority", reader(AuthorityAnswer), Service.IDENTITY)


# Texts that signers sign to prove that somebody has them


def enrolment_text(authority: AuthorityAnswer, code: str) -> bytes:
    """Return what each signer signs to be enrolled."""
    return _text("enrolment", authority, "code", code)


def subjects_text(authority: AuthorityAnswer, subject: bytes) -> bytes:
    """Return what each signer signs to become one more id of the same person."""
    return _text("subjects", authority, "subject", to_hex(subject))


def recovery_text(authority: AuthorityAnswer, person: Person) -> bytes:
    """Return what each new signer signs to take a lost one's place."""
    return _text("recovery", authority, "person", person.id_number)


def _text(act: str, authority: AuthorityAnswer, name: str, value: str) -> bytes:
    lines = f"chain {authority.chain_id}\nauthority {authority.address}\n{name} {value}"
    return f"Quancheng {act}\n{lines}".encode()


# Officers


class SignedOpening(msgspec.Struct, frozen=True):
    """A closed id's current key agrees that it is opened: `quancheng wallet reopen`."""

    subject: str
    nonce: str
    deadline: int
    signer: str
    signature: str


def issue_code(person: Person, identification: str) -> HttpCall[CodeAnswer]:
    """Let a person enrol, after looking at its identification; an officer."""
    body = _about(OfficerBody, person, identification=identification)
    return signed_post("/v1/codes", body, reader(CodeAnswer), Service.IDENTITY)


def start_recovery(
    person: Person, identification: str, signers: Sequence[ProvenSigner]
) -> HttpCall[RecoveryAnswer]:
    """Replace a person's lost signers, one for each of its ids; an officer."""
    body = _about(RecoveryBody, person, identification=identification, signers=to_builtins(signers))
    return signed_post("/v1/recoveries", body, reader(RecoveryAnswer), Service.IDENTITY)


def close_subjects(
    person: Person, identification: str, subjects: Sequence[str] = ()
) -> HttpCall[ActAnswer]:
    """Close stolen ids of a person at once, all of them if none is named; an officer."""
    return _act("closings", ClosingBody, person, identification, subjects=tuple(subjects))


def open_subject(person: Person, identification: str, signed: SignedOpening) -> HttpCall[ActAnswer]:
    """Open a closed id again with its key's word; an officer."""
    return _act("openings", OpeningBody, person, identification, **to_builtins(signed))


def correct_subject(person: Person, identification: str, subject: str) -> HttpCall[ActAnswer]:
    """Give an id to whose it is, and end all its links; an officer."""
    return _act("corrections", CorrectionBody, person, identification, subject=subject)


def _act(
    route: str, kind: type[OfficerBody], person: Person, identification: str, **members: object
) -> HttpCall[ActAnswer]:
    body = _about(kind, person, identification=identification, **members)
    return signed_post(f"/v1/{route}", body, reader(ActAnswer), Service.IDENTITY)


def recovery_state(recovery: str) -> HttpCall[RecoveryAnswer]:
    """Ask how a recovery stands; an officer."""
    where = path("/v1/recoveries/{}", recovery)
    return signed_get(where, reader(RecoveryAnswer), Service.IDENTITY)


# People


def enrol(person: Person, code: str, signers: Sequence[ProvenSigner]) -> HttpCall[EnrolmentAnswer]:
    """Enrol with a code; the signers' signatures prove themselves."""
    body = _about(EnrolmentBody, person, code=code, signers=to_builtins(signers))
    return HttpCall(
        "POST", "/v1/enrolments", reader(EnrolmentAnswer), Service.IDENTITY, body.encode()
    )


def enrolment_state(enrolment: str) -> HttpCall[EnrolmentAnswer]:
    """Ask how an enrolment stands that took long, until an hour after it is registered; then `my_subjects`."""
    where = path("/v1/enrolments/{}", enrolment)
    return HttpCall("GET", where, reader(EnrolmentAnswer), Service.IDENTITY)


def more_subjects(signers: Sequence[ProvenSigner]) -> HttpCall[EnrolmentAnswer]:
    """Get more ids; a subject."""
    body = body_of(SubjectsBody, {"signers": to_builtins(signers)})
    return signed_post("/v1/subjects", body, reader(EnrolmentAnswer), Service.IDENTITY)


def my_subjects() -> HttpCall[SubjectsAnswer]:
    """Ask for all ids of the same person; a subject."""
    return signed_get("/v1/subjects", reader(SubjectsAnswer), Service.IDENTITY)


def my_lookups(before: int | None = None) -> HttpCall[LookupsAnswer]:
    """Ask who looked the person up, newest first; a subject."""
    where = path("/v1/lookups", before=before)
    return signed_get(where, reader(LookupsAnswer), Service.IDENTITY)


def ask_link(dataset: bytes, subject: bytes | None = None) -> HttpCall[SignedLink]:
    """Ask for the link between a dataset's owner and a subject id; a subject."""
    body = LinkBody(dataset=dataset, subject=subject)
    return signed_post("/v1/links", body, lambda answer: _linked(answer).signed, Service.IDENTITY)


def session_challenge(signer: bytes, service: Service = Service.IDENTITY) -> HttpCall[Challenge]:
    """Ask a service for a text to sign for a session; a subject with a passkey."""
    body = ChallengeWanted(signer=signer).encode()
    return HttpCall("POST", "/v1/sessions/challenge", _challenge, service, body)


def open_session(
    challenge: Challenge, signer: bytes, signature: bytes, service: Service = Service.IDENTITY
) -> HttpCall[SessionAnswer]:
    """Hand in the signed text."""
    body = SessionBody(challenge=challenge.challenge, signer=signer, signature=signature)
    return HttpCall("POST", "/v1/sessions", reader(SessionAnswer), service, body.encode())


_challenged = reader(ChallengeAnswer)
_linked = reader(LinkAnswer)


def _challenge(answer: Answer) -> Challenge:
    return Challenge(_challenged(answer).challenge, answer.origin, answer.at)


# Consumers and providers


def resolve(person: Person, purpose: bytes, case_number: str) -> HttpCall[HandleAnswer]:
    """Look a customer up for a case; a consumer. The person will see that it was.

    Raises:
        PlainTextError: the case number is none.
    """
    verify_case_number(case_number)
    body = _about(ResolutionBody, person, purpose=purpose, case_number=case_number)
    return signed_post("/v1/resolutions", body, reader(HandleAnswer), Service.IDENTITY)


def ask_owners(
    dataset: bytes, kind: PersonKind, ids: Sequence[str]
) -> HttpCall[tuple[bytes | None, ...]]:
    """Ask for the owners of resident ids or credit codes; the dataset's provider.

    The answer has one for each id, in the same order; None where the id is malformed.
    """
    body = b"\n".join(msgspec.json.encode(each) for each in ids)
    where = path("/v1/owners", dataset=dataset, kind=kind.value)
    return HttpCall(
        "POST",
        where,
        _owners,
        service=Service.IDENTITY,
        body=body,
        content_type=NDJSON,
        credential=Credential.SIGNATURE,
    )


_owner_lines = msgspec.json.Decoder(str | None)


def _owners(answer: Answer) -> tuple[bytes | None, ...]:
    found = map(_owner_lines.decode, answer.body.splitlines())
    return tuple([None if owner is None else from_hex(owner, 32) for owner in found])


def _about(kind: type[PersonT], person: Person, **members: object) -> PersonT:
    return body_of(kind, {**msgspec.structs.asdict(person), **members})
