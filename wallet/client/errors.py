"""What can go wrong between a party and the others, and the checks of what a consumer receives.

ClientError                   `kind` says more closely what (`ErrorKind`)
  UnreachableError            no answer; nothing is known of what happened
  NodeError                   the party's own node did not answer, or refused
  ProblemError                a service's problem (RFC 9457); `kind` by its status or type
  RefusedError                a contract refuses
  DeniedError                 an access was denied, on chain
  VerificationError           what was received is not what it is said to be; `check` says what
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from ledger.api import RecordedAccess, Refusal
from ledger.chain.reverts import RevertError
from ledger.errors import ExitCode
from wallet.errors import WalletError


class ErrorKind(StrEnum):
    """Kinds of a `ClientError`, a `NodeError` or a `ProblemError`; the values are the command line's."""

    NO_KEY = "MissingKey"
    """Something must be signed, and the client has no key."""
    AMBIGUOUS_NAME = "AmbiguousName"
    """People would take a name for another's, or for an id; nothing was sent."""
    UNKNOWN_NAME = "UnknownName"
    """There is no dataset, purpose or party of this id or name."""
    NOT_FOUND_HERE = "NotFoundHere"
    """The party itself keeps nothing of this name or number."""
    ANOTHER_USE = "AnotherUse"
    """An earlier use was recorded and counted, and never handed out; another one needs the caller's word."""
    NOT_ANSWERED = "NotAnswered"
    """A person has not answered yet."""
    FOREIGN_TEXT = "ForeignText"
    """A service hands over a text to sign that is not its own for this signer. Nothing was signed."""
    NOT_FINAL = "NotFinal"
    """A transaction was sent and is in no final block yet; it may still come."""

    NODE_REFUSED = "NodeRefused"
    """The node does not do what was asked, or not in time; less at once it may do."""

    UNAUTHORIZED = "Unauthorized"
    """401: not signed, wrongly signed, expired or replayed."""
    FORBIDDEN = "Forbidden"
    """403: signed, and not allowed."""
    RECORDER_NOT_NAMED = "RecorderNotNamed"
    """The consumer has not named the gateway's recorder (`quancheng consumer recorder name`). No use is spent."""
    RELEASE_STOPPED = "ReleaseStopped"
    """403: the access was recorded, and an act on chain stands against the release."""
    NOT_FOUND = "NotFound"
    """404: there is no such thing, or not for this party."""
    CONFLICT = "Conflict"
    """409: it does not go with the present state."""
    STATEMENT_MISMATCH = "StatementMismatch"
    """409: a statement does not say what it authorizes, by the names on chain; nothing was relayed."""
    ERASED = "Erased"
    """410: the record was erased."""
    RELEASE_OVER = "ReleaseOver"
    """410: the access was recorded, and its release window is over. Final; another try is another use."""
    OUT_OF_BOUNDS = "OutOfBounds"
    """412: outside the purpose's bounds or the agreement."""
    TOO_LARGE = "TooLarge"
    """413: more at once than is taken."""
    INVALID = "Invalid"
    """422 or 400: malformed."""
    THROTTLED = "Throttled"
    """429: too many requests."""
    UNAVAILABLE = "Unavailable"
    """503: cannot be done now; asking again later may help, and is no second use."""
    SERVER = "Server"
    """Any other 5xx: the service has a fault."""


_EXIT_CODES: Final[Mapping[str, ExitCode]] = {
    ErrorKind.NO_KEY: ExitCode.NO_KEY,
    ErrorKind.AMBIGUOUS_NAME: ExitCode.BAD_INPUT,
    ErrorKind.UNKNOWN_NAME: ExitCode.NOT_FOUND,
    ErrorKind.NOT_FOUND_HERE: ExitCode.NOT_FOUND,
    ErrorKind.ANOTHER_USE: ExitCode.REFUSED,
    ErrorKind.NOT_ANSWERED: ExitCode.NO_ANSWER,
    ErrorKind.FOREIGN_TEXT: ExitCode.NOT_VERIFIED,
    ErrorKind.NOT_FOUND: ExitCode.NOT_FOUND,
    ErrorKind.ERASED: ExitCode.NOT_FOUND,
    ErrorKind.TOO_LARGE: ExitCode.BAD_INPUT,
    ErrorKind.INVALID: ExitCode.BAD_INPUT,
    ErrorKind.THROTTLED: ExitCode.TRY_AGAIN,
    ErrorKind.UNAVAILABLE: ExitCode.TRY_AGAIN,
    ErrorKind.SERVER: ExitCode.FAILED,
}
"""Of kinds; of all others it is the class's."""


class ClientError(WalletError):
    """Root of what can go wrong between a party and the others; plain, an answer that is none of the protocol."""

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind or type(self).__name__.removesuffix("Error")
        """More closely what went wrong, for programs."""
        self.exit_code = _EXIT_CODES.get(self.kind, type(self).exit_code)

    @property
    def passes(self) -> bool:
        """Whether the same thing may work a little later."""
        return False


class UnreachableError(ClientError):
    """A service cannot be reached or did not answer in time. It may have done what was asked."""

    exit_code = ExitCode.TRY_AGAIN

    @property
    def passes(self) -> bool:
        """See `ClientError.passes`."""
        return True


class NodeError(ClientError):
    """The party's own node cannot be reached, or refused (`NODE_REFUSED`)."""

    exit_code = ExitCode.TRY_AGAIN


class RefusedError(ClientError):
    """A contract refuses what was to be done; nothing has changed."""

    exit_code = ExitCode.REFUSED

    def __init__(self, error: str, arguments: str = "") -> None:
        super().__init__(f"refused by the contract: {error}({arguments})")
        self.error = error
        """Name of the custom error, as contracts/interfaces/*.sol declare it."""
        self.arguments = arguments

    def __reduce__(self) -> tuple[type["RefusedError"], tuple[str, str]]:
        return type(self), (self.error, self.arguments)


def refused(refusal: RevertError) -> RefusedError:
    """Return a contract's refusal as the party's own node tells it."""
    return RefusedError(refusal.revert.name, ", ".join(map(str, refusal.revert.arguments)))


RELEASE_OVER: Final = "urn:quancheng:problem:release-over"
RELEASE_STOPPED: Final = "urn:quancheng:problem:release-stopped"
LACKING_CONSENT: Final = frozenset(
    f"urn:quancheng:problem:{name}"
    for name in ("statement-missing", "link-missing", "link-refused")
)
"""A gateway lacks what a person signed: the consumer may bring it."""

_BY_TYPE: Final = {
    RELEASE_OVER: ErrorKind.RELEASE_OVER,
    RELEASE_STOPPED: ErrorKind.RELEASE_STOPPED,
    "urn:quancheng:problem:statement-mismatch": ErrorKind.STATEMENT_MISMATCH,
    "urn:quancheng:problem:recorder-not-named": ErrorKind.RECORDER_NOT_NAMED,
}
_BY_STATUS: Final = {
    400: ErrorKind.INVALID,
    401: ErrorKind.UNAUTHORIZED,
    403: ErrorKind.FORBIDDEN,
    404: ErrorKind.NOT_FOUND,
    409: ErrorKind.CONFLICT,
    410: ErrorKind.ERASED,
    412: ErrorKind.OUT_OF_BOUNDS,
    413: ErrorKind.TOO_LARGE,
    422: ErrorKind.INVALID,
    429: ErrorKind.THROTTLED,
    503: ErrorKind.UNAVAILABLE,
}

Member = str | int | float | bool | None
"""What a problem may say beside the usual, for programs."""


class ProblemError(ClientError):
    """A service answered with a problem; `kind` is by its type or status, or `Problem`."""

    exit_code = ExitCode.REFUSED

    def __init__(
        self,
        problem: Refusal,
        retry_after: float | None = None,
        members: tuple[tuple[str, Member], ...] = (),
    ) -> None:
        kind = _BY_TYPE.get(problem.type) or _BY_STATUS.get(problem.status)
        if kind is None and problem.status >= 500:
            kind = ErrorKind.SERVER
        super().__init__(problem.detail or problem.title, kind or "")
        self.problem = problem
        self.retry_after = retry_after
        """Seconds after which asking again may help, if the service said so."""
        self.members = members

    @property
    def passes(self) -> bool:
        """See `ClientError.passes`."""
        return self.kind in (ErrorKind.THROTTLED, ErrorKind.UNAVAILABLE)

    @property
    def slug(self) -> str:
        """The problem's stable name, without the common prefix."""
        return self.problem.type.removeprefix("urn:quancheng:problem:")

    def member(self, name: str) -> Member:
        """Return what the problem says under a name of its own; None when it does not."""
        return dict(self.members).get(name)

    def __reduce__(
        self,
    ) -> tuple[type["ProblemError"], tuple[Refusal, float | None, tuple[tuple[str, Member], ...]]]:
        return type(self), (self.problem, self.retry_after, self.members)


class DeniedError(ClientError):
    """An access was denied; the denial is on chain."""

    exit_code = ExitCode.DENIED

    def __init__(self, recorded: RecordedAccess, outcome: str) -> None:
        super().__init__(f"denied: {outcome} (access {recorded.sequence})")
        self.recorded = recorded
        self.outcome = outcome
        """As DESIGN 3.3 names it: `UsesExhausted`."""

    def __reduce__(self) -> tuple[type["DeniedError"], tuple[RecordedAccess, str]]:
        return type(self), (self.recorded, self.outcome)


class Check(StrEnum):
    """One check. A result lists those that were made and those that could not be."""

    REQUEST = "request"
    """The answer is to the request that was signed."""
    ACCESS = "access"
    """The access is on chain as the gateway says: request, outcome, sequence, place; and final."""
    BASIS = "basis"
    """The release is from the dataset that the basis is about."""
    PUBLICATION = "publication"
    """Root and count are those of the version on chain."""
    FRESHNESS = "freshness"
    """The version was the newest one, or had just been replaced, when the access was recorded."""
    KEYS = "keys"
    """The keyholders' parts open, belong to this request and agree with each other."""
    VALUES = "values"
    """Values and names are what the department committed to, and just the fields asked for."""
    RECORDS = "records"
    """Each record is in the publication."""
    COMPLETENESS = "completeness"
    """None of the owner's records was left out (or: it is just the one record asked for)."""
    ERASURE = "erasure"
    """A record that is missing was erased on chain."""
    SUBJECT = "subject"
    """The owner of the records is the person of the authorization, by the identity authority's word."""

    @property
    def failure(self) -> str:
        """What is said when the check fails."""
        return _FAILURES[self]

    @property
    def success(self) -> str:
        """What is said when the check was made."""
        return _SUCCESSES[self]


_FAILURES = {
    Check.REQUEST: "the answer is to another request",
    Check.ACCESS: "the chain does not have this access as it is told",
    Check.BASIS: "the release is from another dataset",
    Check.PUBLICATION: "the chain has another publication",
    Check.FRESHNESS: "the release is from an old publication",
    Check.KEYS: "the keyholders' parts do not open what was handed over",
    Check.VALUES: "the values are not what the department published",
    Check.RECORDS: "a record is not in the publication",
    Check.COMPLETENESS: "records were left out or added",
    Check.ERASURE: "a record is missing that was not erased",
    Check.SUBJECT: "the records are not the authorizing person's",
}

_SUCCESSES = {
    Check.REQUEST: "the answer is to the request that was signed",
    Check.ACCESS: "the access is on chain, final, with this outcome and sequence",
    Check.BASIS: "the release is from the dataset that the basis is about",
    Check.PUBLICATION: "root and count are those of the publication on chain",
    Check.FRESHNESS: "the publication was the newest one, or had just been replaced",
    Check.KEYS: "the keyholders' parts open and agree with each other",
    Check.VALUES: "the values are exactly what the department published",
    Check.RECORDS: "each record is in the publication",
    Check.COMPLETENESS: "no record of the owner was left out",
    Check.ERASURE: "missing records were erased on chain",
    Check.SUBJECT: "the owner is the authorizing person, by the identity authority's signature",
}


class VerificationError(ClientError):
    """What was received is not what it is said to be. Nothing of it may be used."""

    exit_code = ExitCode.NOT_VERIFIED

    def __init__(self, check: Check, detail: str) -> None:
        super().__init__(f"{check.failure}: {detail}")
        self.check = check
        self.detail = detail

    def __reduce__(self) -> tuple[type["VerificationError"], tuple[Check, str]]:
        return type(self), (self.check, self.detail)
