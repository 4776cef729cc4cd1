"""What can go wrong when a party talks to the others: one small tree.

ClientError
  UnreachableError            no answer; nothing is known of what happened
  NodeError                   the party's own node did not answer, or refused (NodeRefusedError)
  ClientError       an answer that is none of the protocol
  ProblemError                a problem (RFC 9457), by status:
    UnauthorizedError 401, ForbiddenError 403 (DeniedError: recorded on chain;
    RecorderNotNamedError: the consumer must name the gateway's recorder first), NotFoundError 404,
    ConflictError 409, ErasedError 410, OutOfBoundsError 412, TooLargeError 413, InvalidError 422,
    ReleaseOverError 410 and ReleaseStoppedError 403 of an access that was recorded,
    ThrottledError 429, UnavailableError 503, ServerError any other 5xx, ProblemError the rest
  ForeignTextError            a service wants something signed that is not its own; nothing was
  VerificationError           what was received is not what it is said to be; `check` says what
"""

from typing import Final

from ledger.errors import ExitCode
from ledger.exchange import RecordedAccess, Refusal
from wallet.client.checks import Check
from wallet.errors import WalletError


class ClientError(WalletError):
    """Root of what can go wrong between a party and the others."""


class UnreachableError(ClientError):
    """A service cannot be reached or did not answer in time. It may have done what was asked."""

    exit_code = ExitCode.TRY_AGAIN


class NodeError(ClientError):
    """The party's own node cannot be reached, or refused."""

    exit_code = ExitCode.TRY_AGAIN


class NodeRefusedError(NodeError):
    """The node does not do what was asked, or not in time; less at once it may do."""


class MissingKeyError(ClientError):
    """Something must be signed, and the client has no key."""

    exit_code = ExitCode.NO_KEY


class AmbiguousNameError(ClientError):
    """People would take a name for another's, or for an id; nothing was sent."""

    exit_code = ExitCode.BAD_INPUT


class UnknownNameError(ClientError):
    """There is no dataset, purpose or party of this id or name."""

    exit_code = ExitCode.NOT_FOUND


class NotFoundHereError(ClientError):
    """The party itself keeps nothing of this name or number."""

    exit_code = ExitCode.NOT_FOUND


class AnotherUseError(ClientError):
    """An earlier use was recorded and counted, and never handed out; another one needs the caller's word."""

    exit_code = ExitCode.REFUSED


class NotAnsweredError(ClientError):
    """A person has not answered yet."""

    exit_code = ExitCode.NO_ANSWER


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


RELEASE_OVER: Final = "urn:quancheng:problem:release-over"
RELEASE_STOPPED: Final = "urn:quancheng:problem:release-stopped"
STATEMENT_MISMATCH: Final = "urn:quancheng:problem:statement-mismatch"
LACKING_CONSENT: Final = frozenset(
    f"urn:quancheng:problem:{name}"
    for name in ("statement-missing", "link-missing", "link-refused")
)
"""A gateway lacks what a person signed: the consumer may bring it."""

Member = str | int | float | bool | None
"""What a problem may say beside the usual, for programs."""


class ProblemError(ClientError):
    """A service answered with a problem."""

    exit_code = ExitCode.REFUSED

    def __init__(
        self,
        problem: Refusal,
        retry_after: float | None = None,
        members: tuple[tuple[str, Member], ...] = (),
    ) -> None:
        super().__init__(problem.detail or problem.title)
        self.problem = problem
        self.retry_after = retry_after
        """Seconds after which asking again may help, if the service said so."""
        self.members = members

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


class UnauthorizedError(ProblemError):
    """401: not signed, wrongly signed, expired or replayed."""


class ForbiddenError(ProblemError):
    """403: signed, and not allowed."""


class RecorderNotNamedError(ForbiddenError):
    """The consumer has not named the gateway's recorder: `quancheng consumer recorder name` does.

    Nothing was recorded and no use is spent.
    """


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


class NotFoundError(ProblemError):
    """404: there is no such thing, or not for this party."""

    exit_code = ExitCode.NOT_FOUND


class ConflictError(ProblemError):
    """409: it does not go with the present state."""


class ErasedError(ProblemError):
    """410: the record was erased."""

    exit_code = ExitCode.NOT_FOUND


class ReleaseOverError(ProblemError):
    """410: the access was recorded, and its release window is over. Final; another try is another use."""


class StatementMismatchError(ConflictError):
    """409: a statement does not say what it authorizes, by the names on chain; nothing was relayed."""


class ReleaseStoppedError(ForbiddenError):
    """403: the access was recorded, and an act on chain stands against the release."""


class OutOfBoundsError(ProblemError):
    """412: outside the purpose's bounds or the agreement."""


class TooLargeError(ProblemError):
    """413: more at once than is taken."""

    exit_code = ExitCode.BAD_INPUT


class InvalidError(ProblemError):
    """422 or 400: malformed."""

    exit_code = ExitCode.BAD_INPUT


class ThrottledError(ProblemError):
    """429: too many requests."""

    exit_code = ExitCode.TRY_AGAIN


class UnavailableError(ProblemError):
    """503: cannot be done now; asking again later may help, and is no second use."""

    exit_code = ExitCode.TRY_AGAIN


class ServerError(ProblemError):
    """Any other 5xx: the service has a fault."""

    exit_code = ExitCode.FAILED


class ForeignTextError(ClientError):
    """A service hands over a text to sign that is not its own for this signer. Nothing was signed."""

    exit_code = ExitCode.NOT_VERIFIED


class VerificationError(ClientError):
    """What was received is not what it is said to be. Nothing of it may be used."""

    exit_code = ExitCode.NOT_VERIFIED

    def __init__(self, check: Check, detail: str) -> None:
        super().__init__(f"{check.failure}: {detail}")
        self.check = check
        self.detail = detail

    def __reduce__(self) -> tuple[type["VerificationError"], tuple[Check, str]]:
        return type(self), (self.check, self.detail)


_NOT_NAMED: Final = "urn:quancheng:problem:recorder-not-named"
_BY_STATUS: Final[dict[int, type[ProblemError]]] = {
    400: InvalidError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: ErasedError,
    412: OutOfBoundsError,
    413: TooLargeError,
    422: InvalidError,
    429: ThrottledError,
    503: UnavailableError,
}


_BY_TYPE: Final[dict[str, type[ProblemError]]] = {
    RELEASE_OVER: ReleaseOverError,
    RELEASE_STOPPED: ReleaseStoppedError,
    STATEMENT_MISMATCH: StatementMismatchError,
}


def problem_error(
    problem: Refusal,
    retry_after: float | None = None,
    members: tuple[tuple[str, Member], ...] = (),
) -> ProblemError:
    """Return the error that a problem is."""
    kind = _BY_TYPE.get(problem.type) or _BY_STATUS.get(problem.status)
    if problem.type == _NOT_NAMED:
        kind = RecorderNotNamedError
    if kind is None:
        kind = ServerError if problem.status >= 500 else ProblemError
    return kind(problem, retry_after, members)
