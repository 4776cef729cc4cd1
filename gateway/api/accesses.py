"""POST and GET /v1/accesses: the hot path, so no model and no dependency stands in its way."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.types import Receive

from gateway.access.service import Answer
from gateway.api.dependencies import access_page, party_account, services_of
from gateway.errors import BodyError, ConflictError, ForbiddenError, ProblemError, UnknownError
from gateway.problems import Problem, problem_of, problem_response
from gateway.services import Services
from ledger import failpoints
from ledger.api import MAX_ACCESSES, KeyedSubmission, Refusal, TooManyAccessesError
from ledger.api.access import decode_submissions, encode_result, encode_results
from ledger.api.supervision import AccessesAnswer
from ledger.errors import MalformedError
from ledger.hexstr import from_hex, to_hex
from ledger.index.queries import Selection
from ledger.model import OUTCOMES, Outcome
from ledger.service.request_body import collect, read_pieces
from ledger.typed_data import AccessRequest, Authorization, SubjectLink, json_schema

router = APIRouter(prefix="/v1", tags=["accesses"])

_KEY: Final[dict[str, Any]] = {
    "type": "string",
    "pattern": "^0x(01[0-9a-f]{64}|02[0-9a-f]{2432})$",
    "description": "to which the request is answered: suite, public key",
}


_CONSENTS: Final[dict[str, Any]] = {
    "type": "array",
    "maxItems": MAX_ACCESSES,
    "description": "of the requests' bases, where the gateway has no right statement or link of them",
    "items": {
        "type": "object",
        "required": ["authorization"],
        "additionalProperties": False,
        "properties": {
            "authorization": json_schema(Authorization),
            "link": {"anyOf": [json_schema(SubjectLink), {"type": "null"}]},
            "link_signature": {"type": ["string", "null"], "pattern": "^0x[0-9a-f]{130}$"},
        },
    },
}


def _signed(key: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["request", "signature", "key"],
        "additionalProperties": False,
        "properties": {
            "request": json_schema(AccessRequest),
            "signature": {"type": "string", "pattern": "^0x[0-9a-f]{130}$"},
            "key": key,
            **more,
        },
    }


_PLACE: Final[dict[str, Any]] = {"type": "integer", "minimum": 0, "description": "in `keys`"}
_LIST: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["keys", "requests"],
    "additionalProperties": False,
    "properties": {
        "keys": {"type": "array", "items": _KEY, "minItems": 1, "maxItems": MAX_ACCESSES},
        "requests": {
            "type": "array",
            "items": _signed(_PLACE, {}),
            "minItems": 1,
            "maxItems": MAX_ACCESSES,
        },
        "consents": _CONSENTS,
    },
}
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"oneOf": [_signed(_KEY, {"consents": _CONSENTS}), _LIST]}
            }
        },
    }
}


@router.post("/accesses", openapi_extra=_BODY, response_class=Response)
async def use(request: Request) -> Response:
    """Use an authorization, agreement, order or open dataset: once, or up to 1,000 times.

    Nothing but the signed requests counts, and what persons signed that they rest on. The same signed request again is the same access. A single
    one that is denied is answered with 403 and the outcome on chain; a list is always answered with
    a result for each.
    """
    return await respond(services_of(request), request.receive)


async def respond(services: Services, receive: Receive) -> Response:
    """Answer `POST /v1/accesses`. Also called without the framework around it (`gateway.app`).

    Raises:
        BodyError: The body is too large, too slow, or not of the form that it should have.
        ThrottledError: Too many accesses are under way.
    """
    limit = services.access_settings.accesses_limit
    body = await collect(read_pieces(receive, limit, services.settings.body_timeout))
    try:
        submitted = decode_submissions(body)
    except TooManyAccessesError as error:
        raise ProblemError(
            f"more than {MAX_ACCESSES} accesses at once", "too-many", limit=MAX_ACCESSES
        ) from error
    except MalformedError as error:
        raise BodyError(str(error)) from error
    accesses = services.accesses
    if submitted.single:
        answer = await accesses.answer(submitted.submissions[0])
        _count(services, (answer,))
        failpoints.reach("before_response")
        return _single(answer)
    answers = await accesses.answer_all(submitted.submissions)
    _count(services, answers)
    failpoints.reach("before_response")
    return _json(encode_results([_encode(answer) for answer in answers]))


def _count(services: Services, answers: Sequence[Answer]) -> None:
    metrics = services.metrics
    for answer in answers:
        recorded = answer.recorded
        outcome = "none" if recorded is None else OUTCOMES[recorded.outcome].title
        metrics.accesses.labels(outcome).inc()
        if recorded is not None and recorded.outcome == Outcome.ALLOWED and answer.release is None:
            metrics.unreleased.inc()


@router.get("/accesses")
async def get_accesses(
    request: Request, cursor: Annotated[int | None, Query(ge=0, lt=2**62)] = None
) -> AccessesAnswer:
    """Show a consumer its own accesses, the newest first, and which of them were handed out."""
    consumer = await party_account(request)
    services = services_of(request)
    await services.fresh_index()
    return await access_page(services, Selection(party=consumer), cursor)


@router.get("/accesses/{access}", response_class=Response)
async def get_access(
    access: Annotated[str, Path(pattern="^0x[0-9a-f]{64}$")], request: Request
) -> Response:
    """Answer an access again, to the consumer that made it."""
    consumer = await party_account(request)
    services = services_of(request)
    entry = (await services.journal.find([from_hex(access)])).get(from_hex(access))
    if entry is None:
        raise UnknownError("access here")
    if entry.submission.request.consumer != consumer:
        raise ForbiddenError("an access is shown to the consumer that made it")
    recorded, released = entry.recorded, entry.released
    if released is not None:
        signed = entry.submission
        keyed = KeyedSubmission(signed.request, signed.signature, released.key)
        return _single(await services.accesses.answer(keyed))
    if recorded.outcome == Outcome.ALLOWED:
        raise ConflictError(
            "it was not released yet: send the signed request with its key again", "key-unknown"
        )
    return _single(Answer(None, recorded, None, None))


def _single(answer: Answer) -> Response:
    if answer.release is not None:
        return _json(_encode(answer))
    return problem_response(_problem(answer), members=_members(answer))


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _encode(answer: Answer) -> bytes:
    refusal = None
    if answer.release is None:
        problem = _problem(answer)
        refusal = Refusal(problem.type, problem.kind.title, problem.kind.status, problem.detail)
    if answer.verified is None or answer.recorded is None:
        return encode_result(None, None, refusal)
    access = (answer.verified.submission.request, answer.verified.digest, answer.recorded)
    return encode_result(access, answer.release, refusal)


def _problem(answer: Answer) -> Problem:
    """Return what is in the way: what went wrong, or the denial."""
    error = answer.problem
    if error is None:
        if answer.recorded is None:
            raise ValueError("an answer without access and without problem")
        outcome = OUTCOMES[answer.recorded.outcome].title
        error = ProblemError(
            f"denied on chain as access {answer.recorded.sequence}: {outcome}", "denied"
        )
    return problem_of(error)


def _members(answer: Answer) -> dict[str, Any]:
    """Return where the access is on chain, so that nobody has to take a denial on trust."""
    recorded = answer.recorded
    if recorded is None:
        return {}
    return {
        "access": to_hex(recorded.access),
        "sequence": recorded.sequence,
        "outcome": OUTCOMES[recorded.outcome].title,
        "outcome_number": recorded.outcome,
        "block_number": recorded.block_number,
        "block_hash": to_hex(recorded.block_hash),
        "timestamp": recorded.timestamp,
        "transaction": to_hex(recorded.transaction),
        "log_index": recorded.log_index,
    }
