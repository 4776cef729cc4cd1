"""The identity authority over HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Final, TypeVar

import httpx
import msgspec
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.responses import StreamingResponse

from ledger.api import SignedLink
from ledger.api import identity as messages
from ledger.api.consent import HandleAnswer
from ledger.api.forms import Hash
from ledger.api.identity import PersonBody, PersonKind
from ledger.chain.contract_calls import Approval
from ledger.chain.deployment import read_deployment
from ledger.chain.reverts import RevertError
from ledger.chain.rpc import AsyncRpc
from ledger.errors import LedgerError
from ledger.hexstr import to_hex
from ledger.identifiers import IdentifierError
from ledger.jsonio import UNREADABLE
from ledger.service.app import INTERNAL, MALFORMED, NOT_FOUND, ProblemError, ProblemKind, make_app
from ledger.service.challenges import Asker
from ledger.service.request_body import parse_model, read_model
from wallet.errors import WalletError
from wallet.identity.auth import MAX_BYTES, by_officer, by_subject, signed, verify_officer
from wallet.identity.database import open_database
from wallet.identity.errors import NO_MATCH, NOT_A_SUBJECT, ChainUnavailableError, IdentityError
from wallet.identity.keys import AuthorityKeys
from wallet.identity.possession_proofs import RECOVERY
from wallet.identity.services import Services, put_together
from wallet.identity.settings import IdentitySettings
from wallet.identity.store import (
    Identity,
    KeepFor,
    Order,
    Person,
    SubjectRow,
    SubjectState,
    canonical_number,
    make_identity,
)
from wallet.identity.watch import RecoveryState

MAX_OWNERS: Final = 100_000
MAX_OWNER_BYTES: Final = 8 * 1024 * 1024
_LOOKUPS_AT_ONCE: Final = 100
_PIECE: Final = 1_000
_NDJSON: Final = "application/x-ndjson"
_ACCEPTED: Final = 202
_numbers = msgspec.json.Decoder(str)

router = APIRouter(prefix="/v1")
OrderedT = TypeVar("OrderedT", bound=messages.OfficerBody)


async def _services(
    request: Request,
) -> Services:  # one that is not async would be called in a thread
    services: Services = request.app.state.services
    return services


Parts = Annotated[Services, Depends(_services)]


@router.get("/authority")
async def authority(parts: Parts) -> messages.AuthorityAnswer:
    """Tell who the identity authority is."""
    address = to_hex(parts.keys.address)
    return messages.AuthorityAnswer(address=address, chain_id=parts.deployment.chain_id)


@router.post("/codes", status_code=201)
async def codes(request: Request, parts: Parts) -> messages.CodeAnswer:
    """Let somebody enrol whom an officer identified."""
    person, order, _ = await _ordered(parts, request, messages.OfficerBody)
    return await parts.enrolments.issue(person, order)


@router.post("/enrolments", status_code=201)
async def enrolments(
    request: Request, response: Response, parts: Parts
) -> messages.EnrolmentAnswer:
    """Redeem a code: a random subject id for each signer, registered on chain."""
    body = await read_model(request, messages.EnrolmentBody, MAX_BYTES)
    enrolment = await parts.enrolments.enrol(_identity(body), body.code, body.signers)
    return await _enrolment(parts, enrolment, response)


@router.get("/enrolments/{enrolment}")
async def enrolment_state(enrolment: str, parts: Parts) -> messages.EnrolmentAnswer:
    """Tell how an enrolment stands, to who enrolled and has no id yet; later `GET /v1/subjects` does, signed."""
    rows = await parts.enrolments.state(enrolment)
    if not rows:
        detail = "there is no such enrolment, or it was registered an hour ago"
        raise ProblemError(NOT_FOUND, detail)
    return messages.EnrolmentAnswer(enrolment=enrolment, subjects=tuple(map(_subject, rows)))


@router.post("/subjects", status_code=201)
async def more_subjects(
    request: Request, response: Response, parts: Parts
) -> messages.EnrolmentAnswer:
    """Give a person more subject ids."""
    subject, raw = await by_subject(parts, request)
    body = parse_model(raw, messages.SubjectsBody)
    return await _enrolment(parts, await parts.enrolments.add(subject, body.signers), response)


@router.get("/subjects")
async def subjects(request: Request, parts: Parts) -> messages.SubjectsAnswer:
    """List all subject ids of a person."""
    subject, _ = await by_subject(parts, request)
    rows = await parts.store.subjects_of(subject.person)
    return messages.SubjectsAnswer(subjects=tuple(map(_subject, rows)))


@router.get("/lookups")
async def lookups(
    request: Request, parts: Parts, before: Annotated[int | None, Query(ge=1)] = None
) -> messages.LookupsAnswer:
    """Show a person who looked it up."""
    subject, _ = await by_subject(parts, request)
    newest = await parts.lookups.of_person(subject.person, before, _LOOKUPS_AT_ONCE)
    more = newest[-1].id if len(newest) == _LOOKUPS_AT_ONCE else None
    return messages.LookupsAnswer(tuple(newest), more)


@router.post("/links")
async def links(request: Request, parts: Parts) -> messages.LinkAnswer:
    """Sign which owner a subject is in a dataset: the caller's own id, or another of the same person."""
    caller, raw = await by_subject(parts, request)
    body = parse_model(raw, messages.LinkBody)
    subject = caller.subject if body.subject is None else body.subject
    if subject != caller.subject:
        mine = await parts.store.subjects_of(caller.person)
        if subject not in [row.subject for row in mine]:
            detail = "a link is for a subject id of the same person"
            raise IdentityError(NOT_A_SUBJECT, detail)
    await parts.chain.verify_dataset(body.dataset)
    return await parts.links.issue(subject, caller.person, body.dataset)


@router.post("/links/renewals")
async def renewals(request: Request, parts: Parts) -> messages.LinkAnswer:
    """Sign a link anew for whoever shows one that is still right, though it may be over."""
    body = await read_model(request, messages.RenewalBody, MAX_BYTES)
    shown = SignedLink(body.link, body.link_signature)
    await parts.links.verify(shown)
    parts.limits.renewals.take(shown.link.subject)
    return await parts.links.renew(shown)


@router.post("/sessions/challenge")
async def challenge(request: Request, parts: Parts) -> messages.ChallengeAnswer:
    """Give a signer a text to sign, which names the host that it is for."""
    body = await read_model(request, messages.ChallengeBody, MAX_BYTES)
    scheme, host = request.url.scheme, parts.authenticator.authority(request)
    made = parts.sessions.challenge(Asker(scheme, host, parts.deployment.chain_id, body.signer))
    return messages.ChallengeAnswer(challenge=made.text, expires_at=made.expires_at)


@router.post("/sessions", status_code=201)
async def sessions(request: Request, parts: Parts) -> messages.SessionAnswer:
    """Give a signer a short session for its signature."""
    body = await read_model(request, messages.SessionBody, MAX_BYTES)
    signer = parts.sessions.verify(body.challenge, body.signer, body.signature)
    if not await parts.store.subjects_signed_by(signer):
        raise IdentityError(NOT_A_SUBJECT, "the signer is no registered subject's")
    return parts.sessions.begin(body.challenge, signer)


@router.post("/resolutions")
async def resolutions(request: Request, parts: Parts) -> HandleAnswer:
    """Lead a consumer to the inbox of a customer that it knows by name and number."""
    consumer, body = await signed(
        parts, request, messages.ResolutionBody, parts.chain.verify_consumer
    )
    parts.limits.resolutions.take(consumer)
    parts.limits.misses.check(consumer)
    try:
        return await parts.resolver.resolve(
            consumer, _identity(body), body.purpose, body.case_number
        )
    except IdentityError as error:
        if error.kind is NO_MATCH:
            parts.limits.misses.take(consumer)
        raise


@router.post("/owners")
async def owners(
    request: Request,
    parts: Parts,
    dataset: Annotated[Hash, Query()],
    kind: Annotated[PersonKind, Query()],
) -> StreamingResponse:
    """Compute owners in bulk, for the dataset's provider."""
    provider, body = await parts.authenticator.signer(
        request, MAX_OWNER_BYTES, partial(parts.chain.verify_provider, dataset)
    )
    lines = body.splitlines()
    if len(lines) > MAX_OWNERS:
        raise ProblemError(MALFORMED, f"{len(lines)} lines, at most {MAX_OWNERS} are taken")
    try:
        numbers = [_numbers.decode(line) for line in lines]
    except UNREADABLE:
        raise ProblemError(MALFORMED, "each line is a JSON string") from None
    parts.limits.owners.take(provider, len(numbers))
    now = int(parts.clock())
    await parts.lookups.note_owners(provider, dataset, kind.value, len(numbers), now)
    return StreamingResponse(_owners(parts, dataset, kind, numbers), media_type=_NDJSON)


@router.post("/recoveries", status_code=201)
async def recoveries(request: Request, response: Response, parts: Parts) -> messages.RecoveryAnswer:
    """Start replacing all keys of somebody whom an officer identified."""
    person, order, body = await _ordered(parts, request, messages.RecoveryBody)
    text = parts.texts.text(RECOVERY, body.id_number)
    signers = [parts.texts.verify(text, each.signer, each.signature) for each in body.signers]
    recovery = await parts.recoveries.start(person, signers, order)
    recovered = await parts.recoveries.wait(recovery, parts.settings.enrolment_timeout)
    if any(each.state == RecoveryState.WAITING for each in recovered):
        response.status_code = _ACCEPTED
    return messages.RecoveryAnswer(recovery=recovery, subjects=tuple(recovered))


@router.get("/recoveries/{recovery}")
async def recovery_state(recovery: str, request: Request, parts: Parts) -> messages.RecoveryAnswer:
    """Tell an officer how a recovery stands."""
    await parts.authenticator.signer(request, 0, partial(verify_officer, parts))
    recovered = await parts.recoveries.of(recovery)
    if not recovered:
        raise ProblemError(NOT_FOUND, "there is no such recovery")
    return messages.RecoveryAnswer(recovery=recovery, subjects=tuple(recovered))


@router.post("/closings")
async def closings(request: Request, parts: Parts) -> messages.ActAnswer:
    """Close stolen ids of somebody whom an officer identified, at once."""
    person, order, body = await _ordered(parts, request, messages.ClosingBody)
    closed = await parts.counter.close(person, body.subjects, order)
    return messages.ActAnswer(tuple(map(to_hex, closed)))


@router.post("/openings")
async def openings(request: Request, parts: Parts) -> messages.ActAnswer:
    """Open a closed id again: an officer and the id's current key together."""
    person, order, body = await _ordered(parts, request, messages.OpeningBody)
    approval = Approval(body.signer, body.signature)
    await parts.counter.open(person, body.terms(), approval, order)
    return messages.ActAnswer((to_hex(body.subject),))


@router.post("/corrections")
async def corrections(request: Request, parts: Parts) -> messages.ActAnswer:
    """Give an id to the person whose it is, and end all links of it that were signed before."""
    person, order, body = await _ordered(parts, request, messages.CorrectionBody)
    await parts.counter.correct(body.subject, person, order)
    return messages.ActAnswer((to_hex(body.subject),))


async def _ordered(
    parts: Services, request: Request, model: type[OrderedT]
) -> tuple[Person, Order, OrderedT]:
    """Return the person whom an officer identified, who ordered the act and why, and the body."""
    officer, body = await by_officer(parts, request, model)
    person = await parts.enrolments.person(_identity(body))
    return person, Order(officer, body.identification, int(parts.clock())), body


def _identity(body: PersonBody) -> Identity:
    return make_identity(body.kind, body.id_number, body.name)


async def _enrolment(
    parts: Services, enrolment: str, response: Response
) -> messages.EnrolmentAnswer:
    rows = await parts.enrolments.wait(enrolment, parts.settings.enrolment_timeout)
    if any(row.state is not SubjectState.REGISTERED for row in rows):
        response.status_code = _ACCEPTED
    return messages.EnrolmentAnswer(enrolment=enrolment, subjects=tuple(map(_subject, rows)))


def _subject(row: SubjectRow) -> messages.SubjectAnswer:
    consumer = None if row.consumer is None else to_hex(row.consumer)
    named = consumer if row.keep_for is KeepFor.CONSUMER else None
    return messages.SubjectAnswer(
        subject=to_hex(row.subject),
        signer=to_hex(row.signer),
        keep_for=named or row.keep_for.value,
        consumer=consumer,
        state="registered" if row.state is SubjectState.REGISTERED else "waiting",
    )


def _owners(
    parts: Services, dataset: bytes, kind: PersonKind, numbers: list[str]
) -> Iterator[bytes]:
    """Yield the lines of owners, a piece at a time; null for a number that is none."""
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


PROBLEMS: Final = {
    LedgerError: MALFORMED,
    RevertError: ProblemKind("refused-on-chain", 409, "The contract refuses"),
    WalletError: INTERNAL,  # beside `IdentityError`, which names its kind
}


def create_app(
    settings: IdentitySettings, keys: AuthorityKeys, clock: Callable[[], float] = time.time
) -> FastAPI:
    """Return the service.

    Args:
        settings: Where everything is.
        keys: As opened with the keystore's password.
        clock: The present, seconds since 1970.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        deployment = read_deployment(settings.deployment)
        database = await open_database(settings.database_url)
        try:
            async with (
                AsyncRpc(settings.node) as rpc,
                httpx.AsyncClient(base_url=settings.gateway, trust_env=False) as http,
            ):
                parts = put_together(settings, keys, deployment, database, rpc, http, clock)
                app.state.services = parts
                works = [
                    asyncio.create_task(work.run())
                    for work in (parts.watcher, parts.outbox, parts.registrar, parts.recoveries)
                ]
                try:
                    yield
                finally:
                    for work in works:
                        work.cancel()
                    await asyncio.gather(*works, return_exceptions=True)
        finally:
            await database.close()

    app = make_app(
        "Quancheng identity authority",
        lifespan=lifespan,
        readiness=lambda: _check_ready(app.state.services),
        problems=PROBLEMS,
    )
    app.include_router(router)
    return app


def _check_ready(parts: Services) -> None:
    parts.watcher.require()
    if parts.registrar.problem:
        raise ChainUnavailableError(parts.registrar.problem)
