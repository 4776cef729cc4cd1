"""The identity authority over HTTP."""

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from ledger.challenges import Asker
from ledger.contracts import Approval
from ledger.decode_errors import UNREADABLE
from ledger.hexes import from_hex, to_hex
from ledger.identifiers import IdentifierError
from ledger.service.request_body import parse_model, read_model
from wallet.identity.callers import (
    MOST_BYTES,
    by_officer,
    by_subject,
    signed,
    verify_officer,
)
from wallet.identity.counter import Order
from wallet.identity.errors import NoMatchError, NotASubjectError
from wallet.identity.models import (
    ActAnswer,
    AuthorityAnswer,
    ChallengeAnswer,
    ChallengeBody,
    ClosingBody,
    CodeAnswer,
    CodeBody,
    CorrectionBody,
    EnrolmentAnswer,
    EnrolmentBody,
    HandleAnswer,
    Hash,
    LinkAnswer,
    LinkBody,
    LookupsAnswer,
    OpeningBody,
    RecoveryAnswer,
    RecoveryBody,
    RenewalBody,
    ResolutionBody,
    SessionAnswer,
    SessionBody,
    SubjectsAnswer,
    SubjectsBody,
    show_link,
    show_lookup,
    show_recovered,
    show_subject,
)
from wallet.identity.people import Kind, canonical_number
from wallet.identity.recoveries import RecoveredSubject
from wallet.identity.selection import SubjectRow, SubjectState
from wallet.identity.services import Services
from wallet.identity.texts import RECOVERY, ProvenSigner
from wallet.identity.watching import RecoveryState
from wallet.service.problems import MALFORMED, NOT_FOUND, ProblemError

MOST_OWNERS: Final = 100_000
MOST_OWNER_BYTES: Final = 8 * 1024 * 1024
_LOOKUPS_AT_ONCE: Final = 100
_PIECE: Final = 1_000
_NDJSON: Final = "application/x-ndjson"
_ACCEPTED: Final = 202
_numbers = msgspec.json.Decoder(str)


router = APIRouter(prefix="/v1")


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Parts = Annotated[Services, Depends(_services)]


@router.get("/authority")
async def authority(parts: Parts) -> AuthorityAnswer:
    """Tell who the identity authority is."""
    address = to_hex(parts.keys.address)
    return AuthorityAnswer(address=address, chain_id=parts.deployment.chain_id)


@router.post("/codes", status_code=201)
async def codes(request: Request, parts: Parts) -> CodeAnswer:
    """Let somebody enrol whom an officer identified."""
    officer, body = await by_officer(parts, request, CodeBody)
    issued = await parts.enrolments.issue(officer, body.identity(), body.identification)
    return CodeAnswer(code=issued.code, expires_at=issued.expires_at)


@router.post("/enrolments", status_code=201)
async def enrolments(request: Request, response: Response, parts: Parts) -> EnrolmentAnswer:
    """Redeem a code: a random subject id for each signer, registered on chain."""
    body = await read_model(request, EnrolmentBody, MOST_BYTES)
    identity = body.identity()
    signers = [one.wanted() for one in body.signers]
    enrolment = await parts.enrolments.enrol(identity, body.code, signers)
    return await _enrolment(parts, enrolment, response)


@router.get("/enrolments/{enrolment}")
async def enrolment_state(enrolment: str, parts: Parts) -> EnrolmentAnswer:
    """Tell how an enrolment stands, to who enrolled and has no id yet; later `GET /v1/subjects` does, signed."""
    found = await parts.enrolments.state(enrolment)
    if not found:
        raise ProblemError(
            NOT_FOUND, "there is no such enrolment, or it was registered an hour ago"
        )
    return EnrolmentAnswer(enrolment=enrolment, subjects=list(map(show_subject, found)))


@router.post("/subjects", status_code=201)
async def more_subjects(request: Request, response: Response, parts: Parts) -> EnrolmentAnswer:
    """Give a person more subject ids."""
    subject, raw = await by_subject(parts, request)
    body = parse_model(raw, SubjectsBody)
    signers = [one.wanted() for one in body.signers]
    return await _enrolment(parts, await parts.enrolments.add(subject, signers), response)


@router.get("/subjects")
async def subjects(request: Request, parts: Parts) -> SubjectsAnswer:
    """List all subject ids of a person."""
    subject, _ = await by_subject(parts, request)
    found = await parts.store.subjects_of(subject.person)
    return SubjectsAnswer(subjects=list(map(show_subject, found)))


@router.get("/lookups")
async def lookups(
    request: Request, parts: Parts, before: Annotated[int | None, Query(ge=1)] = None
) -> LookupsAnswer:
    """Show a person who looked it up."""
    subject, _ = await by_subject(parts, request)
    found = await parts.lookups.of_person(subject.person, before, _LOOKUPS_AT_ONCE)
    more = found[-1].id if len(found) == _LOOKUPS_AT_ONCE else None
    return LookupsAnswer(lookups=list(map(show_lookup, found)), next=more)


@router.post("/links")
async def links(request: Request, parts: Parts) -> LinkAnswer:
    """Sign which owner a subject is in a dataset, for that subject itself."""
    caller, raw = await by_subject(parts, request)
    body = parse_model(raw, LinkBody)
    subject = await _own(parts, caller, body.subject)
    dataset = await parts.chain.verify_dataset(from_hex(body.dataset))
    return show_link(await parts.links.issue(subject, caller.person, dataset))


@router.post("/links/renewals")
async def renewals(request: Request, parts: Parts) -> LinkAnswer:
    """Sign a link anew for whoever shows one that is still right, though it may be over."""
    shown = (await read_model(request, RenewalBody, MOST_BYTES)).signed()
    await parts.links.verify(shown)
    parts.limits.renewals.take(shown.link.subject)
    return show_link(await parts.links.renew(shown))


@router.post("/sessions/challenge")
async def challenge(request: Request, parts: Parts) -> ChallengeAnswer:
    """Give a signer a text to sign, which names the host that it is for."""
    body = await read_model(request, ChallengeBody, MOST_BYTES)
    signer = from_hex(body.signer)
    scheme, host = request.url.scheme, parts.authenticator.authority(request)
    made = parts.sessions.challenge(Asker(scheme, host, parts.deployment.chain_id, signer))
    return ChallengeAnswer(challenge=made.text, expires_at=made.expires_at)


@router.post("/sessions", status_code=201)
async def sessions(request: Request, parts: Parts) -> SessionAnswer:
    """Give a signer a short session for its signature."""
    body = await read_model(request, SessionBody, MOST_BYTES)
    proven = ProvenSigner(from_hex(body.signer), from_hex(body.signature))
    signer = parts.sessions.verify(body.challenge, proven)
    if not await parts.store.subjects_signed_by(signer):
        raise NotASubjectError("the signer is no registered subject's")
    made = parts.sessions.begin(body.challenge, signer)
    return SessionAnswer(token=made.token, expires_at=made.expires_at)


@router.post("/resolutions")
async def resolutions(request: Request, parts: Parts) -> HandleAnswer:
    """Lead a consumer to the inbox of a customer that it knows by name and number."""
    consumer, body = await signed(parts, request, ResolutionBody, parts.chain.verify_consumer)
    parts.limits.resolutions.take(consumer)
    parts.limits.misses.check(consumer)
    purpose = from_hex(body.purpose)
    try:
        handle = await parts.resolver.resolve(consumer, body.identity(), purpose, body.case_number)
    except NoMatchError:
        parts.limits.misses.take(consumer)
        raise
    return HandleAnswer(handle=handle.handle, expires_at=handle.expires_at)


@router.post("/owners")
async def owners(
    request: Request,
    parts: Parts,
    dataset: Annotated[Hash, Query()],
    kind: Annotated[Kind, Query()],
) -> StreamingResponse:
    """Compute owners in bulk, for the dataset's provider."""
    named = from_hex(dataset)
    provider, body = await parts.authenticator.signer(
        request, MOST_OWNER_BYTES, partial(parts.chain.verify_provider, named)
    )
    numbers = _lines(body)
    parts.limits.owners.take(provider, len(numbers))
    now = int(parts.clock())
    await parts.lookups.note_owners(provider, named, kind.value, len(numbers), now)
    return StreamingResponse(_owners(parts, named, kind, numbers), media_type=_NDJSON)


@router.post("/recoveries", status_code=201)
async def recoveries(request: Request, response: Response, parts: Parts) -> RecoveryAnswer:
    """Start replacing all keys of somebody whom an officer identified."""
    officer, body = await by_officer(parts, request, RecoveryBody)
    person = await parts.enrolments.person(body.identity())
    text = parts.texts.text(RECOVERY, body.id_number)
    signers = [parts.texts.verify(text, one.proven()) for one in body.signers]
    recovery = await parts.recoveries.start(
        person,
        signers,
        officer=officer,
        identification=body.identification,
        now=int(parts.clock()),
    )
    found = await parts.recoveries.wait(recovery, parts.settings.patience)
    if any(one.state is RecoveryState.WAITING for one in found):
        response.status_code = _ACCEPTED
    return _recovery(recovery, found)


@router.get("/recoveries/{recovery}")
async def recovery_state(recovery: str, request: Request, parts: Parts) -> RecoveryAnswer:
    """Tell an officer how a recovery stands."""
    await parts.authenticator.signer(request, 0, partial(verify_officer, parts))
    found = await parts.recoveries.of(recovery)
    if not found:
        raise ProblemError(NOT_FOUND, "there is no such recovery")
    return _recovery(recovery, found)


@router.post("/closings")
async def closings(request: Request, parts: Parts) -> ActAnswer:
    """Close stolen ids of somebody whom an officer identified, at once."""
    officer, body = await by_officer(parts, request, ClosingBody)
    person = await parts.enrolments.person(body.identity())
    order = Order(officer, body.identification, int(parts.clock()))
    closed = await parts.counter.close(person, [from_hex(one) for one in body.subjects], order)
    return ActAnswer(subjects=list(map(to_hex, closed)))


@router.post("/openings")
async def openings(request: Request, parts: Parts) -> ActAnswer:
    """Open a closed id again: an officer and the id's current key together."""
    officer, body = await by_officer(parts, request, OpeningBody)
    person = await parts.enrolments.person(body.identity())
    order = Order(officer, body.identification, int(parts.clock()))
    approval = Approval(from_hex(body.signer), from_hex(body.signature))
    await parts.counter.open(person, body.terms(), approval, order)
    return ActAnswer(subjects=[body.subject])


@router.post("/corrections")
async def corrections(request: Request, parts: Parts) -> ActAnswer:
    """Give an id to the person whose it is, and end all links of it that were signed before."""
    officer, body = await by_officer(parts, request, CorrectionBody)
    person = await parts.enrolments.person(body.identity())
    order = Order(officer, body.identification, int(parts.clock()))
    await parts.counter.correct(from_hex(body.subject), person, order)
    return ActAnswer(subjects=[body.subject])


async def _enrolment(parts: Services, enrolment: str, response: Response) -> EnrolmentAnswer:
    found = await parts.enrolments.wait(enrolment, parts.settings.patience)
    if any(one.state is not SubjectState.REGISTERED for one in found):
        response.status_code = _ACCEPTED
    return EnrolmentAnswer(enrolment=enrolment, subjects=list(map(show_subject, found)))


def _recovery(recovery: str, found: list[RecoveredSubject]) -> RecoveryAnswer:
    return RecoveryAnswer(recovery=recovery, subjects=list(map(show_recovered, found)))


async def _own(parts: Services, caller: SubjectRow, wanted: str | None) -> bytes:
    """Return the subject that a link is for: the caller's own, or another id of the same person."""
    if wanted is None:
        return caller.subject
    subject = from_hex(wanted)
    mine = await parts.store.subjects_of(caller.person)
    if subject not in [one.subject for one in mine]:
        raise NotASubjectError("a link is for a subject id of the same person")
    return subject


def _lines(body: bytes) -> list[str]:
    lines = body.splitlines()
    if len(lines) > MOST_OWNERS:
        raise ProblemError(MALFORMED, f"{len(lines)} lines, at most {MOST_OWNERS} are taken")
    try:
        return [_numbers.decode(line) for line in lines]
    except UNREADABLE:
        raise ProblemError(MALFORMED, "each line is a JSON string") from None


def _owners(parts: Services, dataset: bytes, kind: Kind, numbers: list[str]) -> Iterator[bytes]:
    """Yield the lines of owners, some at a time; null for a number that is none."""
    for start in range(0, len(numbers), _PIECE):
        lines = []
        for number in numbers[start : start + _PIECE]:
            try:
                checked = canonical_number(kind, number)
            except IdentifierError:
                lines.append(b"null\n")
                continue
            owner = parts.keys.owners.owner(dataset, kind, checked)
            lines.append(b'"0x' + owner.hex().encode("ascii") + b'"\n')
        yield b"".join(lines)
