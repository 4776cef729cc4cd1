"""Errors over HTTP: problem details with a stable type (RFC 9457).

Each service has one table from its exceptions to `ProblemKind`; everything else is a defect and shows
as `internal-error`, without its message, which may quote personal data or a secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ledger.errors import LedgerError
from ledger.jsonio import JsonError
from ledger.service import errors
from ledger.service.http_signatures import HttpSignatureError
from ledger.service.logs import describe, get_logger

PREFIX: Final = "urn:quancheng:problem:"
MEDIA_TYPE: Final = "application/problem+json"

_log = get_logger()


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A type of problem; `slug` ends its URN."""

    slug: str
    status: int
    title: str


class ProblemError(errors.ServiceError):
    """A request that cannot be answered; the message is for the client to read."""

    def __init__(self, kind: ProblemKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


UNAUTHENTICATED: Final = ProblemKind("unauthenticated", 401, "Bad or missing signature")
REPLAYED: Final = ProblemKind("replayed", 401, "This signed request was here before")
FORBIDDEN: Final = ProblemKind("forbidden", 403, "Not for this party")
NOT_FOUND: Final = ProblemKind("not-found", 404, "There is no such thing")
TOO_LARGE: Final = ProblemKind("too-large", 413, "The body is too large")
MALFORMED: Final = ProblemKind("malformed", 422, "The request is malformed")
THROTTLED: Final = ProblemKind("throttled", 429, "Too many requests")
INTERNAL: Final = ProblemKind("internal-error", 500, "This is a defect of the service")
UNAVAILABLE: Final = ProblemKind("unavailable", 503, "Not able to answer now")

_COMMON: Final[Mapping[type[Exception], ProblemKind]] = {
    errors.ThrottledError: THROTTLED,
    HttpSignatureError: UNAUTHENTICATED,
    JsonError: MALFORMED,
}
_BODIES: Final[Mapping[errors.BodyFault, ProblemKind]] = {
    errors.BodyFault.TOO_LARGE: TOO_LARGE,
    errors.BodyFault.MEDIA_TYPE: ProblemKind(
        "media-type", 415, "The body is of another media type"
    ),
    errors.BodyFault.MISSING: ProblemKind("body-missing", 422, "A body is needed"),
    errors.BodyFault.TOO_SLOW: ProblemKind("too-slow", 408, "The body came too slowly"),
    errors.BodyFault.MALFORMED: MALFORMED,
}
_BY_STATUS: Final = {
    404: ProblemKind("not-found", 404, "There is nothing at this path"),
    405: ProblemKind("method-not-allowed", 405, "The path has no such method"),
}


def install_problems(app: FastAPI, table: Mapping[type[Exception], ProblemKind]) -> None:
    """Answer an app's exceptions as problems: each as the nearest of its classes in the table says."""
    kinds = {**_COMMON, **table}

    async def answer(_: Request, error: Exception) -> JSONResponse:
        return _response_to(error, kinds)

    for kind in (errors.ServiceError, LedgerError, HTTPException, RequestValidationError, *table):
        app.add_exception_handler(kind, answer)


def _response_to(error: Exception, kinds: Mapping[type[Exception], ProblemKind]) -> JSONResponse:
    if isinstance(error, ProblemError):
        return problem_response(error.kind, str(error))
    if isinstance(error, errors.BodyError):
        return problem_response(_BODIES[error.fault], str(error))
    if isinstance(error, HTTPException):
        refused = ProblemKind("refused", error.status_code, "The request is refused")
        return problem_response(_BY_STATUS.get(error.status_code, refused), str(error.detail))
    if isinstance(error, RequestValidationError):
        # Places and what is wrong there, never the values: they may be personal.
        places = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        return problem_response(MALFORMED, "; ".join(places))
    kind = next((kinds[base] for base in type(error).__mro__ if base in kinds), INTERNAL)
    if kind is INTERNAL:
        _log.error("internal_error", error=describe(error))
        return problem_response(kind, "please report it with the time of this answer")
    wait = error.retry_after if isinstance(error, errors.ThrottledError) else None
    return problem_response(kind, str(error), retry_after=wait)


def problem_response(
    kind: ProblemKind, detail: str, *, retry_after: int | None = None
) -> JSONResponse:
    """Return a problem as a response."""
    content = {
        "type": PREFIX + kind.slug,
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
    }
    headers = None if retry_after is None else {"Retry-After": str(retry_after)}
    return JSONResponse(content, kind.status, headers, MEDIA_TYPE)
