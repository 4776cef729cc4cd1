"""Every error as an HTTP problem (RFC 9457): the one table, and the one form of the answer.

The `type` is stable: programs branch on it, people read `detail`. Members beyond the standard's come
from the error itself (`ServiceError.members`).
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.responses import Response

from gateway.errors import BodyError, GatewayError, ProblemError, RefusedError, ThrottledError
from ledger.service.logs import describe, get_logger

MEDIA_TYPE: Final = "application/problem+json"
PREFIX: Final = "urn:quancheng:problem:"
_RETRY_AFTER: Final = "1"
"""Seconds, for what may work a little later and does not say when."""
_PASSING: Final = frozenset((429, 503))

_log = get_logger()


@dataclass(frozen=True, slots=True)
class Kind:
    slug: str
    status: int
    title: str


@dataclass(frozen=True, slots=True)
class Problem:
    kind: Kind
    detail: str
    members: Mapping[str, Any]

    @property
    def type(self) -> str:
        return PREFIX + self.kind.slug


INTERNAL: Final = Kind("internal", 500, "The gateway has failed")
NOT_FOUND: Final = Kind("not-found", 404, "There is no such thing")
NOT_ALLOWED: Final = Kind("method-not-allowed", 405, "The route has no such method")
MALFORMED: Final = Kind("malformed", 422, "The request does not have the form that it should have")

KINDS: Final[Mapping[str, Kind]] = {
    kind.slug: kind
    for kind in (
        # What was sent
        Kind("too-large", 413, "The body is too large"),
        Kind("media-type", 415, "The body is of another media type"),
        Kind("body-missing", 422, "A body is needed"),
        Kind("too-slow", 408, "The body came too slowly"),
        MALFORMED,
        Kind("too-many", 413, "Too many accesses at once"),
        Kind("answer-key", 422, "The request cannot be answered to this key"),
        Kind("malformed-line", 422, "A line of the upload is malformed"),
        Kind("link-mismatch", 422, "The link does not fit the authorization"),
        Kind("too-many-records", 422, "The answer would hold too many records"),
        # Who sent it
        Kind("unauthenticated", 401, "It is not clear who sent the request"),
        Kind("wrong-authority", 401, "The request is signed for another host"),
        Kind("replayed", 401, "The signed request came before"),
        Kind("challenge", 401, "The challenge was not answered rightly"),
        Kind("session", 401, "The session is unknown or over"),
        Kind("wrong-signature", 401, "The signature does not hold"),
        Kind("unknown-party", 401, "The signer was never admitted"),
        Kind("signature-refused", 401, "The contract does not take the signature"),
        Kind("forbidden", 403, "The signer may not do this"),
        Kind("role-missing", 403, "The signer does not have the role"),
        Kind("not-a-subject", 403, "The signer signs for no subject"),
        Kind("not-the-provider", 403, "The dataset is another provider's"),
        Kind("role-refused", 403, "The contract does not know the role"),
        Kind("recorder-not-named", 403, "The consumer has not named this gateway's recorder"),
        Kind("denied", 403, "The access is denied on chain"),
        # What there is
        NOT_FOUND,
        Kind("link-missing", 409, "The subject's link is not there"),
        Kind("link-refused", 409, "The subject's link does not count"),
        Kind("statement-missing", 409, "No right statement of the authorization is there"),
        Kind("statement-mismatch", 409, "The statement does not say what is authorized"),
        Kind("unknown-on-chain", 404, "The chain has no such thing"),
        Kind("erased", 410, "The record was erased"),
        # In which state it is
        Kind("conflict", 409, "It is not in the state that this needs"),
        Kind("out-of-step", 409, "The upload goes on elsewhere"),
        Kind("upload-state", 409, "The upload is in another state"),
        Kind("base-unknown", 409, "The delta's base is not served"),
        Kind("delta", 409, "The delta does not fit its base"),
        Kind("publication-unknown", 409, "The publication is not on chain"),
        Kind("root-mismatch", 409, "Root or count are not those on chain"),
        Kind("publication-superseded", 409, "A newer publication is on chain and is not served"),
        Kind("field-names", 409, "The dataset's field names make no schema"),
        Kind("nothing-served", 409, "No publication is served"),
        Kind("key-unknown", 409, "The key of the answer is not known here"),
        Kind("handle-used", 409, "The handle is another consumer's"),
        Kind("reference-used", 409, "The reference number was used"),
        Kind("request-state", 409, "The request does not wait any more"),
        Kind("request-mismatch", 409, "This is not what was asked"),
        Kind("refused", 409, "The contract refuses"),
        Kind("transaction-refused", 409, "The transaction cannot be carried out"),
        Kind("out-of-bounds", 412, "It exceeds its purpose or agreement"),
        # What may work later
        Kind("throttled", 429, "Too much at once"),
        Kind("unavailable", 503, "This cannot be done now"),
        Kind("store-unavailable", 503, "The database cannot be used now"),
        Kind("chain-unavailable", 503, "The chain cannot be used now"),
        Kind("index-behind", 503, "The index is behind the chain"),
        Kind("stopping", 503, "The gateway is shutting down"),
        Kind("cannot-record", 503, "Nothing can be recorded now"),
        Kind("release-over", 410, "The release window of the access is over"),
        Kind("release-stopped", 403, "An act on chain stands against the release"),
        Kind("keyholders-unavailable", 503, "Too few keyholders released"),
    )
}

_OF_REVERTS: Final[Mapping[str, str]] = {
    error: slug
    for slug, errors in {
        "out-of-bounds": (
            *("ValidityOutOfBounds", "UsesOutOfBounds", "IntervalOutOfBounds", "PeriodInvalid"),
            *("FieldsOutsidePurpose", "FieldsOutsideAgreement", "FieldsOutsideSchema"),
            *("FieldsEmpty", "FieldsOutsideApplication", "BoundsEmpty", "AgreementInactive"),
            *("PurposeInactive", "DatasetInactive", "DatasetNotPersonal", "DeadlinePassed"),
            "DeadlineTooLarge",
        ),
        "signature-refused": ("InvalidSignature", "SignerUnauthorized"),
        "role-refused": (
            *("RoleMissing", "PartyInactive", "PartyUnknown", "NotAuthority", "NotProvider"),
            *("NotParty", "OwnableUnauthorizedAccount"),
        ),
        "unknown-on-chain": (
            *("SubjectUnknown", "AuthorizationUnknown", "DatasetUnknown", "OrderUnknown"),
            *("ApplicationUnknown", "AgreementUnknown", "PublicationUnknown"),
        ),
    }.items()
    for error in errors
}
"""Contracts' errors by what the caller can do about them; all others are `refused`."""


def kind_of(error: GatewayError) -> Kind:
    """Return the kind of an error; `INTERNAL` for what nobody should see."""
    if isinstance(error, ProblemError):
        slug = error.kind
        if isinstance(error, RefusedError):
            slug = _OF_REVERTS.get(error.revert.name, slug)
        return KINDS[slug]
    if isinstance(error, BodyError):
        return KINDS[error.fault]
    return KINDS["throttled"] if isinstance(error, ThrottledError) else INTERNAL


def problem_of(error: GatewayError) -> Problem:
    """Return the problem that an error becomes; of an internal one nothing is told."""
    kind = kind_of(error)
    if kind is INTERNAL:
        return Problem(kind, "the gateway has failed; its log says why", {})
    return Problem(kind, str(error), error.members)


def problem_response(problem: Problem, members: Mapping[str, Any] | None = None) -> Response:
    """Return the HTTP answer."""
    kind = problem.kind
    document = {
        **problem.members,
        **(members or {}),
        "type": problem.type,
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail,
    }
    wait = str(problem.members.get("retry_after", _RETRY_AFTER))
    headers = {"retry-after": wait} if kind.status in _PASSING else None
    return Response(
        msgspec.json.encode(document),
        status_code=kind.status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )


def note_failure(error: BaseException, route: str) -> Problem:
    """Log an unexpected error; return a problem that says nothing but under which number to look there.

    Args:
        error: Its type and place are logged, not its text, which may hold what was sent.
        route: Template of the path, without ids.
    """
    number = secrets.token_hex(5)
    _log.error("failed", error=describe(error), route=route, request=number)
    detail = f"the gateway has failed; its log says why, under request {number}"
    return Problem(INTERNAL, detail, {"instance": f"urn:quancheng:request:{number}"})
