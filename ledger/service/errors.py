"""What a stranger may send to a service, and it refuses."""

from collections.abc import Mapping

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


class BodyError(ServiceError):
    """A request's body cannot be used."""


class BodyTooLargeError(BodyError):
    """The body, or one line of it, has more than `limit` bytes."""

    def __init__(self, limit: int, what: str = "the body") -> None:
        super().__init__(f"{what} has more than {limit} bytes")
        self.limit = limit

    @property
    def members(self) -> Mapping[str, Member]:
        """The limit in bytes."""
        return {"limit": self.limit}


class MediaTypeError(BodyError):
    """The body is of another media type than this route takes."""

    def __init__(self, expected: str) -> None:
        super().__init__(f"send {expected}")


class MissingBodyError(BodyError):
    """A body is needed and there is none."""


class SlowBodyError(BodyError):
    """The body came slower than the service waits."""


class MalformedBodyError(BodyError):
    """The body does not have the form that it should have."""


class ThrottledError(ServiceError):
    """More comes than is taken, from one party or from all; try again later.

    Attributes:
        retry_after: Seconds.
    """

    def __init__(self, retry_after: int, reason: str = "more comes from you than is taken") -> None:
        super().__init__(f"{reason}; try again in {retry_after} s")
        self.retry_after = retry_after

    @property
    def members(self) -> Mapping[str, Member]:
        """When to try again."""
        return {"retry_after": self.retry_after}
