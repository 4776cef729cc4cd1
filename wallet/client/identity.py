"""Calls to the identity authority: enrolment, look-ups, owners, links, recovery."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final, TypeVar

import msgspec

from ledger.api import SignedLink
from ledger.hexstr import from_hex, to_hex
from ledger.plain_text import verify_case_number
from ledger.typed_data import SubjectLink, record_from_object
from wallet.client.calls import (
    NDJSON,
    Answer,
    Credential,
    HttpCall,
    Service,
    path,
    reader,
)

T = TypeVar("T")

MAX_OWNERS: Final = 50_000
"""Ids in one question for owners; the service takes 100,000, and 8 MiB."""


class PersonKind(StrEnum):
    """Who a subject is."""

    RESIDENT = "resident"
    ENTERPRISE = "enterprise"


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


class Code(msgspec.Struct, frozen=True):
    """What a person gets at the counter and enrols with."""

    code: str
    expires_at: int


class EnrolledSubject(msgspec.Struct, frozen=True):
    """One subject id of a person."""

    subject: str
    signer: str
    keep_for: str
    state: str
    consumer: str | None = None
    """The consumer that it is kept for."""


class Enrolment(msgspec.Struct, frozen=True):
    """What came of an enrolment."""

    enrolment: str
    subjects: tuple[EnrolledSubject, ...]


class Subjects(msgspec.Struct, frozen=True):
    """All subject ids of a person."""

    subjects: tuple[EnrolledSubject, ...]


class Handle(msgspec.Struct, frozen=True):
    """What leads a consumer's request to a person's inbox, and says nothing of the person."""

    handle: str
    expires_at: int


class Lookup(msgspec.Struct, frozen=True):
    """One time that a consumer looked a person up."""

    id: int
    at: int
    consumer: str
    purpose: str
    case_number: str
    outcome: str


class Lookups(msgspec.Struct, frozen=True):
    """Some look-ups, newest first."""

    lookups: tuple[Lookup, ...]
    next: int | None = None


class RecoveredSubject(msgspec.Struct, frozen=True):
    """One subject id under recovery."""

    subject: str
    new_signer: str
    state: str
    effective_at: int | None = None
    transaction: str | None = None


class Recovery(msgspec.Struct, frozen=True):
    """A recovery of all of a person's ids."""

    recovery: str
    subjects: tuple[RecoveredSubject, ...]


class Authority(msgspec.Struct, frozen=True):
    """Who the identity authority is."""

    address: str
    chain_id: int


class Challenge(msgspec.Struct, frozen=True):
    """A text to sign for a session, and who was asked for it and when."""

    challenge: str
    origin: str
    at: int


class Session(msgspec.Struct, frozen=True):
    """A session of somebody who cannot sign requests."""

    token: str
    expires_at: int

    def __repr__(self) -> str:
        return "<Session, not shown>"


def about_authority() -> HttpCall[Authority]:
    """Ask who the identity authority is."""
    return HttpCall("GET", "/v1/authority", reader(Authority), service=Service.IDENTITY)


# Texts that signers sign to prove that somebody has them


def enrolment_text(authority: Authority, code: str) -> bytes:
    """Return what each signer signs to be enrolled."""
    return _text("enrolment", authority, "code", code)


def subjects_text(authority: Authority, subject: bytes) -> bytes:
    """Return what each signer signs to become one more id of the same person."""
    return _text("subjects", authority, "subject", to_hex(subject))


def recovery_text(authority: Authority, person: Person) -> bytes:
    """Return what each new signer signs to take a lost one's place."""
    return _text("recovery", authority, "person", person.id_number)


def _text(what: str, authority: Authority, name: str, value: str) -> bytes:
    lines = f"chain {authority.chain_id}\nauthority {authority.address}\n{name} {value}"
    return f"Quancheng {what}\n{lines}".encode()


# Officers


def issue_code(person: Person, identification: str) -> HttpCall[Code]:
    """Let a person enrol, after looking at its identification; an officer."""
    body = _members(person, identification=identification)
    return _post("/v1/codes", body, reader(Code))


def start_recovery(
    person: Person, identification: str, signers: Sequence[ProvenSigner]
) -> HttpCall[Recovery]:
    """Replace a person's lost signers, one for each of its ids; an officer."""
    body = _members(person, identification=identification, signers=signers)
    return _post("/v1/recoveries", body, reader(Recovery))


class Acted(msgspec.Struct, frozen=True):
    """Which ids an act at the counter was about; it is on chain."""

    subjects: tuple[str, ...]


class SignedOpening(msgspec.Struct, frozen=True):
    """A closed id's current key agrees that it is opened: `quancheng wallet reopen`."""

    subject: str
    nonce: str
    deadline: int
    signer: str
    signature: str


def close_subjects(
    person: Person, identification: str, subjects: Sequence[str] = ()
) -> HttpCall[Acted]:
    """Close stolen ids of a person at once, all of them if none is named; an officer."""
    body = _members(person, identification=identification, subjects=subjects)
    return _post("/v1/closings", body, reader(Acted))


def open_subject(person: Person, identification: str, signed: SignedOpening) -> HttpCall[Acted]:
    """Open a closed id again with its key's word; an officer."""
    body = _members(person, identification=identification, **msgspec.structs.asdict(signed))
    return _post("/v1/openings", body, reader(Acted))


def correct_subject(person: Person, identification: str, subject: str) -> HttpCall[Acted]:
    """Give an id to whose it is, and end all its links; an officer."""
    body = _members(person, identification=identification, subject=subject)
    return _post("/v1/corrections", body, reader(Acted))


def recovery_state(recovery: str) -> HttpCall[Recovery]:
    """Ask how a recovery stands; an officer."""
    return _get(path("/v1/recoveries/{}", recovery), reader(Recovery))


# People


def enrol(person: Person, code: str, signers: Sequence[ProvenSigner]) -> HttpCall[Enrolment]:
    """Enrol with a code; the signers' signatures prove themselves."""
    body = _members(person, code=code, signers=signers)
    return _post("/v1/enrolments", body, reader(Enrolment), Credential.NONE)


def enrolment_state(enrolment: str) -> HttpCall[Enrolment]:
    """Ask how an enrolment stands that took long, until an hour after it is registered; then `my_subjects`."""
    return _get(path("/v1/enrolments/{}", enrolment), reader(Enrolment), Credential.NONE)


def more_subjects(signers: Sequence[ProvenSigner]) -> HttpCall[Enrolment]:
    """Get more ids; a subject."""
    return _post("/v1/subjects", {"signers": signers}, reader(Enrolment))


def my_subjects() -> HttpCall[Subjects]:
    """Ask for all ids of the same person; a subject."""
    return _get("/v1/subjects", reader(Subjects))


def my_lookups(before: int | None = None) -> HttpCall[Lookups]:
    """Ask who looked the person up, newest first; a subject."""
    return _get(path("/v1/lookups", before=before), reader(Lookups))


def ask_link(dataset: bytes, subject: bytes | None = None) -> HttpCall[SignedLink]:
    """Ask for the link between a dataset's owner and a subject id; a subject."""
    body = {"dataset": to_hex(dataset)} | ({"subject": to_hex(subject)} if subject else {})
    return _post("/v1/links", body, _link)


def session_challenge(signer: bytes, service: Service = Service.IDENTITY) -> HttpCall[Challenge]:
    """Ask a service for a text to sign for a session; a subject with a passkey."""
    body = msgspec.json.encode({"signer": to_hex(signer)})
    return HttpCall("POST", "/v1/sessions/challenge", _challenge, service=service, body=body)


def open_session(
    challenge: Challenge, signer: bytes, signature: bytes, service: Service = Service.IDENTITY
) -> HttpCall[Session]:
    """Hand in the signed text."""
    signed = {
        "challenge": challenge.challenge,
        "signer": to_hex(signer),
        "signature": to_hex(signature),
    }
    body = msgspec.json.encode(signed)
    return HttpCall("POST", "/v1/sessions", reader(Session), service=service, body=body)


class _Challenge(msgspec.Struct):
    challenge: str


def _challenge(answer: Answer) -> Challenge:
    text = msgspec.json.decode(answer.body, type=_Challenge).challenge
    return Challenge(text, answer.origin, answer.at)


class _Link(msgspec.Struct):
    link: dict[str, str | int | bool]
    link_signature: str


def _link(answer: Answer) -> SignedLink:
    found = msgspec.json.decode(answer.body, type=_Link)
    return SignedLink(
        record_from_object(SubjectLink, found.link), from_hex(found.link_signature, 65)
    )


# Consumers and providers


def resolve(person: Person, purpose: bytes, case_number: str) -> HttpCall[Handle]:
    """Look a customer up for a case; a consumer. The person will see that it was.

    Raises:
        PlainTextError: the case number is none.
    """
    verify_case_number(case_number)
    body = _members(person, purpose=to_hex(purpose), case_number=case_number)
    return _post("/v1/resolutions", body, reader(Handle))


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


def _members(person: Person, **others: object) -> dict[str, object]:
    return {"kind": person.kind, "id_number": person.id_number, "name": person.name, **others}


def _post(
    where: str,
    body: object,
    read: Callable[[Answer], T],
    credential: Credential = Credential.SIGNATURE,
) -> HttpCall[T]:
    return HttpCall(
        "POST",
        where,
        read,
        service=Service.IDENTITY,
        body=msgspec.json.encode(body),
        credential=credential,
    )


def _get(
    where: str, read: Callable[[Answer], T], credential: Credential = Credential.SIGNATURE
) -> HttpCall[T]:
    return HttpCall("GET", where, read, service=Service.IDENTITY, credential=credential)
