"""Ports for processes that are killed and come back."""

import random
from typing import Final

from wallet.supervisor.layout import is_free

_LEAST: Final = 12_000
_MOST: Final = 30_000


def free_port() -> int:
    """Return a port of the loopback that nobody listens on, below those that outgoing connections take.

    What is killed must find its port free when it comes back.
    """
    while True:
        port = random.randint(_LEAST, _MOST)  # noqa: S311 - no secret
        if is_free(port):
            return port
