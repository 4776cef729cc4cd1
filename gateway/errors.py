"""The root of every error that `gateway` raises, and its branches.

Which HTTP problem each one becomes stands in `gateway.problems`, nowhere else. Messages are shown to
the caller, so they name places and states, never payloads, keys or people.
"""

from collections.abc import Mapping

from ledger.service.errors import (
    BodyError,
    BodyFault,
    Member,
    ServiceError,
    ThrottledError,
    body_too_large,
)

__all__ = [
    "BaseUnknownError",
    "BodyError",
    "BodyFault",
    "ChainUnavailableError",
    "ChallengeError",
    "ConflictError",
    "DeltaError",
    "ErasedError",
    "FieldNamesError",
    "ForbiddenError",
    "GatewayError",
    "LineError",
    "Member",
    "NotProviderError",
    "NotSubjectError",
    "NothingServedError",
    "PublicationSupersededError",
    "PublicationUnknownError",
    "ReplayedError",
    "RoleMissingError",
    "RootMismatchError",
    "SessionError",
    "SettingsError",
    "StoppingError",
    "StoreDamagedError",
    "StoreUnavailableError",
    "ThrottledError",
    "TooManyRecordsError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnknownError",
    "UploadOutOfStepError",
    "UploadStateError",
    "WrongAuthorityError",
    "body_too_large",
]

GatewayError = ServiceError
"""Root of what the gateway answers with a problem: its own errors, and those of the room that it shares
with the other services."""


# What a caller sent


class LineError(BodyError):
    """One line of an upload does not have the form that it should have."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line

    @property
    def members(self) -> Mapping[str, Member]:
        """The line, counted from 1 over the whole upload."""
        return {"line": self.line}


# Who sent it


class UnauthenticatedError(GatewayError):
    """It is not clear who sent the request."""


class WrongAuthorityError(UnauthenticatedError):
    """The request is signed for another host than this gateway."""


class ReplayedError(UnauthenticatedError):
    """This signed request came before."""


class ChallengeError(UnauthenticatedError):
    """The challenge is unknown, used, over, or was answered wrongly."""


class SessionError(UnauthenticatedError):
    """The session is unknown or over."""


class ForbiddenError(GatewayError):
    """It is clear who sent the request, and that party may not do this."""


class RoleMissingError(ForbiddenError):
    """The signer is not admitted in the role that this needs."""

    def __init__(self, role: str) -> None:
        super().__init__(f"needs a party that is admitted now as {role}")


class NotSubjectError(ForbiddenError):
    """The signer does not sign for any subject."""


class NotProviderError(ForbiddenError):
    """The signer is not the provider of this dataset."""


# What there is


class UnknownError(GatewayError):
    """There is no such thing here."""

    def __init__(self, what: str) -> None:
        super().__init__(f"there is no such {what}")


class ErasedError(GatewayError):
    """The record was erased: its salt and its ciphertext are destroyed."""


class ConflictError(GatewayError):
    """The thing is not in the state that this needs."""


class UploadOutOfStepError(ConflictError):
    """Lines were sent for another place than where the upload stands."""

    def __init__(self, expected: int) -> None:
        super().__init__(f"the upload goes on at line {expected}: send ?from={expected}")
        self.expected = expected

    @property
    def members(self) -> Mapping[str, Member]:
        """Number of lines received so far."""
        return {"expected": self.expected}


class UploadStateError(ConflictError):
    """The upload is not in the state that this needs."""

    def __init__(self, state: str) -> None:
        super().__init__(f"the upload is {state}")
        self.state = state

    @property
    def members(self) -> Mapping[str, Member]:
        """The state."""
        return {"state": self.state}


class BaseUnknownError(ConflictError):
    """The version that a delta is based on is not served here."""


class DeltaError(ConflictError):
    """A delta does not fit its base."""


class PublicationUnknownError(ConflictError):
    """The chain has no such publication, or it is not final yet."""


class RootMismatchError(ConflictError):
    """What was uploaded is not what was published on chain."""


class NothingServedError(ConflictError):
    """No publication of the dataset was served at that time."""


class PublicationSupersededError(ConflictError):
    """Keyholders do not answer from this version any more, and no newer one is served."""

    def __init__(self, version: int, newest: int) -> None:
        super().__init__(
            f"version {version} answers here, and version {newest} is on chain too long"
        )


class FieldNamesError(ConflictError):
    """The dataset's field names make no schema: two are equal, or one is empty."""

    def __init__(self) -> None:
        super().__init__("under the dataset's field names nothing can be encrypted or opened")


class TooManyRecordsError(GatewayError):
    """An answer would hold more records than one answer may."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} records")
        self.limit = limit

    @property
    def members(self) -> Mapping[str, Member]:
        """How many an answer may hold."""
        return {"limit": self.limit}


# What the gateway needs and does not have: the caller may try again


class UnavailableError(GatewayError):
    """Something that the gateway needs is not there now; the caller may try again."""


class StoreUnavailableError(UnavailableError):
    """The database does not take or give data now.

    Attributes:
        reason: locked, gone, read-only, full, damaged, busy or unreachable.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the database is {reason}")
        self.reason = reason


class ChainUnavailableError(UnavailableError):
    """The chain cannot be read now, or is not the one that this gateway knew."""


class StoppingError(UnavailableError):
    """The gateway is shutting down."""


# What must not happen


class StoreDamagedError(GatewayError):
    """The database holds something that the gateway cannot have written."""


class SettingsError(GatewayError):
    """A setting is missing or cannot be used."""
