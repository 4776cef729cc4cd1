"""Why a service of ours does not take what a stranger sends."""

from collections.abc import Mapping
from enum import StrEnum

Member = str | int | bool | None
"""What an error may tell beyond its sentence, as a member of the problem document."""


class ServiceError(Exception):
    """Root of why a service does not take a request.

    Not a `LedgerError`: those tell of data, and are answered as malformed where nothing else is known.
    """

    @property
    def members(self) -> Mapping[str, Member]:
        """What a program needs to react, by name."""
        return {}


class BodyFault(StrEnum):
    """What is wrong with a request's body; ends the type of its problem."""

    TOO_LARGE = "too-large"
    MEDIA_TYPE = "media-type"
    MISSING = "body-missing"
    TOO_SLOW = "too-slow"
    MALFORMED = "malformed"


class BodyError(ServiceError):
    """A request's body cannot be used; a `limit` that it exceeds is in bytes."""

    fault = BodyFault.MALFORMED
    limit: int | None = None

    def __init__(
        self, problem: str, fault: BodyFault = BodyFault.MALFORMED, limit: int | None = None
    ) -> None:
        super().__init__(problem)
        self.fault, self.limit = fault, limit

    @property
    def members(self) -> Mapping[str, Member]:
        return {} if self.limit is None else {"limit": self.limit}


def body_too_large(limit: int, what: str = "the body") -> BodyError:
    """Return the error of a body, or of one line of it, with more than `limit` bytes."""
    return BodyError(f"{what} has more than {limit} bytes", BodyFault.TOO_LARGE, limit)


class ThrottledError(ServiceError):
    """More comes than is taken, from one party or from all; try again in `retry_after` seconds."""

    def __init__(self, retry_after: int, reason: str = "more comes from you than is taken") -> None:
        super().__init__(f"{reason}; try again in {retry_after} s")
        self.retry_after = retry_after

    @property
    def members(self) -> Mapping[str, Member]:
        return {"retry_after": self.retry_after}
