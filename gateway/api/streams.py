"""Streams end: with the right to hear, with the session, and after a session's length at the latest.

A role or a key is judged when a request comes, and a stream goes on long after that. So each round of a
stream asks again whether its caller may still hear, before it tells anything; whoever may connects again.
"""

from typing import Final

from starlette.requests import Request

from gateway.api.dependencies import services_of
from gateway.auth import Principal

_LOOK_AGAIN: Final = 5.0
"""Seconds after which a stream looks by itself: another gateway may have stored what is new, and a right may
have ended."""


class Listener:
    """Who hears a stream, and for how long."""

    def __init__(self, request: Request, principal: Principal | None = None) -> None:
        self._authenticator = services_of(request).authenticator
        self._topics = services_of(request).topics
        self._principal = self._authenticator.stranger() if principal is None else principal

    @property
    def is_over(self) -> bool:
        """Whether nothing more is told, whatever rights there are."""
        return self._authenticator.left(self._principal) <= 0

    async def wait(self, *topics: str) -> None:
        """Wait until one of these topics is touched, or it is time to look again."""
        left = self._authenticator.left(self._principal)
        await self._topics.wait(max(min(_LOOK_AGAIN, left), 0), *topics)
