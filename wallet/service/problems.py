"""Errors over HTTP: problem details with a stable type (RFC 9457).

Each service has one table from its exceptions to `ProblemKind`; whatever is not in the table is a
defect and shows as `internal-error`, without its message, which may hold what nobody should read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ledger.errors import LedgerError
from ledger.http_signatures import HttpSignatureError
from ledger.logs import describe, get_logger
from ledger.service import errors
from ledger.strict_json import JsonError
from wallet.errors import WalletError

PREFIX: Final = "urn:quancheng:problem:"
MEDIA_TYPE: Final = "application/problem+json"

_log = get_logger()


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """What all problems of one type have in common; `slug` ends the type."""

    slug: str
    status: int
    title: str


class ProblemError(WalletError):
    """A request that cannot be answered; the message is for the client to read."""

    def __init__(self, kind: ProblemKind, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.retry_after = retry_after
        """Seconds after which trying again makes sense."""


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
    errors.BodyError: MALFORMED,
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
    """Make every error of an app a problem.

    Args:
        app: The service.
        table: From the service's exceptions to problems; the nearest base class counts.
    """
    kinds = {**_COMMON, **table}

    async def answer(_: Request, error: Exception) -> JSONResponse:
        return response_to(error, kinds)

    for kind in (
        errors.ServiceError,
        LedgerError,
        WalletError,
        HTTPException,
        RequestValidationError,
        Exception,
    ):
        app.add_exception_handler(kind, answer)


def response_to(error: Exception, kinds: Mapping[type[Exception], ProblemKind]) -> JSONResponse:
    """Return the response that tells an error."""
    if isinstance(error, ProblemError):
        return problem_response(error.kind, error.detail, retry_after=error.retry_after)
    if isinstance(error, HTTPException):
        known = _BY_STATUS.get(error.status_code)
        kind = known or ProblemKind("refused", error.status_code, "The request is refused")
        return problem_response(kind, str(error.detail))
    if isinstance(error, RequestValidationError):
        return problem_response(MALFORMED, _what_is_invalid(error))
    if type(error) is errors.BodyError:
        return problem_response(_BODIES[error.fault], str(error))
    for base in type(error).__mro__:
        if base in kinds:
            wait = error.retry_after if isinstance(error, errors.ThrottledError) else None
            return problem_response(kinds[base], str(error), retry_after=wait)
    # Only type and place: the message of an unexpected error may quote personal data or a secret.
    _log.error("internal_error", error=describe(error))
    return problem_response(INTERNAL, "please report it with the time of this answer")


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


def _what_is_invalid(error: RequestValidationError) -> str:
    """Name the places and what is wrong there, never the values: they may be personal."""
    places = [".".join(map(str, one["loc"])) + ": " + str(one["msg"]) for one in error.errors()]
    return "; ".join(places)
