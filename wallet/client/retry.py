"""Trying again: what could not be done now, and what may have been done without an answer.

Only for what may be repeated: questions, and requests that the receiver knows again (a signed access
request, a signed transaction, lines at their place in an upload).
"""

import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec

from wallet.client.calls import HttpCall, pause
from wallet.client.errors import ClientError

T = TypeVar("T")


class RetryPolicy(msgspec.Struct, frozen=True):
    """How long to go on trying.

    Attributes:
        seconds: until giving up.
        first: seconds before the second try; each later pause is twice as long.
        longest: seconds of a pause at most.
    """

    seconds: float = 60.0
    first: float = 0.1
    longest: float = 5.0


USUAL: Final = RetryPolicy()


async def with_retries(
    call: HttpCall[T] | Callable[[], Awaitable[T]], patience: RetryPolicy = USUAL
) -> T:
    """Ask until there is an answer, or patience is over.

    Args:
        call: a call, or what makes a flow to be tried as a whole.
        patience: how long.

    Raises:
        ClientError: the last error, or the first that will not pass.
    """
    until = time.monotonic() + patience.seconds
    wait = patience.first
    while True:
        try:
            return await (call if isinstance(call, HttpCall) else call())
        except ClientError as error:
            if not error.passes:
                raise
            asked = getattr(error, "retry_after", None)
            wait = min(wait if asked is None else max(wait, asked), patience.longest)
            if time.monotonic() + wait > until:
                raise
        await pause(wait)
        wait *= 2
