"""The errors of the gateway. Which HTTP problem each becomes stands in `gateway.problems`.

Messages are shown to the caller, so they name places and states, never payloads, keys or people.
"""

from collections.abc import Mapping
from typing import ClassVar, Final

from ledger.chain.reverts import Revert
from ledger.hexstr import to_hex
from ledger.model import LinkFault
from ledger.service.errors import BodyError, Member, ServiceError, ThrottledError

__all__ = [
    "BodyError",
    "ConflictError",
    "DeltaError",
    "ForbiddenError",
    "GatewayError",
    "KeyholderError",
    "LinkRefusedError",
    "ProblemError",
    "RefusedError",
    "SettingsError",
    "StoreDamagedError",
    "StoreUnavailableError",
    "ThrottledError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnknownError",
]

GatewayError = ServiceError
"""Root of what is answered with a problem: the errors here, and those of bodies and rates (`ledger.service`)."""


BUSY: Final = "more accesses are waiting than the gateway takes"


class ProblemError(ServiceError):
    """The gateway does not do what was asked.

    Args:
        detail: Shown to the caller.
        kind: Slug of the problem (`gateway.problems.KINDS`); that of the class unless it is given.
        members: What a program needs to react, by name.
    """

    usual: ClassVar[str] = "internal"

    def __init__(self, detail: str, kind: str = "", **members: Member) -> None:
        super().__init__(detail)
        self.kind = kind or self.usual
        self._members = members

    @property
    def members(self) -> Mapping[str, Member]:
        return self._members


class UnauthenticatedError(ProblemError):
    """It is not clear who sent the request."""

    usual = "unauthenticated"


class ForbiddenError(ProblemError):
    """It is clear who sent the request, and that party may not do this."""

    usual = "forbidden"


class UnknownError(ProblemError):
    """There is no such thing here: `what` is named in the message."""

    usual = "not-found"

    def __init__(self, what: str, kind: str = "") -> None:
        super().__init__(f"there is no such {what}", kind)


class ConflictError(ProblemError):
    """The thing is not in the state that this needs."""

    usual = "conflict"


class DeltaError(ConflictError):
    usual = "delta"


class LinkRefusedError(ConflictError):
    """The link does not count, and the identity authority gave no other one: `fault` says why."""

    usual = "link-refused"

    def __init__(self, fault: LinkFault) -> None:
        super().__init__(f"the link from the subject to this dataset does not count: {fault.value}")
        self.fault = fault


class RefusedError(ProblemError):
    """A contract refuses; `revert` says why, and which problem it is."""

    usual = "refused"

    def __init__(self, revert: Revert) -> None:
        told = ", ".join(map(str, revert.arguments))
        super().__init__(f"refused by the contract: {revert}", error=revert.name, arguments=told)
        self.revert = revert


class UnavailableError(ProblemError):
    """Something that the gateway needs is not there now; the caller may try again."""

    usual = "unavailable"


class StoreUnavailableError(UnavailableError):
    """The database does not take or give data now.

    Attributes:
        reason: locked, gone, read-only, full, damaged, busy or unreachable.
    """

    usual = "store-unavailable"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the database is {reason}")
        self.reason = reason


class KeyholderError(ServiceError):
    """One keyholder could not be asked, or its answer cannot be used."""


class StoreDamagedError(ServiceError):
    """The database holds something that the gateway cannot have written."""


class SettingsError(ServiceError): ...


def not_named(consumer: bytes, recorder: bytes) -> ForbiddenError:
    return ForbiddenError(
        f"{to_hex(consumer)} has not named this gateway's recorder;"
        f" to do so: quancheng consumer recorder name {to_hex(recorder)}",
        "recorder-not-named",
        recorder=to_hex(recorder),
    )


def upload_state(state: str) -> ConflictError:
    return ConflictError(f"the upload is {state}", "upload-state", state=state)


def out_of_step(expected: int) -> ConflictError:
    detail = f"the upload goes on at line {expected}: send ?from={expected}"
    return ConflictError(detail, "out-of-step", expected=expected)
