"""Every error as an HTTP problem (RFC 9457): the one table, and the one form of the answer.

The `type` is stable: programs branch on it, people read `detail`. Members beyond the standard's come
from the error itself (`GatewayError.members`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.responses import Response

from gateway import accesses, keyholders, linking, recording, relays, statements
from gateway.bases import IndexBehindError
from gateway.errors import (
    BaseUnknownError,
    BodyError,
    BodyFault,
    ChainUnavailableError,
    ChallengeError,
    ConflictError,
    DeltaError,
    ErasedError,
    FieldNamesError,
    ForbiddenError,
    GatewayError,
    LineError,
    NothingServedError,
    NotProviderError,
    NotSubjectError,
    PublicationSupersededError,
    PublicationUnknownError,
    ReplayedError,
    RoleMissingError,
    RootMismatchError,
    SessionError,
    StoppingError,
    StoreUnavailableError,
    ThrottledError,
    TooManyRecordsError,
    UnauthenticatedError,
    UnavailableError,
    UnknownError,
    UploadOutOfStepError,
    UploadStateError,
    WrongAuthorityError,
)
from gateway.store.inbox import AskStateError, HandleUsedError, ReferenceUsedError

MEDIA_TYPE: Final = "application/problem+json"
PREFIX: Final = "urn:quancheng:problem:"
_RETRY_AFTER: Final = "1"
"""Seconds, for what may work a little later and does not say when."""
_PASSING: Final = frozenset((429, 503))


@dataclass(frozen=True, slots=True)
class Kind:
    """What all problems of one kind share."""

    slug: str
    status: int
    title: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem, ready to be written."""

    kind: Kind
    detail: str
    members: Mapping[str, Any]

    @property
    def type(self) -> str:
        """The stable URN."""
        return PREFIX + self.kind.slug

    @property
    def title(self) -> str:
        """The same for every problem of this type."""
        return self.kind.title

    @property
    def status(self) -> int:
        """Of the HTTP answer."""
        return self.kind.status


INTERNAL: Final = Kind("internal", 500, "The gateway has failed")
NOT_FOUND: Final = Kind("not-found", 404, "There is no such thing")
NOT_ALLOWED: Final = Kind("method-not-allowed", 405, "The route has no such method")
MALFORMED: Final = Kind("malformed", 422, "The request does not have the form that it should have")
_UNAVAILABLE: Final = Kind("unavailable", 503, "This cannot be done now")

_KINDS: Final[Mapping[type[GatewayError], Kind]] = {
    # What was sent
    accesses.TooManyAtOnceError: Kind("too-many", 413, "Too many accesses at once"),
    BodyError: MALFORMED,
    accesses.AnswerKeyError: Kind("answer-key", 422, "The request cannot be answered to this key"),
    LineError: Kind("malformed-line", 422, "A line of the upload is malformed"),
    relays.LinkMismatchError: Kind("link-mismatch", 422, "The link does not fit the authorization"),
    TooManyRecordsError: Kind("too-many-records", 422, "The answer would hold too many records"),
    # Who sent it
    UnauthenticatedError: Kind("unauthenticated", 401, "It is not clear who sent the request"),
    WrongAuthorityError: Kind("wrong-authority", 401, "The request is signed for another host"),
    ReplayedError: Kind("replayed", 401, "The signed request came before"),
    ChallengeError: Kind("challenge", 401, "The challenge was not answered rightly"),
    SessionError: Kind("session", 401, "The session is unknown or over"),
    accesses.RequestSignatureError: Kind("wrong-signature", 401, "The signature does not hold"),
    accesses.NotAConsumerError: Kind("unknown-party", 401, "The signer was never admitted"),
    relays.RefusedSignatureError: Kind(
        "signature-refused", 401, "The contract does not take the signature"
    ),
    ForbiddenError: Kind("forbidden", 403, "The signer may not do this"),
    RoleMissingError: Kind("role-missing", 403, "The signer does not have the role"),
    NotSubjectError: Kind("not-a-subject", 403, "The signer signs for no subject"),
    NotProviderError: Kind("not-the-provider", 403, "The dataset is another provider's"),
    relays.RefusedRoleError: Kind("role-refused", 403, "The contract does not know the role"),
    accesses.RecorderNotNamedError: Kind(
        "recorder-not-named", 403, "The consumer has not named this gateway's recorder"
    ),
    accesses.DeniedError: Kind("denied", 403, "The access is denied on chain"),
    # What there is
    UnknownError: NOT_FOUND,
    linking.LinkMissingError: Kind("link-missing", 409, "The subject's link is not there"),
    linking.LinkRefusedError: Kind("link-refused", 409, "The subject's link does not count"),
    statements.StatementMissingError: Kind(
        "statement-missing", 409, "No right statement of the authorization is there"
    ),
    statements.StatementMismatchError: Kind(
        "statement-mismatch", 409, "The statement does not say what is authorized"
    ),
    relays.RefusedUnknownError: Kind("unknown-on-chain", 404, "The chain has no such thing"),
    ErasedError: Kind("erased", 410, "The record was erased"),
    # In which state it is
    ConflictError: Kind("conflict", 409, "It is not in the state that this needs"),
    UploadOutOfStepError: Kind("out-of-step", 409, "The upload goes on elsewhere"),
    UploadStateError: Kind("upload-state", 409, "The upload is in another state"),
    BaseUnknownError: Kind("base-unknown", 409, "The delta's base is not served"),
    DeltaError: Kind("delta", 409, "The delta does not fit its base"),
    PublicationUnknownError: Kind("publication-unknown", 409, "The publication is not on chain"),
    RootMismatchError: Kind("root-mismatch", 409, "Root or count are not those on chain"),
    PublicationSupersededError: Kind(
        "publication-superseded", 409, "A newer publication is on chain and is not served"
    ),
    FieldNamesError: Kind("field-names", 409, "The dataset's field names make no schema"),
    NothingServedError: Kind("nothing-served", 409, "No publication is served"),
    accesses.KeyUnknownError: Kind("key-unknown", 409, "The key of the answer is not known here"),
    HandleUsedError: Kind("handle-used", 409, "The handle is another consumer's"),
    ReferenceUsedError: Kind("reference-used", 409, "The reference number was used"),
    AskStateError: Kind("request-state", 409, "The request does not wait any more"),
    relays.AskMismatchError: Kind("request-mismatch", 409, "This is not what was asked"),
    relays.RefusedStateError: Kind("refused", 409, "The contract refuses"),
    recording.TransactionRefusedError: Kind(
        "transaction-refused", 409, "The transaction cannot be carried out"
    ),
    relays.OutOfBoundsError: Kind("out-of-bounds", 412, "It exceeds its purpose or agreement"),
    # What may work later
    ThrottledError: Kind("throttled", 429, "Too much at once"),
    UnavailableError: _UNAVAILABLE,
    StoreUnavailableError: Kind("store-unavailable", 503, "The database cannot be used now"),
    ChainUnavailableError: Kind("chain-unavailable", 503, "The chain cannot be used now"),
    IndexBehindError: Kind("index-behind", 503, "The index is behind the chain"),
    StoppingError: Kind("stopping", 503, "The gateway is shutting down"),
    accesses.CannotRecordError: Kind("cannot-record", 503, "Nothing can be recorded now"),
    keyholders.ReleaseOverError: Kind(
        "release-over", 410, "The release window of the access is over"
    ),
    keyholders.ReleaseStoppedError: Kind(
        "release-stopped", 403, "An act on chain stands against the release"
    ),
    keyholders.KeyholdersUnavailableError: Kind(
        "keyholders-unavailable", 503, "Too few keyholders released"
    ),
}


_BODIES: Final[Mapping[BodyFault, Kind]] = {
    BodyFault.TOO_LARGE: Kind("too-large", 413, "The body is too large"),
    BodyFault.MEDIA_TYPE: Kind("media-type", 415, "The body is of another media type"),
    BodyFault.MISSING: Kind("body-missing", 422, "A body is needed"),
    BodyFault.TOO_SLOW: Kind("too-slow", 408, "The body came too slowly"),
    BodyFault.MALFORMED: MALFORMED,
}


def kind_of(error: GatewayError) -> Kind:
    """Return the kind of an error: that of its nearest class in the table."""
    if type(error) is BodyError:
        return _BODIES[error.fault]
    for ancestor in type(error).__mro__:
        kind = _KINDS.get(ancestor)
        if kind is not None:
            return kind
    return INTERNAL


def problem_of(error: GatewayError) -> Problem:
    """Return the problem that an error becomes; of an internal one nothing is told."""
    kind = kind_of(error)
    if kind is INTERNAL:
        return Problem(kind, "the gateway has failed; its log says why", {})
    return Problem(kind, str(error), error.members)


def problem_response(problem: Problem, members: Mapping[str, Any] | None = None) -> Response:
    """Return the HTTP answer.

    Args:
        problem: What is wrong.
        members: More members of the document, such as where a denied access is on chain.
    """
    document = {
        **problem.members,
        **(members or {}),
        "type": problem.type,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
    }
    wait = str(problem.members.get("retry_after", _RETRY_AFTER))
    headers = {"retry-after": wait} if problem.status in _PASSING else None
    return Response(
        msgspec.json.encode(document),
        status_code=problem.status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )


__all__ = [
    "INTERNAL",
    "MALFORMED",
    "MEDIA_TYPE",
    "NOT_ALLOWED",
    "NOT_FOUND",
    "PREFIX",
    "Kind",
    "Problem",
    "kind_of",
    "problem_of",
    "problem_response",
]
