"""Asking another process over HTTP, many times a second: one base URL, few connections, kept open.

In asyncio it is done by `ledger.http_connections`, from ordinary code by `ledger.http_blocking`.
"""

from dataclasses import dataclass
from typing import Literal, Protocol


class HttpError(Exception):
    """A question was not answered; it may have arrived."""

    def __init__(self, message: str, kind: Literal["timeout", "too long", ""] = "") -> None:
        """Take a kind: too late, or longer than it may be; the rest of that was not read."""
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Status and body."""

    status: int
    body: bytes


class HttpAsker(Protocol):
    """Somebody who can be asked. Belongs to one event loop; safe for concurrent use in it."""

    async def ask(self, method: str, path: str, body: bytes = b"") -> HttpAnswer:
        """Send a request and return the answer, whatever its status.

        Raises:
            HttpError: there is none, or it is too long.
        """
        ...

    @property
    def opened(self) -> int:
        """Number of connections so far: behind a new one somebody else may answer."""
        ...

    async def close(self) -> None:
        """Close the connections. May be repeated."""
        ...
